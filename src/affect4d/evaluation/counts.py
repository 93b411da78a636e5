"""Right and wrong by class, as counts that add up over folds (the form of the micro-expression challenges, MEGC).

A mean of folds' F1 values depends on how people happened to be dealt out, most of all where one person is left out at a
time and shows two classes of five; the F1 of summed counts does not.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64

from affect4d.scans.expression import LABEL_JOINT

COUNTS: tuple[str, ...] = ("tp", "fp", "fn")


def count_classes(true: Iterable[str], predicted: Iterable[str], classes: Sequence[str]) -> pd.DataFrame:
    """Count, for every class, what was named right (``tp``), named wrongly (``fp``) and missed (``fn``).

    Args:
        true: Label of each sample; several are joined by ``+``.
        predicted: Likewise.
        classes: Which to count.

    Returns:
        Indexed by class; the tables of several folds simply add.

    Raises:
        ValueError: If the two differ in number, or a label is not among the classes; the message names it.
    """
    told, named = ([frozenset(str(label).split(LABEL_JOINT)) for label in labels] for labels in (true, predicted))
    if len(told) != len(named):
        raise ValueError(f"{len(told)} labels for {len(named)} predictions.")
    strangers = sorted(frozenset().union(*told, *named) - set(classes))
    if strangers:
        raise ValueError(f"Not among the classes {', '.join(classes)}: {', '.join(strangers)}.")
    pairs = list(zip(told, named, strict=True))
    rows = [
        (
            sum(name in true_set and name in said for true_set, said in pairs),
            sum(name not in true_set and name in said for true_set, said in pairs),
            sum(name in true_set and name not in said for true_set, said in pairs),
        )
        for name in classes
    ]
    return pd.DataFrame(rows, index=pd.Index(classes, name="class"), columns=list(COUNTS))


def unweighted_f1(counts: pd.DataFrame) -> float:
    """UF1: the mean of 2·tp / (2·tp + fp + fn) over the classes that occur, 0…1.

    Raises:
        ValueError: If no class occurs.
    """
    return float(unweighted_f1_of(_occurring(counts).to_numpy(float)))


def unweighted_f1_of(counts: Float64[np.ndarray, "*draws classes counts"]) -> Float64[np.ndarray, "*draws"]:
    """The same of many draws at once; ``tp``, ``fp`` and ``fn`` last, NaN where no class occurs."""
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    each = np.where(tp + fn > 0, 2 * tp / np.maximum(2 * tp + fp + fn, 1), np.nan)
    return np.asarray(np.nanmean(each, axis=-1))


def unweighted_recall(counts: pd.DataFrame) -> float:
    """UAR: the mean of tp / (tp + fn) over the classes that occur, 0…1.

    Raises:
        ValueError: If no class occurs.
    """
    occurring = _occurring(counts)
    return float((occurring["tp"] / (occurring["tp"] + occurring["fn"])).mean())


def _occurring(counts: pd.DataFrame) -> pd.DataFrame:
    occurring = counts[counts["tp"] + counts["fn"] > 0]
    if occurring.empty:
        raise ValueError("No class occurs: there is nothing to score.")
    return occurring
