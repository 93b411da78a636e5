"""Action units by sentences alone: whether a face is nearer to "the lips are parted" than to other units' sentences."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64

from affect4d.evaluation.significance import percentile_interval
from affect4d.evaluation.zero_shot import PromptModel, prompt_embeddings
from affect4d.prompts.action_unit_captions import unit_sentences
from affect4d.scans.action_unit_truth import PRESENT

DRAWS = 300


def sentence_similarities(
    model: PromptModel, fused: Float[np.ndarray, "frames dim"], units: Sequence[str]
) -> pd.DataFrame:
    """Mean cosine with the sentences about each unit, less the mean over all units; a row a frame.

    The mean takes away what all faces share with all sentences. Denials do not serve in its place: the models hardly
    tell "the lips are not parted" from "the lips are parted" (docs/results.md).

    Args:
        fused: Unit vectors of frames in the joint space.
        units: As in :mod:`affect4d.scans.action_unit_truth`; those without sentences are left out.
    """
    sentences = {unit: said for unit in units if (said := unit_sentences(unit))}
    vectors = prompt_embeddings(model, sentences)
    found = pd.DataFrame({unit: fused @ own.mean(axis=0) for unit, own in vectors.items()}, index=range(len(fused)))
    return found.sub(found.mean(axis=1), axis=0)


def score_sentences(
    similarities: pd.DataFrame,
    truth: pd.DataFrame,
    subjects: np.ndarray,
    frequent: Sequence[str],
    generator: np.random.Generator,
) -> dict[str, Any]:
    """Area under the ROC curve (AUC) of presence, per unit and as a mean over frequent units.

    Args:
        similarities: A row a frame, a column a unit.
        truth: Strengths, 0…1, the same rows; NaN is left out.
        subjects: Subject of every row, over which the 95 % interval of the mean is bootstrapped.
        frequent: Units that count in the mean, where there are sentences about them.

    Returns:
        ``auc``, ``auc_interval`` (None without any unit), and ``units``: AUC by name, None where all frames show a unit
        or none does.
    """
    codes, names = pd.factorize(subjects)
    draws = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=DRAWS)
    weights = np.vstack([np.ones(len(codes)), draws[:, codes]])  # the frames themselves, then every draw of subjects
    curves = {
        unit: weighted_auc(similarities[unit].to_numpy(), truth[unit].to_numpy(), weights) for unit in similarities
    }
    known = [curves[unit] for unit in frequent if unit in curves and not np.isnan(curves[unit][0])]
    means = np.nanmean(known, axis=0) if known else None
    return {
        "auc": None if means is None else float(means[0]),
        "auc_interval": None if means is None else list(percentile_interval(means[1:])),
        "units": {unit: None if np.isnan(values[0]) else float(values[0]) for unit, values in curves.items()},
    }


def weighted_auc(
    scores: Float[np.ndarray, " frames"],
    strengths: Float[np.ndarray, " frames"],
    weights: Float[np.ndarray, "draws frames"],
) -> Float64[np.ndarray, " draws"]:
    """AUC of presence by scores for every row of frame weights; NaN where one of the two kinds has no weight.

    Equal scores count as in order; frames of unknown strength are left out.
    """
    order = np.argsort(scores, kind="stable")
    order = order[~np.isnan(strengths[order])]
    shown = strengths[order] >= PRESENT
    positive, negative = weights[:, order] * shown, weights[:, order] * ~shown
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    ranked = (positive * np.cumsum(negative, axis=1)).sum(axis=1)
    auc = np.full(len(weights), np.nan)
    np.divide(ranked, pairs, out=auc, where=pairs > 0)
    return auc
