import pytest

from affect4d.evaluation.comparison import compare_predictions, mcnemar


def test_exact_mcnemar_of_known_counts():
    assert mcnemar(1, 5) == pytest.approx(2 * (1 + 6) / 2**6)
    assert mcnemar(0, 0) == 1.0


def test_a_model_does_not_differ_from_itself(predictions, generator):
    same = compare_predictions(predictions, predictions.sample(frac=1, random_state=0), generator)
    assert (same.difference, same.first_only, same.second_only, same.mcnemar) == (0, 0, 0, 1)
    assert same.permutation == 1.0


def test_a_perfect_model_is_better_than_a_wrong_one_as_surely_as_four_subjects_allow(predictions, generator):
    right = predictions.assign(predicted=predictions["expression"])
    wrong = predictions.assign(predicted="none")
    comparison = compare_predictions(right, wrong, generator)
    assert comparison.difference == 1
    assert comparison.interval == (1, 1)
    assert comparison.first_only == len(predictions)
    assert comparison.permutation == pytest.approx(2 / 2**4)
    assert comparison.mcnemar == pytest.approx(2 / 2.0 ** len(predictions))


def test_different_sequences_are_no_pairs(predictions, generator):
    with pytest.raises(ValueError, match="same sequences"):
        compare_predictions(predictions, predictions.iloc[1:], generator)
