import numpy as np
import pytest

from affect4d.pseudo_labels.sinkhorn import balancing_offsets, top_margin


def test_sinkhorn_fills_the_columns_evenly():
    scores = np.random.default_rng(0).normal(size=(60, 4)) + np.array([2.0, 0.0, 0.0, -1.0])
    offsets = balancing_offsets(scores, temperature=0.5, steps=500)
    shares = np.exp((scores + offsets) / 0.5)
    shares /= shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares.sum(axis=0), 15.0, atol=1e-6)
    assert offsets.mean() == pytest.approx(0.0, abs=1e-12)


def test_the_lead_is_best_minus_second_best():
    assert top_margin(np.array([[0.2, 0.7, 0.1], [0.5, 0.5, 0.0]])) == pytest.approx([0.5, 0.0])
