import numpy as np
import pytest

from affect4d.evaluation.retrieval import retrieval_scores, retrieve_both_ways


def test_hand_computed_rankings():
    similarities = np.array([[0.9, 0.8, 0.7, 0.6], [0.1, 0.2, 0.3, 0.4], [0.5, 0.4, 0.3, 0.2]])
    relevant = np.array([[True, False, True, False], [True, True, False, False], [False, False, False, False]])
    scores = retrieval_scores(similarities, relevant)
    assert scores["recall_1"] == 0.5
    assert scores["recall_5"] == 1.0
    assert scores["mean_average_precision"] == pytest.approx(((1 + 2 / 3) / 2 + (1 / 3 + 2 / 4) / 2) / 2)
    assert scores["chance"] == 0.5
    assert scores["queries"] == 2


def test_average_precision_equals_its_definition(generator):
    similarities = generator.normal(size=(7, 30))
    relevant = generator.random((7, 30)) < 0.2
    relevant[:, 0] = True
    values = []
    for row, fits in zip(similarities, relevant, strict=True):
        ordered = fits[np.argsort(-row)]
        values.append(np.mean([ordered[: place + 1].mean() for place in np.flatnonzero(ordered)]))
    assert retrieval_scores(similarities, relevant)["mean_average_precision"] == pytest.approx(np.mean(values))


def test_both_directions_ask_about_expressions():
    fused, texts = np.eye(3), {"anger": np.eye(3)[[0, 0]], "fear": np.eye(3)[[1]]}
    scores = retrieve_both_ways(fused, ["anger", "fear", "fear"], texts)
    assert scores["text_to_scan"]["queries"] == 3
    assert scores["text_to_scan"]["recall_1"] == 1.0
    assert scores["scan_to_text"]["queries"] == 3
    assert scores["scan_to_text"]["recall_1"] == pytest.approx(2 / 3)


def test_nothing_to_find_is_said():
    with pytest.raises(ValueError, match="nothing to find"):
        retrieval_scores(np.zeros((2, 2)), np.zeros((2, 2), bool))
