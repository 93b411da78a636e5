"""Whether a model reads everybody equally well: by every attribute the corpus supplies, and by pairs of them.

An attribute is what the corpus says of a person; none is ever inferred from a face. People, not sequences, are drawn
anew or dealt out anew: sequences of one person stand or fall together.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TypedDict

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame
from sklearn.metrics import accuracy_score

from affect4d.evaluation.metrics import COVERAGE

ATTRIBUTES: tuple[str, ...] = ("gender", "age_group", "skin_tone", "ethnicity")
SMALLEST = 5
"""People; of a smaller group no figure is given, and it enters no gap."""
DRAWS = 1000
PERMUTATIONS = 999


class GroupScore(TypedDict):
    """One group; ``accuracy`` (0…1) is None where it is too small to say anything."""

    group: str
    subjects: int
    sequences: int
    accuracy: float | None


class Gap(TypedDict):
    """Best minus worst group that is large enough; all None where there are fewer than two of those.

    Attributes:
        attribute: Which, or two joined by " × ".
        groups: Every group.
        worst: The group read worst.
        gap: Accuracy of the best group minus that of the worst, 0…1.
        interval: 95 %, bootstrapped over the people of each group; a largest difference is never below zero, so look at
            ``p`` for whether there is one.
        p: Of dealing the groups out anew among people: how often chance makes such a gap.
    """

    attribute: str
    groups: list[GroupScore]
    worst: str | None
    gap: float | None
    interval: list[float] | None
    p: float | None


def measure_fairness(predictions: pd.DataFrame, people: pd.DataFrame, generator: np.random.Generator) -> list[Gap]:
    """Gaps of one model over every attribute that divides the tested people, and every pair somebody has both of.

    Args:
        predictions: Columns ``subject``, ``expression``, ``predicted``; of unseen subjects.
        people: One row a sequence or a subject: ``subject`` and what the corpus says, of :data:`ATTRIBUTES`.
        generator: Draws and deals.
    """
    known = people.drop_duplicates("subject").set_index("subject").reindex(columns=list(ATTRIBUTES))
    described = predictions.join(known, on="subject")
    return [
        _gap(described.dropna(subset=list(names)), names, generator)
        for names in _divisions(known.loc[known.index.isin(predictions["subject"])])
    ]


def _divisions(known: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    dividing = [name for name in ATTRIBUTES if known[name].nunique() > 1]
    yield from ((name,) for name in dividing)
    yield from (pair for pair in combinations(dividing, 2) if known[list(pair)].notna().all(axis=1).any())


def _gap(described: pd.DataFrame, names: Sequence[str], generator: np.random.Generator) -> Gap:
    groups = described[list(names)].astype(str).agg(", ".join, axis=1)
    frame = MetricFrame(
        metrics=accuracy_score,
        y_true=described["expression"],
        y_pred=described["predicted"],
        sensitive_features=groups.rename("group"),
    )
    subjects = described["subject"].groupby(groups).nunique()
    counts = groups.value_counts()
    large = [str(name) for name in frame.by_group.index if subjects[name] >= SMALLEST]
    scores: list[GroupScore] = [
        {
            "group": str(name),
            "subjects": int(subjects[name]),
            "sequences": int(counts[name]),
            "accuracy": float(value) if name in large else None,
        }
        for name, value in frame.by_group.items()
    ]
    attribute = " × ".join(names)
    if len(large) < 2:
        return {"attribute": attribute, "groups": scores, "worst": None, "gap": None, "interval": None, "p": None}
    shares = frame.by_group[large].astype(float)
    kept = groups.isin(large)
    interval, p = _surely(described[kept], groups[kept], generator)
    gap = float(shares.max() - shares.min())
    worst = str(shares.idxmin())
    return {"attribute": attribute, "groups": scores, "worst": worst, "gap": gap, "interval": list(interval), "p": p}


def _surely(
    described: pd.DataFrame, groups: "pd.Series[str]", generator: np.random.Generator
) -> tuple[tuple[float, float], float]:
    """Bootstrap interval of the gap, and the p of a permutation of the groups among people."""
    hits = (described["expression"] == described["predicted"]).astype(float)
    by_person = pd.DataFrame({"hits": hits, "group": groups}).groupby(described["subject"])
    sums, sizes = by_person["hits"].sum().to_numpy(), by_person.size().to_numpy()
    codes = pd.factorize(by_person["group"].first())[0]
    observed = _largest_difference(sums, sizes, codes)
    drawn = [_largest_difference(*_drawn_anew(sums, sizes, codes, generator)) for _ in range(DRAWS)]
    dealt = [_largest_difference(sums, sizes, generator.permutation(codes)) for _ in range(PERMUTATIONS)]
    low, high = np.quantile(drawn, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    as_large = sum(value >= observed - 1e-12 for value in dealt)
    return (float(low), float(high)), (as_large + 1) / (PERMUTATIONS + 1)


def _drawn_anew(
    sums: np.ndarray, sizes: np.ndarray, codes: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As many people of each group, with repetition."""
    members = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    picks = np.concatenate([generator.choice(group, len(group)) for group in members])
    return sums[picks], sizes[picks], codes[picks]


def _largest_difference(sums: np.ndarray, sizes: np.ndarray, codes: np.ndarray) -> float:
    shares = np.bincount(codes, weights=sums) / np.bincount(codes, weights=sizes)
    return float(np.ptp(shares))
