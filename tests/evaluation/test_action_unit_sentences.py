"""Action units by sentences: the AUC is the published one, and a face that says a sentence is found by it."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from affect4d.evaluation.action_unit_sentences import score_sentences, sentence_similarities, weighted_auc
from affect4d.prompts.action_unit_captions import unit_sentences, wordings


class LipModel:
    """Embeds sentences about lips along one axis, any other along the other."""

    def eval(self):
        return self

    def preprocess_texts(self, texts):
        return torch.tensor([[float("lip" in text), float("lip" not in text)] for text in texts])

    def embed_texts(self, inputs):
        return inputs


def test_the_weighted_auc_is_that_of_scikit_learn(generator):
    scores, strengths = generator.normal(size=60), generator.random(60)
    strengths[:5] = np.nan
    weights = np.vstack([np.ones(60), generator.integers(0, 3, (4, 60))])
    found, known = weighted_auc(scores, strengths, weights), ~np.isnan(strengths)
    for values, auc in zip(weights, found, strict=True):
        expected = roc_auc_score(strengths[known] >= 0.2, scores[known], sample_weight=values[known])
        assert auc == pytest.approx(expected)


def test_without_frames_of_both_kinds_there_is_no_auc():
    assert np.isnan(weighted_auc(np.arange(3.0), np.ones(3), np.ones((1, 3)))).all()


def test_a_frame_is_scored_by_its_sentences_less_those_of_all_units():
    fused = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    found = sentence_similarities(LipModel(), fused, ["AU10", "AU09_l", "AU99"])
    assert list(found) == ["AU10", "AU09_l"]
    assert found["AU10"].tolist() == [0.5, -0.5]
    assert found["AU09_l"].tolist() == [-0.5, 0.5]


def test_the_mean_is_over_frequent_units_with_its_interval_over_subjects(generator):
    truth = pd.DataFrame({"AU25": [0.0, 1.0] * 20, "AU26": [1.0, 0.0] * 20, "AU09_l": 0.0})
    similarities = pd.DataFrame({"AU25": truth["AU25"], "AU26": -truth["AU26"], "AU09_l": 0.5})
    subjects = np.repeat(list("ABCDEFGHIJ"), 4)
    found = score_sentences(similarities, truth, subjects, ["AU25", "AU26", "AU99"], generator)
    assert found["units"] == {"AU25": 1.0, "AU26": 0.0, "AU09_l": None}
    assert found["auc"] == 0.5
    assert found["auc_interval"] == [0.5, 0.5]
    assert score_sentences(similarities, truth, subjects, [], generator)["auc"] is None


def test_every_unit_with_wordings_has_sentences_and_sides_are_named():
    assert all(len(unit_sentences(unit)) >= 3 for unit in wordings() if "+" not in unit)
    assert all("left" in text for text in unit_sentences("AU12_l"))
    assert unit_sentences("AU99") == []
