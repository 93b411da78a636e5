"""Leave-one-subject-out: who is judged was seen neither by the head nor, unlabelled, by what it stands on."""

from collections.abc import Collection
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from affect4d.evaluation.counts import count_classes, unweighted_f1, unweighted_f1_of, unweighted_recall
from affect4d.evaluation.metrics import COVERAGE, DRAWS
from affect4d.evaluation.micro.clips import targets
from affect4d.evaluation.micro.features import ClipFeatures
from affect4d.evaluation.micro.heads import Head
from affect4d.scans.expression import LABEL_JOINT, MICRO_EXPRESSIONS

ENOUGH = 0.5
"""A class is said to be there from this share on; the likeliest one in any case."""


class MicroScores(TypedDict):
    """Scores from counts summed over all folds (MEGC), 0…1.

    Attributes:
        uf1: Mean F1 over the classes that occur.
        uar: Mean recall over the classes that occur.
        per_class: F1 of each.
        interval: 95 % interval of UF1, whole subjects drawn anew.
        exact: Share of clips whose classes are all, and only, those that are there.
        clips: How many were judged.
        subjects: Of how many people.
    """

    uf1: float
    uar: float
    per_class: dict[str, float]
    interval: list[float]
    exact: float
    clips: int
    subjects: int


def judge_left_out(
    head: Head,
    features: ClipFeatures,
    clips: pd.DataFrame,
    unseen: Collection[str],
    model: str,
    *,
    one_class: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Judge every clip of unseen people by a head that was fitted on everybody else's clips.

    Args:
        head: Fits and judges.
        features: One row a clip.
        clips: Rows of :func:`~affect4d.evaluation.micro.clips.labelled_clips`.
        unseen: Who is judged; each is left out in turn. Everybody, where the features learnt from nobody.
        model: Whose predictions these are.
        one_class: Only clips of a single class, each given a single one.
        seed: Of the head.

    Returns:
        ``model, sequence, subject, label, predicted, prob_positive …``; several classes are joined by ``+``.

    Raises:
        ValueError: If nobody is left to fit on, or nobody to judge.
    """
    kept = ~clips["label"].str.contains(LABEL_JOINT, regex=False) if one_class else clips["label"].notna()
    table, seen = clips[kept.to_numpy()].reset_index(drop=True), features[kept.to_numpy()]
    told = targets(table["label"]).numpy()
    people = sorted(set(table["subject"]) & set(unseen))
    if not people or table["subject"].nunique() < 2:
        raise ValueError(
            f"Leaving one subject out needs two with clips, one of them unseen; unseen: {people or 'none'}."
        )
    parts = []
    for subject in people:
        out = (table["subject"] == subject).to_numpy()
        shares = head(seen[~out], told[~out], seen[out], seed)
        parts.append(_predictions(table[out], shares, model, one_class=one_class))
    return pd.concat(parts, ignore_index=True)


def score_clips(predictions: pd.DataFrame, generator: np.random.Generator) -> MicroScores:
    """UF1 and UAR of counts summed over all left-out subjects."""
    counts = _counts(predictions)
    right = (predictions["label"].map(_ordered) == predictions["predicted"].map(_ordered)).to_numpy(float)
    each = 2 * counts["tp"] / (2 * counts["tp"] + counts["fp"] + counts["fn"]).clip(lower=1)
    return {
        "uf1": unweighted_f1(counts),
        "uar": unweighted_recall(counts),
        "per_class": {str(name): float(score) for name, score in each.items()},
        "interval": list(_interval(predictions, generator)),
        "exact": float(right.mean()),
        "clips": len(predictions),
        "subjects": int(predictions["subject"].nunique()),
    }


def _counts(predictions: pd.DataFrame) -> pd.DataFrame:
    return count_classes(predictions["label"], predictions["predicted"], MICRO_EXPRESSIONS)


def _interval(predictions: pd.DataFrame, generator: np.random.Generator) -> tuple[float, float]:
    """Percentile bootstrap of UF1: subjects are drawn, and their counts summed."""
    counts = np.stack([_counts(rows).to_numpy(float) for _, rows in predictions.groupby("subject")])
    picks = generator.integers(len(counts), size=(DRAWS, len(counts)))
    low, high = np.quantile(unweighted_f1_of(counts[picks].sum(axis=1)), [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)


def _predictions(rows: pd.DataFrame, shares: np.ndarray, model: str, *, one_class: bool) -> pd.DataFrame:
    said = [_said(row, one_class=one_class) for row in shares]
    columns: dict[str, Any] = {f"prob_{name}": shares[:, place] for place, name in enumerate(MICRO_EXPRESSIONS)}
    table = rows[["sequence", "subject", "label"]].reset_index(drop=True).assign(predicted=said, **columns)
    table.insert(0, "model", model)
    return table


def _said(shares: np.ndarray, *, one_class: bool) -> str:
    likely = shares == shares.max() if one_class else (shares >= ENOUGH) | (shares == shares.max())
    names = [name for name, there in zip(MICRO_EXPRESSIONS, likely, strict=True) if there]
    return LABEL_JOINT.join(names[:1] if one_class else names)


def _ordered(label: str) -> str:
    return LABEL_JOINT.join(sorted(label.split(LABEL_JOINT)))
