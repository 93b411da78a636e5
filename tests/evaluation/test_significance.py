import numpy as np
import pandas as pd
import pytest

from affect4d.evaluation.significance import (
    compare_crossed,
    compare_models,
    compare_predictions,
    crossed_interval,
    holm,
    mcnemar,
    subject_interval,
)


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


def test_holm_is_the_step_down_of_the_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_comparisons_made_together_are_corrected_and_absent_models_left_out(predictions, generator):
    tables = {"right": predictions["expression"], "wrong": "none", "made_up": predictions["predicted"]}
    together = pd.concat([predictions.assign(model=name, predicted=said) for name, said in tables.items()])
    found = compare_models(together, [("right", "wrong"), ("right", "made_up"), ("right", "absent")], generator)
    assert set(found) == {("right", "wrong"), ("right", "made_up")}
    assert found["right", "wrong"].corrected == pytest.approx(2 * found["right", "wrong"].permutation)


def test_mcnemar_is_that_of_the_published_table():
    # Agresti, Categorical Data Analysis, table 10.1: 150 approve the first time only, 86 the second time only.
    assert mcnemar(150, 86) == pytest.approx(3.7e-5, rel=0.02)


def test_one_person_alone_decides_nothing(predictions, generator):
    one = predictions[predictions["subject"] == predictions["subject"].iloc[0]]
    right, wrong = one.assign(predicted=one["expression"]), one.assign(predicted="none")
    together = pd.concat([right.assign(model="right"), wrong.assign(model="wrong")])
    assert compare_models(together, [("right", "wrong")], generator)["right", "wrong"].corrected == 1.0


def test_the_interval_is_reproducible():
    values, subjects = np.array([1.0, 0, 1, 1, 0, 1]), pd.Series(list("AABBCC"))
    intervals = [subject_interval(values, subjects, np.random.default_rng(7)) for _ in range(2)]
    assert intervals[0] == intervals[1]


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
def test_an_interval_lies_between_the_quantiles_of_means_of_people_drawn_anew(coverage):
    generator = np.random.default_rng(3)
    subjects = pd.Series(np.repeat(list("ABCDEFGH"), [1, 2, 3, 4, 5, 6, 7, 8]))
    values = generator.random(len(subjects))
    found = subject_interval(values, subjects, np.random.default_rng(5), 400, coverage)
    picks, means = np.random.default_rng(5).integers(8, size=(400, 8)), []
    for drawn in picks:
        means.append(np.concatenate([values[(subjects == "ABCDEFGH"[who]).to_numpy()] for who in drawn]).mean())
    ordered, outside = np.sort(means), (1 - coverage) / 2
    assert found[0] == pytest.approx(np.interp(outside * 399, np.arange(400), ordered))
    assert found[1] == pytest.approx(np.interp((1 - outside) * 399, np.arange(400), ordered))


def test_sequences_of_one_subject_that_stand_or_fall_together_widen_the_interval():
    subjects = pd.Series([f"S{number}" for number in range(12) for _ in range(10)])
    values = np.repeat(np.arange(12) % 2, 10).astype(float)
    single = pd.Series(np.arange(120).astype(str))
    clustered = np.ptp(subject_interval(values, subjects, np.random.default_rng(0)))
    independent = np.ptp(subject_interval(values, single, np.random.default_rng(0)))
    assert clustered > 2 * independent


SUBJECTS = pd.Series(np.repeat(np.arange(30).astype(str), 6))


def simulated_gains(generator, seeds=12, effect=0.03, seed_spread=0.02, subject_spread=0.05):
    """Differences of two variants on crossed seeds and subjects, with effects of each and noise of each sequence."""
    by_seed, by_subject = generator.normal(0, seed_spread, (seeds, 1)), generator.normal(0, subject_spread, 30)
    noise = generator.normal(0, 0.3, (seeds, len(SUBJECTS)))
    return effect + by_seed + by_subject[SUBJECTS.astype(int)] + noise


def test_seeds_and_subjects_are_both_covered_by_a_crossed_comparison():
    """95 % of the intervals of 200 simulated studies hold the true effect; over one factor alone, too few do."""
    generator = np.random.default_rng(0)
    covered = {"interval": 0, "seed_interval": 0, "crossed_interval": 0}
    for _ in range(200):
        found = compare_crossed(simulated_gains(generator), SUBJECTS, generator, draws=200)
        for name in covered:
            low, high = getattr(found, name)
            covered[name] += low < 0.03 < high
    assert covered["interval"] >= 186
    assert covered["seed_interval"] < 180


def test_a_variant_does_not_differ_from_itself():
    found = compare_crossed(np.zeros((5, len(SUBJECTS))), SUBJECTS, np.random.default_rng(0))
    assert (found.difference, found.interval, found.p) == (0, (0, 0), 1.0)


def test_the_paired_t_test_over_seeds_is_the_textbook_one():
    gains = np.repeat([[0.1], [0.2], [0.3]], len(SUBJECTS), axis=1)
    found = compare_crossed(gains, SUBJECTS, np.random.default_rng(0))
    half = 4.302653 * 0.1 / np.sqrt(3)
    assert found.seed_interval == pytest.approx((0.2 - half, 0.2 + half), rel=1e-5)
    assert found.p == pytest.approx(0.0741799, rel=1e-4)


def test_a_single_seed_has_no_test_and_the_interval_of_its_subjects(generator):
    gains = generator.normal(0.1, 0.3, (1, len(SUBJECTS)))
    found = compare_crossed(gains, SUBJECTS, np.random.default_rng(1))
    assert found.p == 1.0
    alone = subject_interval(gains[0], SUBJECTS, np.random.default_rng(2))
    assert found.interval == pytest.approx(alone, abs=0.01)


def test_the_crossed_bootstrap_agrees_with_one_written_with_loops():
    generator = np.random.default_rng(4)
    values, subjects = generator.random((3, 10)), pd.Series(list("AAABBBBCCC"))
    means, loop = [], np.random.default_rng(5)
    for _ in range(3000):
        picked = [np.flatnonzero(subjects == name) for name in loop.choice(list("ABC"), 3)]
        rows = values[loop.integers(3, size=3)]
        means.append(np.concatenate([rows[:, columns].ravel() for columns in picked]).mean())
    expected = np.quantile(means, [0.025, 0.975])
    assert crossed_interval(values, subjects, generator, draws=3000) == pytest.approx(tuple(expected), abs=0.02)
