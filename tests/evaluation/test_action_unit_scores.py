import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from affect4d.evaluation.action_unit_head import fit_head
from affect4d.evaluation.action_unit_scores import CASES, evaluate_heads, predict_from_measurements, score_strengths
from affect4d.left_out import MissingInputError


@pytest.fixture
def world(generator):
    """Truth and predictions of two units, 8 subjects."""
    truth = pd.DataFrame(generator.random((240, 2)) * [1.0, 0.6], columns=["AU01_l", "AU17"])
    predicted = (0.7 * truth + 0.1 + generator.normal(scale=0.1, size=truth.shape)).clip(0, 1)
    return predicted, truth, np.repeat([f"S{one}" for one in range(8)], 30)


def icc_3_1(first, second):
    """Shrout and Fleiss 1979, by the sums of squares of a two-way analysis of variance."""
    rows = np.stack([first, second], axis=1)
    mean, n = rows.mean(), len(rows)
    between = 2 * np.square(rows.mean(axis=1) - mean).sum() / (n - 1)
    raters = n * np.square(rows.mean(axis=0) - mean).sum()
    residual = (np.square(rows - mean).sum() - between * (n - 1) - raters) / (n - 1)
    return (between - residual) / (between + residual)


def test_scores_are_those_of_other_implementations(world, generator):
    predicted, truth, subjects = world
    scores = score_strengths(predicted, truth, subjects, generator)
    for unit in truth:
        one = scores["units"][unit]
        assert one["f1"] == pytest.approx(f1_score(truth[unit] >= 0.2, predicted[unit] >= 0.2))
        assert one["pearson"] == pytest.approx(np.corrcoef(truth[unit], predicted[unit])[0, 1])
        assert one["icc"] == pytest.approx(icc_3_1(truth[unit], predicted[unit]))
    assert scores["f1"] == pytest.approx(np.mean([one["f1"] for one in scores["units"].values()]))
    low, high = scores["pearson_interval"]
    assert low < scores["pearson"] < high


def test_a_constant_shift_of_one_side_costs_no_consistency(world, generator):
    _, truth, subjects = world
    scores = score_strengths(truth + 0.1, truth, subjects, generator)
    assert scores["icc"] == pytest.approx(1.0)


def test_frames_that_are_not_coded_are_left_out(world, generator):
    predicted, truth, subjects = world
    half = truth.copy()
    half.loc[120:, "AU17"] = np.nan
    scores = score_strengths(predicted, half, subjects, generator)
    assert scores["units"]["AU17"]["f1"] == pytest.approx(
        f1_score(truth["AU17"][:120] >= 0.2, predicted["AU17"][:120] >= 0.2)
    )


def test_a_unit_that_a_model_does_not_know_is_never_claimed(world, generator):
    predicted, truth, subjects = world
    scores = score_strengths(predicted[["AU01_l"]], truth, subjects, generator)
    assert scores["units"]["AU17"]["f1"] == 0
    assert scores["units"]["AU17"]["pearson"] is None


def test_rare_units_are_listed_and_enter_no_mean(world, generator):
    predicted, truth, subjects = world
    rare = truth.assign(AU17=0.0)
    scores = score_strengths(predicted, rare, subjects, generator)
    assert scores["frequent"] == ["AU01_l"]
    assert scores["f1"] == scores["units"]["AU01_l"]["f1"]
    nothing = score_strengths(predicted, truth * 0, subjects, generator)
    assert nothing["f1"] is None
    assert nothing["f1_interval"] is None


@pytest.fixture
def table(truth):
    """Measurements that hold the truth, and noise."""
    noise = np.random.default_rng(1).normal(size=(len(truth), 3))
    return pd.DataFrame(np.hstack([truth.to_numpy(), noise]), index=truth.index)


def test_baselines_are_fitted_on_training_subjects_and_asked_about_the_others(bank, sequences, split, truth, table):
    subjects = sequences.set_index("sequence")["subject"]
    train = subjects[subjects.isin(split.train)].to_dict()
    rows = np.arange(len(bank))
    first = predict_from_measurements(table, bank, truth, train, rows, True)
    assert np.corrcoef(first["AU12_l"], truth["AU12_l"])[0, 1] > 0.99
    holes = table.copy()
    holes.iloc[::7] = np.nan
    assert predict_from_measurements(holes, bank, truth, train, rows, False).notna().all(axis=None)


def test_models_and_baselines_answer_for_the_same_frames_of_test_subjects(
    model, bank, sequences, split, truth, table, small_inputs
):
    head = fit_head(model, bank, small_inputs, truth, sequences.set_index("sequence")["subject"].to_dict())
    found = evaluate_heads(
        {"own": (model, head)}, bank, small_inputs, truth, sequences, split, {"landmark_ridge": table}
    )
    assert tuple(found) == CASES
    for scores in found.values():
        assert list(scores) == ["own", "landmark_ridge"]
        assert {one["frames"] for one in scores.values()} == {5 * sequences["subject"].isin(split.test).sum()}
        assert {one["subjects"] for one in scores.values()} == {len(split.test)}
        assert "sentences" not in scores["landmark_ridge"]
        sentences = scores["own"]["sentences"]
        assert sentences["auc"] == sentences["units"]["AU12_l"]
        assert sentences["units"]["AU12_r"] is None  # never shown
        low, high = sentences["auc_interval"]
        assert 0.0 <= low <= sentences["auc"] <= high <= 1.0


def test_without_coded_test_subjects_nothing_is_scored(model, bank, sequences, split, truth, small_inputs):
    trained = sequences.loc[sequences["subject"].isin(split.train), "sequence"]
    known = truth[truth.index.get_level_values("sequence").isin(trained)]
    with pytest.raises(MissingInputError, match="no frame of a test subject"):
        evaluate_heads({}, bank, small_inputs, known, sequences, split, {})
