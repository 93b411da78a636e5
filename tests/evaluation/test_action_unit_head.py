import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge

from affect4d.evaluation import action_unit_head
from affect4d.evaluation.action_unit_head import (
    ActionUnitHead,
    both_cases,
    embed_frames,
    fit_head,
    fit_readout,
    known_frames,
    learnable,
    load_head,
    save_head,
)
from affect4d.left_out import MissingInputError
from affect4d.models import JointEmbedding


def linear_world(rng, frames=400, width=6, noise=0.02):
    features = rng.normal(size=(frames, width)).astype(np.float32)
    weights = rng.normal(scale=0.05, size=(width, 3))
    strengths = 0.5 + features @ weights + noise * rng.normal(size=(frames, 3))
    return features, strengths, np.arange(frames) % 10


def test_ridge_regression_is_scikit_learns(generator, monkeypatch):
    monkeypatch.setattr(action_unit_head, "PENALTIES", (50.0,))
    features, strengths, subjects = linear_world(generator)
    readout = fit_readout(features, strengths, subjects)
    scaled = (features - features.mean(0)) / features.std(0)
    expected = Ridge(50.0).fit(scaled, strengths).predict(scaled)
    np.testing.assert_allclose(readout.predict(features), expected.clip(0, 1), atol=1e-5)


def test_the_expected_error_is_that_on_subjects_never_seen(generator):
    features, strengths, subjects = linear_world(generator, frames=4000, noise=0.05)
    old = subjects < 5
    readout = fit_readout(features[old], strengths[old], subjects[old])
    actual = np.sqrt(np.square(readout.predict(features[~old]) - strengths[~old]).mean(axis=0))
    np.testing.assert_allclose(readout.errors, actual, rtol=0.1)


def test_each_unit_is_fitted_on_the_frames_in_which_it_is_coded(generator):
    features, strengths, subjects = linear_world(generator)
    strengths[:200, 1] = np.nan
    readout = fit_readout(features, strengths, subjects)
    alone = fit_readout(features[200:], strengths[200:, 1:2], subjects[200:])
    # standardised over other frames: the same function but for the penalty's scale
    np.testing.assert_allclose(readout.predict(features)[:, 1], alone.predict(features)[:, 0], atol=0.01)


def test_a_constant_feature_has_no_effect(generator):
    features, strengths, subjects = linear_world(generator)
    features[:, 0] = 7.0
    assert (fit_readout(features, strengths, subjects).weights[0] == 0).all()


def test_one_subject_alone_does_not_do(generator):
    features, strengths, _ = linear_world(generator)
    with pytest.raises(ValueError, match="at least two training subjects"):
        fit_readout(features, strengths, np.zeros(len(features)))


def test_a_unit_coded_for_one_training_subject_is_not_learnt():
    index = pd.MultiIndex.from_product([["a", "b"], [0, 1]], names=["sequence", "frame"])
    strengths = pd.DataFrame({"AU04": [0.0, 1.0, 1.0, 0.0], "AU12": [0.0, 1.0, np.nan, np.nan]}, index=index)
    chosen, owners = learnable(strengths, {"a": "F001", "b": "F002"})
    assert list(chosen) == ["AU04"]
    assert list(owners) == ["F001", "F001", "F002", "F002"]
    with pytest.raises(MissingInputError, match="at least two training subjects"):
        learnable(strengths, {"a": "F001", "b": "F001"})


class RowModel:
    """An encoder that gives the mean of every row of pixels."""

    def embed_views(self, images):
        hidden = images.mean(dim=-1).flatten(2)
        return JointEmbedding(hidden, hidden, hidden[:, 0])


def test_a_head_learns_units_that_are_shown_and_leaves_the_others_out(bank, sequences, truth, small_inputs):
    model, subjects = RowModel(), sequences.set_index("sequence")["subject"].to_dict()
    head = fit_head(model, bank, small_inputs, truth, subjects)
    assert head.names == ("AU12_l",)
    rows, known = known_frames(bank, truth, subjects)
    predicted = head.predict(embed_frames(model, bank, small_inputs, rows, quiet=True).hidden, has_neutral=True)
    assert np.corrcoef(predicted["AU12_l"], known["AU12_l"])[0, 1] > 0.9


def test_a_head_is_fitted_on_training_subjects_alone(model, bank, sequences, truth, small_inputs):
    subjects = sequences.set_index("sequence")["subject"]
    train = subjects[subjects != subjects.iloc[0]].to_dict()
    others = truth.copy()
    others.loc[others.index.get_level_values("sequence").isin(subjects[subjects == subjects.iloc[0]].index)] = 1.0
    first, second = (fit_head(model, bank, small_inputs, one, train) for one in (truth, others))
    assert np.array_equal(first.with_neutral.weights, second.with_neutral.weights)


def test_of_a_large_corpus_some_sequences_are_left_out_and_not_their_middle_frames(
    model, bank, sequences, truth, small_inputs, monkeypatch
):
    subjects, asked = sequences.set_index("sequence")["subject"].to_dict(), {}

    def remember(*given):
        asked.update(sequences=given[2], most=given[3])
        return known_frames(*given)

    monkeypatch.setattr(action_unit_head, "MOST_FRAMES", 6 * len(subjects) // 2)
    monkeypatch.setattr(action_unit_head, "known_frames", remember)
    fit_head(model, bank, small_inputs, truth, subjects)
    assert asked["most"] == 6
    assert len(set(asked["sequences"]) & set(subjects)) == len(subjects) // 2


def test_a_scan_alone_shows_no_movement(bank):
    known, alone = both_cases(bank)
    assert known is bank
    assert torch.equal(alone.neutral, torch.arange(len(bank)))


def test_a_head_is_read_as_it_was_written(model, bank, sequences, truth, small_inputs, tmp_path):
    head = fit_head(model, bank, small_inputs, truth, sequences.set_index("sequence")["subject"].to_dict())
    save_head(head, tmp_path)
    again = load_head(tmp_path)
    assert again.names == head.names
    for one, other in ((head.with_neutral, again.with_neutral), (head.alone, again.alone)):
        np.testing.assert_allclose(other.weights, one.weights, rtol=1e-3, atol=1e-6)
        assert np.array_equal(other.offsets, one.offsets)
        assert np.array_equal(other.errors, one.errors)


def test_weights_of_other_units_are_refused(generator):
    arrays = {"weights": np.zeros((2, 8, 3)), "offsets": np.zeros((2, 3)), "errors": np.zeros((2, 3))}
    with pytest.raises(ValueError, match=r"2 action units has weights of shape \(2, 8, 3\)"):
        ActionUnitHead.from_arrays(["AU01_l", "AU01_r"], arrays)
