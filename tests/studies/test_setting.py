import pytest

from affect4d.pipelines import cross_validate, studies
from affect4d.studies.arms import STUDIES, study_named
from affect4d.studies.setting import Setting


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


@pytest.mark.parametrize(("name", "arms"), [("weather", ()), ("ablation", ("rain",))])
def test_what_is_unknown_is_refused_with_what_is_known(name, arms):
    with pytest.raises(ValueError, match=r"convergence|whole"):
        study_named(name, arms)


@pytest.mark.parametrize("pipeline", [cross_validate.create_pipeline(), studies.create_pipeline()])
def test_the_peers_objective_is_the_runs_own(pipeline):
    assert "params:cross_entropy.objective" in pipeline.inputs()
