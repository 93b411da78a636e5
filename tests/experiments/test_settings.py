import pytest

from affect4d.experiments.settings import CrossValidationOptions, RobustnessOptions, StudyOptions


@pytest.mark.parametrize(("told", "seeds"), [("0+2", (0, 2)), ("3", (3,)), (3, (3,)), ([0, 1], (0, 1))])
def test_seeds_are_given_as_the_command_line_gives_them(told, seeds):
    assert StudyOptions(name="ablation", seeds=told).seeds == seeds


@pytest.mark.parametrize(
    ("told", "variants"), [("front+unmixed", ("front", "unmixed")), ("front", ("front",)), ("", ())]
)
def test_so_are_variants(told, variants):
    assert StudyOptions(name="ablation", variants=told).variants == variants


def test_a_misspelt_variant_or_study_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match=r"'ablation' has no variant frontt; it has full, .*front, sides"):
        StudyOptions(name="ablation", variants="front+frontt")
    with pytest.raises(ValueError, match=r"no study 'ablatoin'; known studies: convergence"):
        StudyOptions(name="ablatoin", variants="front")


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


def test_former_names_of_parameters_are_still_read():
    assert StudyOptions(name="ablation", arms="front").variants == ("front",)
    former = RobustnessOptions(people=2, damages="light+holes")
    assert former == RobustnessOptions(subjects=2, corruptions=("light", "holes"))
