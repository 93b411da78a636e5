"""Accuracy gaps between groups by the corpus's own attributes and their pairs, resampled and permuted by subject."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TypedDict

import numpy as np
import pandas as pd

from affect4d.evaluation.significance import percentile_interval

ATTRIBUTES: tuple[str, ...] = ("gender", "age_group", "skin_tone", "ethnicity", "part")
"""Attributes of subjects; ``part`` is the corpus of a mixture that a subject is from."""
SMALLEST_GROUP = 5  # subjects; a smaller group gets no figure and enters no gap
DRAWS = 1000
PERMUTATIONS = 999


class GroupScore(TypedDict):
    """One group; ``accuracy`` (0…1) is None where the group is too small."""

    group: str
    subjects: int
    sequences: int
    accuracy: float | None


class FairnessGap(TypedDict):
    """Accuracy of the best minus the worst large enough group; all None with fewer than two of those."""

    attribute: str  # or two, joined by " × "
    groups: list[GroupScore]
    worst: str | None
    gap: float | None
    interval: list[float] | None  # 95 %, over subjects of each group
    p: float | None  # of permuting the groups among subjects, since a largest difference is never below zero


def measure_fairness(
    predictions: pd.DataFrame, subjects: pd.DataFrame, generator: np.random.Generator
) -> list[FairnessGap]:
    """Gaps of one model over each of the :data:`ATTRIBUTES` that divides the test subjects, and every pair of them."""
    known = subjects.drop_duplicates("subject").set_index("subject").reindex(columns=list(ATTRIBUTES))
    described = predictions.join(known, on="subject")
    return [
        _gap(described.dropna(subset=list(names)), names, generator)
        for names in _divisions(known.loc[known.index.isin(predictions["subject"])])
    ]


def _divisions(known: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    dividing = [name for name in ATTRIBUTES if known[name].nunique() > 1]
    yield from ((name,) for name in dividing)
    yield from (pair for pair in combinations(dividing, 2) if known[list(pair)].notna().all(axis=1).any())


def _gap(described: pd.DataFrame, names: Sequence[str], generator: np.random.Generator) -> FairnessGap:
    groups = described[list(names)].astype(str).agg(", ".join, axis=1)
    hits = (described["expression"] == described["predicted"]).astype(float)
    accuracy = hits.groupby(groups).mean()
    subjects = described["subject"].groupby(groups).nunique()
    counts = groups.value_counts()
    group_names = [str(name) for name in accuracy.index]
    large = [name for name in group_names if subjects[name] >= SMALLEST_GROUP]
    scores: list[GroupScore] = [
        {
            "group": name,
            "subjects": int(subjects[name]),
            "sequences": int(counts[name]),
            "accuracy": float(accuracy[name]) if name in large else None,
        }
        for name in group_names
    ]
    attribute = " × ".join(names)
    if len(large) < 2:
        return {"attribute": attribute, "groups": scores, "worst": None, "gap": None, "interval": None, "p": None}
    kept = groups.isin(large)
    interval, p = _gap_significance(hits[kept], described.loc[kept, "subject"], groups[kept], generator)
    gap = float(accuracy[large].max() - accuracy[large].min())
    worst = str(accuracy[large].idxmin())
    return {"attribute": attribute, "groups": scores, "worst": worst, "gap": gap, "interval": list(interval), "p": p}


def _gap_significance(
    hits: "pd.Series[float]", subjects: "pd.Series[str]", groups: "pd.Series[str]", generator: np.random.Generator
) -> tuple[tuple[float, float], float]:
    by_subject = pd.DataFrame({"hits": hits, "group": groups}).groupby(subjects)
    sums, sizes = by_subject["hits"].sum().to_numpy(), by_subject.size().to_numpy()
    codes = pd.factorize(by_subject["group"].first())[0]
    observed = _largest_difference(sums, sizes, codes)
    resampled = [_largest_difference(*_resampled(sums, sizes, codes, generator)) for _ in range(DRAWS)]
    permuted = [_largest_difference(sums, sizes, generator.permutation(codes)) for _ in range(PERMUTATIONS)]
    as_large = sum(value >= observed - 1e-12 for value in permuted)
    return percentile_interval(resampled), (as_large + 1) / (PERMUTATIONS + 1)


def _resampled(
    sums: np.ndarray, sizes: np.ndarray, codes: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As many subjects of each group, with repetition."""
    members = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    picks = np.concatenate([generator.choice(group, len(group)) for group in members])
    return sums[picks], sizes[picks], codes[picks]


def _largest_difference(sums: np.ndarray, sizes: np.ndarray, codes: np.ndarray) -> float:
    accuracies = np.bincount(codes, weights=sums) / np.bincount(codes, weights=sizes)
    return float(np.ptp(accuracies))
