import pandas as pd
import pytest

from affect4d.experiments.settings import ExperimentSettings, Objectives, StudyOptions
from affect4d.experiments.studies_and_cross_validation import StudyTables
from affect4d.experiments.trials import TrialData
from affect4d.experiments.variants import LABEL_EFFICIENCY, REGIMES, SMILE_REGIMES, STUDIES, study_named
from affect4d.pipelines.experiments.nodes import run_trials
from affect4d.pipelines.model_input.nodes import (
    AffectMethod,
    CrossEntropyMethod,
    SmileMethod,
    collect_settings,
)
from affect4d.training.options import CrossEntropyOptions, StartingPoint

START = StartingPoint(name="a", digest="d", folder="/nowhere", views=("front",), channels=("grey",))


def test_a_variant_changes_the_named_places_alone():
    plain = ExperimentSettings()
    changed = plain.changed({"objectives.affect_vlm.pairs": 0.0, "views": ("front",)})
    assert changed.objectives.affect_vlm.pairs == 0
    assert changed.views == ("front",)
    assert changed.changed({"objectives.affect_vlm.pairs": plain.objectives.affect_vlm.pairs, "views": ()}) == plain


@pytest.mark.parametrize("path", ["objectives.affect_vlm.pear", "nothing.at.all"])
def test_a_place_that_does_not_exist_is_named(path):
    with pytest.raises(KeyError, match=path):
        ExperimentSettings().changed({path: 1})


def test_a_value_that_is_not_allowed_is_refused():
    with pytest.raises(ValueError, match="mix"):
        ExperimentSettings().changed({"augment.mix": 2.0})


@pytest.mark.parametrize(
    ("study", "variant"), [(study, variant) for study in STUDIES.values() for variant in study.variants]
)
def test_every_variant_fits_a_setting_and_differs_from_the_first(study, variant):
    varied, first = (
        (ExperimentSettings(start=START).changed(one.changes), one.method, one.readout)
        for one in (variant, study.variants[0])
    )
    assert variant is study.variants[0] or varied != first


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_variants_have_names_of_their_own(study):
    assert len({variant.name for variant in study.variants}) == len(study.variants)


def test_some_variants_can_be_asked_for_and_the_first_is_always_there():
    assert [variant.name for variant in study_named("ablation", ("no_pairs",)).variants] == ["full", "no_pairs"]


def test_a_variant_brings_the_one_it_is_compared_with():
    variants = study_named("label_efficiency", ("scratch_5",)).variants
    assert [variant.name for variant in variants] == ["smile_3", "smile_5", "scratch_5"]


@pytest.mark.parametrize(("name", "variants"), [("weather", ()), ("ablation", ("rain",))])
def test_what_is_unknown_is_refused_with_what_is_known(name, variants):
    with pytest.raises(ValueError, match=r"convergence|full"):
        study_named(name, variants)


def test_each_number_of_labelled_subjects_is_a_pair_of_its_own():
    variants = {variant.name: variant for variant in LABEL_EFFICIENCY}
    assert len(variants) == 6
    for variant in LABEL_EFFICIENCY:
        way, count = variant.name.split("_")
        assert variant.against == f"smile_{count}"
        assert variant.changes == variants[f"smile_{count}"].changes == {"labelled_subjects": int(count)}
        assert (variant.method, variant.readout) == {
            "smile": ("smile_vlm", "linear_probe"),
            "scratch": ("cross_entropy", "head"),
        }[way]


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_a_variant_stands_below_the_one_it_is_compared_with(study):
    """The page says so: the last variant above it that is compared with nobody."""
    above = study.variants[0].name
    for variant in study.variants[1:]:
        above = variant.name if variant.against == variant.name else above
        assert (variant.against or study.variants[0].name) == above


def test_each_regime_is_compared_with_its_own_full_model():
    assert len(SMILE_REGIMES) == 3 * len(REGIMES)
    for variant in SMILE_REGIMES:
        regime = variant.against.removesuffix("_full")
        part = variant.name.removeprefix(f"{regime}_")
        varied, full = (ExperimentSettings().changed(changes) for changes in (variant.changes, REGIMES[regime][1]))
        terms = varied.objectives.smile_vlm
        assert (terms.decorrelation == 0, terms.gamma == 0) == (part == "no_decorrelation", part == "no_redundancy")
        assert varied.model_copy(update={"objectives": full.objectives}) == full


def test_views_that_nobody_would_fit_on_are_refused():
    with pytest.raises(ValueError, match="set tested_views"):
        ExperimentSettings(fitted_views=("front",))


def test_a_changed_objective_of_the_peer_is_that_of_its_arms(monkeypatch, sequences, split):
    """From the node's parameter through the study's settings into what the variant is trained by."""
    seen = []

    def stand_in(variants, options, split, data, settings, store, engine):
        seen.extend((variant, settings.changed(variant.changes)) for variant in variants)
        return StudyTables(sequences.assign(variant="", seed=0), pd.DataFrame())

    monkeypatch.setattr("affect4d.experiments.studies_and_cross_validation.run_study", stand_in)
    plain, objective = ExperimentSettings(), CrossEntropyOptions(label_smoothing=0.25)
    given = (
        plain.inputs, plain.model, plain.prompts, plain.pseudo_labels,
        AffectMethod(), SmileMethod(), CrossEntropyMethod(objective=objective),
    )  # fmt: skip
    affect, smile, baseline = collect_settings(*given)
    assert [settings.method for settings in (affect, smile, baseline)] == ["affect_vlm", "smile_vlm", "cross_entropy"]
    options = StudyOptions(name="convergence", variants=("cross_entropy",))
    data = TrialData(sequences.assign(checksum=""), sequences, None, None)
    run_trials(data, {}, split.to_dict(), None, options, affect, smile)
    trained = {variant.name: getattr(settings.objectives, variant.method) for variant, settings in seen}
    assert trained["cross_entropy"] == baseline.objectives.cross_entropy == objective
    assert trained["affect_vlm"] == Objectives().affect_vlm
