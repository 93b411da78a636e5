import pandas as pd
import pytest

from affect4d.experiments.arms import LABEL_EFFICIENCY, REGIMES, SMILE_REGIMES, STUDIES, study_named
from affect4d.experiments.options import StudyOptions
from affect4d.experiments.setting import Objectives, Setting
from affect4d.experiments.study import StudyResult
from affect4d.pipelines import cross_validate, studies
from affect4d.pipelines.studies.nodes import run_trials
from affect4d.training.options import CrossEntropyOptions


def test_an_arm_changes_the_named_places_alone():
    plain = Setting()
    changed = plain.changed({"objectives.affect_vlm.pairs": 0.0, "views": ("front",)})
    assert changed.objectives.affect_vlm.pairs == 0
    assert changed.views == ("front",)
    assert changed.changed({"objectives.affect_vlm.pairs": plain.objectives.affect_vlm.pairs, "views": ()}) == plain


@pytest.mark.parametrize("path", ["objectives.affect_vlm.pear", "nothing.at.all"])
def test_a_place_that_does_not_exist_is_named(path):
    with pytest.raises(KeyError, match=path):
        Setting().changed({path: 1})


def test_a_value_that_is_not_allowed_is_refused():
    with pytest.raises(ValueError, match="mix"):
        Setting().changed({"augment.mix": 2.0})


@pytest.mark.parametrize(("study", "arm"), [(study, arm) for study in STUDIES.values() for arm in study.arms])
def test_every_arm_fits_a_setting_and_differs_from_the_first(study, arm):
    varied = Setting().changed(arm.changes)
    first = study.arms[0]
    assert arm is first or (varied, arm.method) != (Setting().changed(first.changes), first.method)


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_arms_have_names_of_their_own(study):
    assert len({arm.name for arm in study.arms}) == len(study.arms)


def test_some_arms_can_be_asked_for_and_the_first_is_always_there():
    assert [arm.name for arm in study_named("ablation", ("no_pairs",)).arms] == ["whole", "no_pairs"]


def test_an_arm_brings_the_one_it_is_compared_with():
    arms = study_named("label_efficiency", ("scratch_5",)).arms
    assert [arm.name for arm in arms] == ["smile_3", "smile_5", "scratch_5"]


@pytest.mark.parametrize(("name", "arms"), [("weather", ()), ("ablation", ("rain",))])
def test_what_is_unknown_is_refused_with_what_is_known(name, arms):
    with pytest.raises(ValueError, match=r"convergence|whole"):
        study_named(name, arms)


@pytest.mark.parametrize("pipeline", [cross_validate.create_pipeline(), studies.create_pipeline()])
def test_the_peers_objective_is_the_runs_own(pipeline):
    assert "params:cross_entropy.objective" in pipeline.inputs()


def test_each_number_of_labelled_people_is_a_pair_of_its_own():
    arms = {arm.name: arm for arm in LABEL_EFFICIENCY}
    assert len(arms) == 6
    for arm in LABEL_EFFICIENCY:
        way, count = arm.name.split("_")
        assert arm.against == f"smile_{count}"
        assert arm.changes == arms[f"smile_{count}"].changes == {"labelled_subjects": int(count)}
        assert (arm.method, arm.reading) == {
            "smile": ("smile_vlm", "linear_probe"),
            "scratch": ("cross_entropy", "head"),
        }[way]


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_an_arm_stands_below_the_one_it_is_compared_with(study):
    """The page says so: the last arm above it that is compared with nobody."""
    above = study.arms[0].name
    for arm in study.arms[1:]:
        above = arm.name if arm.against == arm.name else above
        assert (arm.against or study.arms[0].name) == above


def test_each_regime_is_compared_with_its_own_whole():
    assert len(SMILE_REGIMES) == 3 * len(REGIMES)
    for arm in SMILE_REGIMES:
        regime = arm.against.removesuffix("_whole")
        part = arm.name.removeprefix(f"{regime}_")
        varied, whole = (Setting().changed(changes) for changes in (arm.changes, REGIMES[regime][1]))
        terms = varied.objectives.smile_vlm
        assert (terms.decorrelation == 0, terms.gamma == 0) == (part == "no_decorrelation", part == "no_redundancy")
        assert varied.model_copy(update={"objectives": whole.objectives}) == whole


def test_views_that_nobody_would_fit_on_are_refused():
    with pytest.raises(ValueError, match="name asked_views"):
        Setting(fitted_views=("front",))


def test_views_that_refreshed_clusters_would_not_heed_are_refused():
    refreshed = {"pseudo_labels.source": "cluster", "pseudo_labels.cluster.refreshes": 1}
    assert Setting().changed(refreshed).views == ()
    assert Setting().changed({"views": ("front",), "pseudo_labels.cluster.refreshes": 1}).views == ("front",)
    with pytest.raises(ValueError, match=r"set pseudo_labels.cluster.refreshes to 0, or leave views empty"):
        Setting().changed({**refreshed, "views": ("front",)})


def test_a_changed_objective_of_the_peer_is_that_of_its_arms(monkeypatch, sequences, split):
    """From the node's parameter through the study's setting into what the arm is trained by."""
    seen = []

    def stand_in(arms, options, split, data, setting, store, engine):
        seen.extend((arm, setting.changed(arm.changes)) for arm in arms)
        return StudyResult(sequences.assign(arm="", seed=0), pd.DataFrame())

    monkeypatch.setattr("affect4d.experiments.study.run_study", stand_in)
    views = sequences.assign(checksum="")
    parts = (Setting(), Objectives())
    _, account = run_trials(
        views, sequences, None, split.to_dict(), {"name": "faces"}, None, None,
        StudyOptions(name="convergence", arms=("cross_entropy",)), parts[0].inputs, parts[0].model, parts[0].prompts,
        parts[0].pseudo_labels, parts[0].train, parts[0].augment, parts[1].affect_vlm, parts[0].train,
        parts[0].augment, parts[1].smile_vlm, CrossEntropyOptions(label_smoothing=0.25),
    )[1:]  # fmt: skip
    smoothing = {arm.name: getattr(setting.objectives, arm.method) for arm, setting in seen}
    assert smoothing["cross_entropy"] == CrossEntropyOptions(label_smoothing=0.25)
    assert smoothing["affect_vlm"] == Objectives().affect_vlm
    assert account["basis"]["split"] == split.digest
