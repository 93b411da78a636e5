"""Who is trained on and who is evaluated: folds by subject, and the checks that stop a leak."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from affect4d.scans.splits import SubjectSplit, check_disjoint


class LeakError(ValueError):
    """Something that is evaluated was seen, or may have been seen, in training."""


@dataclass(frozen=True)
class Fold:
    """Positions, in a table of sequences, of those to fit on and of those to evaluate.

    Attributes:
        train: Positions of labelled sequences of training subjects.
        test: Positions of labelled sequences of unseen subjects.
    """

    train: Int64[np.ndarray, " train"]
    test: Int64[np.ndarray, " test"]


def fold_of(sequences: pd.DataFrame, split: SubjectSplit) -> Fold:
    """Divide sequences by the subject they show; sequences without an expression are in neither part.

    Args:
        sequences: One row a sequence; columns ``sequence``, ``subject``, ``expression``.
        split: Subjects of either side.

    Raises:
        SubjectLeakError: If a subject is on both sides.
        LeakError: If a sequence is listed twice.
        ValueError: If a subject is on neither side, or a side has no labelled sequence.
    """
    _check_subjects(sequences, split)
    check_distinct(sequences["sequence"])
    labelled = sequences["expression"].notna().to_numpy()
    train = np.flatnonzero(labelled & sequences["subject"].isin(split.train).to_numpy())
    test = np.flatnonzero(labelled & sequences["subject"].isin(split.test).to_numpy())
    for side, rows in (("training", train), ("test", test)):
        if len(rows) == 0:
            raise ValueError(f"No labelled sequence of a {side} subject: choose another split or look at the manifest.")
    return Fold(train, test)


def _check_subjects(sequences: pd.DataFrame, split: SubjectSplit) -> None:
    check_disjoint(split.train, split.test)
    strangers = sorted(set(sequences["subject"]) - set(split.train) - set(split.test))
    if strangers:
        raise ValueError(f"Subjects on neither side of the split: {', '.join(strangers)}. Leave their sequences out.")


def check_distinct(names: "pd.Series[str]") -> None:
    """Each sequence is there once.

    Raises:
        LeakError: If one is there twice; the message names it.
    """
    twice = sorted(set(names[names.duplicated()]))
    if twice:
        raise LeakError(f"Sequences listed more than once: {', '.join(twice)}. Each may count once.")


def check_no_copies(features: Float[np.ndarray, "sequences width"], sequences: pd.DataFrame, fold: Fold) -> None:
    """No sample of the test side is a copy of one of the training side, whatever its name.

    Rows that say nothing (not finite, or constant) are not compared.

    Raises:
        LeakError: If one is; the message names both sequences.
    """
    names = sequences["sequence"].to_numpy()
    telling = np.isfinite(features).all(axis=1) & (np.ptp(features, axis=1) > 0)
    seen = {features[row].tobytes(): names[row] for row in fold.train if telling[row]}
    for row in fold.test:
        twin = seen.get(features[row].tobytes()) if telling[row] else None
        if twin is not None:
            raise LeakError(f"{names[row]} of the test subjects is a copy of {twin} of the training subjects.")


def check_unseen(predictions: pd.DataFrame, split: SubjectSplit) -> None:
    """Every prediction that will be scored is about a subject of the test side, once.

    Args:
        predictions: Table of one model, see :mod:`affect4d.evaluation.predictions`.
        split: Subjects of either side.

    Raises:
        LeakError: If a subject was trained on, is in no test side, or a sequence is scored twice.
    """
    check_distinct(predictions["sequence"])
    strangers = sorted(set(predictions["subject"]) - (set(split.test) - set(split.train)))
    if strangers:
        raise LeakError(f"Evaluated subjects that are not in the test side alone: {', '.join(strangers)}.")
