"""Rules on measurements made to order."""

import numpy as np
import pandas as pd
import pytest

from affect4d.prompts.action_coding import ACTION_EFFECTS, EMOTION_ACTIONS
from affect4d.prompts.action_measurement import MEASUREMENTS
from affect4d.prompts.pseudo_labels.options import GeometryOptions
from affect4d.prompts.pseudo_labels.rules import fit_rules
from affect4d.scans.expression import EXPRESSIONS

PATTERNS = np.array(
    [
        [
            sum(weight * ACTION_EFFECTS[action].get(name, 0.0) for action, weight in EMOTION_ACTIONS[emotion].items())
            for name in MEASUREMENTS
        ]
        for emotion in EXPRESSIONS
    ]
)
TALK = np.array([name in ("jaw_drop", "lip_parting", "lower_lip_lowering", "lip_protrusion") for name in MEASUREMENTS])


@pytest.fixture
def talking():
    """240 sequences in which people also talk, some much, whatever they show; and the truth."""
    rng = np.random.default_rng(0)
    truth = np.arange(240) % 6
    moved = 0.03 * PATTERNS[truth] * rng.uniform(0.5, 1.0, (240, 1)) + rng.normal(0, 0.008, (240, len(MEASUREMENTS)))
    moved += TALK * rng.normal(0, 0.15, (240, 1))
    return pd.DataFrame(moved, columns=list(MEASUREMENTS)), np.array(EXPRESSIONS)[truth]


def right(moved, truth, rounds):
    rules = fit_rules(moved, GeometryOptions(self_training=rounds), balanced=True)
    return (rules.emotions(rules.scores(moved)).idxmax(axis=1) == truth).mean()


def test_rules_teach_themselves_what_prototypes_cannot_know(talking):
    moved, truth = talking
    assert right(moved, truth, 0) < 0.9
    assert right(moved, truth, 5) > right(moved, truth, 0) + 0.05


def test_shares_sum_to_one_and_scores_are_bounded(talking):
    moved, _ = talking
    rules = fit_rules(moved, GeometryOptions(), balanced=True)
    scores = rules.scores(10 * moved)
    assert np.abs(scores.to_numpy()).max() <= 1
    np.testing.assert_allclose(rules.emotions(scores).sum(axis=1), 1.0)


def test_spread_is_robust_and_never_below_a_scanners_noise(talking):
    moved, _ = talking
    wild = moved.copy()
    wild.iloc[::10] *= 1000.0
    options = GeometryOptions()
    usual, odd = fit_rules(moved, options, balanced=True), fit_rules(wild, options, balanced=True)
    assert all(odd.spread[name] < 1.5 * usual.spread[name] for name in MEASUREMENTS)
    assert set(fit_rules(moved * 0, options, balanced=True).spread.values()) == {0.002}
