"""The rules of the source ``geometry``: what is usual, which emotion a pattern is typical of; fitted without labels.

Prototypes come from the field's common table (:mod:`affect4d.prompts.action_coding`) and know nothing of a corpus: that
its people raise their brows for emphasis, or that two measurements err together. So the rules then teach themselves:
a linear discriminant is fitted to what they say of the training sequences, and again to what it says, a few times
(self-training; the discriminant knows what varies together for no reason, the prototypes do not). [ours]
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.special import softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from affect4d.prompts.action_coding import prototype_scores
from affect4d.prompts.action_measurement import MEASUREMENTS
from affect4d.prompts.pseudo_labels.assignment import balancing_offsets
from affect4d.prompts.pseudo_labels.options import GeometryOptions
from affect4d.scans.expression import EXPRESSIONS

SMALLEST_SPREAD = 0.002
"""Share of the eye distance (about 0.2 mm, a scanner's noise): nothing smaller counts as usual movement."""
TEMPERATURE = 0.1
"""Turns cosines with the prototypes into shares."""
FEWEST = 5
"""Training sequences of every emotion that a discriminant needs; with fewer, the prototypes have the last word."""


@dataclass(frozen=True)
class Rules:
    """From measurements to scores, from scores to emotions.

    Attributes:
        spread: For each measurement, 1.4826 × the median, over sequences, of its absolute apex value (the median
            absolute deviation about *no movement*), in shares of the eye distance.
        offsets: What balanced assignment adds to each emotion's logit, in the order of ``EXPRESSIONS``.
        discriminant: What the rules taught themselves; None where the prototypes decide.
    """

    spread: Mapping[str, float]
    offsets: tuple[float, ...]
    discriminant: LinearDiscriminantAnalysis | None = None

    def scores(self, measurements: pd.DataFrame) -> pd.DataFrame:
        """Measurements as scores, −1…1: tanh(x / (2 spread)); an untracked measurement scores 0."""
        spread = np.array([self.spread[name] for name in MEASUREMENTS])
        values = np.nan_to_num(np.tanh(measurements[list(MEASUREMENTS)].to_numpy() / spread / 2))
        return pd.DataFrame(values, index=measurements.index, columns=list(MEASUREMENTS))

    def emotions(self, scores: pd.DataFrame) -> pd.DataFrame:
        """Share of each emotion in what moved; one row a row of scores, rows sum to one.

        Even shares where nothing moved.
        """
        shares = softmax(_logits(scores, self.discriminant) + np.array(self.offsets), axis=1)
        shares[~scores.to_numpy().any(axis=1)] = 1 / len(EXPRESSIONS)
        return pd.DataFrame(shares, index=scores.index, columns=list(EXPRESSIONS))


def fit_rules(measurements: pd.DataFrame, options: GeometryOptions, balanced: bool) -> Rules:
    """Learn from the training subjects' sequences what is usual and what goes together, without labels.

    Args:
        measurements: Of training subjects only; one row a sequence.
        options: How often the rules teach themselves.
        balanced: Also even out the emotions (Sinkhorn), so that none swallows the others. It assumes that the corpus
            shows all six about equally often, as posed corpora do.

    Raises:
        ValueError: If there is no sequence.
    """
    if measurements.empty:
        raise ValueError("No sequence of a training subject could be measured: check the subject split.")
    spread = (1.4826 * measurements.abs().median()).fillna(1.0).clip(lower=SMALLEST_SPREAD)
    usual = Rules(dict(spread), (0.0,) * len(EXPRESSIONS))
    scores = usual.scores(measurements)
    rules = _decided_by(None, usual, scores, balanced)
    for _ in range(options.self_training):
        said = rules.emotions(scores).to_numpy().argmax(axis=1)
        if np.bincount(said, minlength=len(EXPRESSIONS)).min() < FEWEST:
            return rules
        rules = _decided_by(_discriminant(scores, said), usual, scores, balanced)
    return rules


def _decided_by(
    discriminant: LinearDiscriminantAnalysis | None, usual: Rules, scores: pd.DataFrame, balanced: bool
) -> Rules:
    """The rules with another judge, evened out over the training sequences where that is asked for."""
    logits = _logits(scores, discriminant)
    offsets = balancing_offsets(logits, temperature=1.0) if balanced else np.zeros(len(EXPRESSIONS))
    return Rules(usual.spread, tuple(offsets.tolist()), discriminant)


def _discriminant(scores: pd.DataFrame, said: Float[np.ndarray, " sequences"]) -> LinearDiscriminantAnalysis:
    """Fisher's linear discriminant with Ledoit and Wolf's shrinkage, all emotions equally likely."""
    even = np.full(len(EXPRESSIONS), 1 / len(EXPRESSIONS))
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=even).fit(scores.to_numpy(), said)


def _logits(scores: pd.DataFrame, discriminant: LinearDiscriminantAnalysis | None) -> np.ndarray:
    if discriminant is None:
        return prototype_scores(scores).to_numpy() / TEMPERATURE
    return np.asarray(discriminant.decision_function(scores.to_numpy()))
