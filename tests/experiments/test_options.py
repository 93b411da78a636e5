import pytest

from affect4d.experiments.options import CrossValidationOptions, StudyOptions


@pytest.mark.parametrize(("told", "seeds"), [("0+2", (0, 2)), ("3", (3,)), (3, (3,)), ([0, 1], (0, 1))])
def test_seeds_are_given_as_the_command_line_gives_them(told, seeds):
    assert StudyOptions(name="ablation", seeds=told).seeds == seeds


@pytest.mark.parametrize(("told", "arms"), [("front+unmixed", ("front", "unmixed")), ("front", ("front",)), ("", ())])
def test_so_are_arms(told, arms):
    assert StudyOptions(name="ablation", arms=told).arms == arms


def test_a_misspelt_arm_or_study_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match=r"'ablation' has no arm frontt; it has whole, .*front, sides"):
        StudyOptions(name="ablation", arms="front+frontt")
    with pytest.raises(ValueError, match=r"no study 'ablatoin'; known studies: convergence"):
        StudyOptions(name="ablatoin", arms="front")


@pytest.mark.parametrize("name", ["10fold", "0-fold", "leave_one_out", ""])
def test_a_protocol_that_no_corpus_has_is_refused_before_anything_runs(name):
    with pytest.raises(ValueError, match=r"no protocol .*10-fold.*cross-dataset.*60_of_65"):
        CrossValidationOptions(protocol=name)


@pytest.mark.parametrize("name", ["7-fold", "leave-one-subject-out", "3-draws", "cross-dataset", "P1", "60_of_65"])
def test_a_protocol_of_any_corpus_passes(name):
    assert CrossValidationOptions(protocol=name).protocol == name


def test_a_study_without_a_seed_is_refused():
    with pytest.raises(ValueError, match="seeds"):
        StudyOptions(name="ablation", seeds="")
