"""Whether one way of reading micro-expressions really beats another, person by person."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

from affect4d.evaluation.comparison import PERMUTATIONS
from affect4d.evaluation.counts import count_classes, unweighted_f1_of
from affect4d.evaluation.metrics import COVERAGE, DRAWS
from affect4d.scans.expression import MICRO_EXPRESSIONS


@dataclass(frozen=True)
class ClipComparison:
    """How much better the first is on the same clips, and how surely.

    Attributes:
        scores: UF1 of both, 0…1.
        difference: The first minus the second.
        interval: 95 % interval of the difference, whole people drawn anew.
        p: Two-sided, of the permutation test that swaps the two person by person.
        subjects: How many people.
    """

    scores: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    p: float
    subjects: int


def compare_clips(
    first: pd.DataFrame, second: pd.DataFrame, generator: np.random.Generator, permutations: int = PERMUTATIONS
) -> ClipComparison:
    """Compare UF1, from counts summed over people, of two tables about the same clips.

    Args:
        first: See :func:`~affect4d.evaluation.micro.leave_one_out.judge_left_out`.
        second: The same clips, in any order.
        generator: Draws people, and who is swapped.
        permutations: How many swaps are drawn.

    Raises:
        ValueError: If the tables are not about the same clips.
    """
    if set(first["sequence"]) != set(second["sequence"]) or len(first) != len(second):
        raise ValueError("The two tables are not about the same clips: a paired test has no pairs.")
    people = sorted(set(first["subject"]))
    counts = np.stack([_counts(first, people), _counts(second, people)])
    one, other = (float(unweighted_f1_of(each.sum(axis=0))) for each in counts)
    picks = generator.integers(len(people), size=(DRAWS, len(people)))
    drawn = unweighted_f1_of(counts[0][picks].sum(axis=1)) - unweighted_f1_of(counts[1][picks].sum(axis=1))
    low, high = np.nanquantile(drawn, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    swapped = generator.random((permutations, len(people), 1, 1)) < 0.5
    left, right = (np.where(swapped, counts[1 - way], counts[way]).sum(axis=1) for way in (0, 1))
    as_far = np.abs(unweighted_f1_of(left) - unweighted_f1_of(right)) >= abs(one - other) - 1e-12
    return ClipComparison(
        scores=(one, other),
        difference=one - other,
        interval=(float(low), float(high)),
        p=float((as_far.sum() + 1) / (permutations + 1)),
        subjects=len(people),
    )


def _counts(judged: pd.DataFrame, people: list[str]) -> Float64[np.ndarray, "people classes counts"]:
    """Right, wrongly named, missed."""
    parts = [judged[judged["subject"] == person] for person in people]
    tables = [count_classes(part["label"], part["predicted"], MICRO_EXPRESSIONS) for part in parts]
    return np.stack([table.to_numpy(float) for table in tables])
