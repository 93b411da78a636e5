"""Tables of predictions, the rows to fit on and to test on, and the checks that stop a leak between them."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.splits import SubjectSplit, check_disjoint

Setting = Literal["sequence", "apex_neutral", "single_scan"]
SETTINGS: tuple[Setting, ...] = get_args(Setting)
"""Inputs of an evaluation: a take's apex window with its neutral frame (the headline figures), the apex scan with the
neutral frame, or the apex scan alone."""
PROBABILITY_COLUMNS: tuple[str, ...] = tuple(f"prob_{expression}" for expression in EXPRESSIONS)


def prediction_table(
    sequences: pd.DataFrame, probabilities: Float[np.ndarray, "sequences classes"], model: str
) -> pd.DataFrame:
    """Table of one model's probabilities, one row per sequence, in the order of ``EXPRESSIONS``; else a ValueError."""
    expected = (len(sequences), len(EXPRESSIONS))
    if probabilities.shape != expected:
        raise ValueError(f"Probabilities of {model} have shape {probabilities.shape}, not {expected}.")
    if not np.allclose(probabilities.sum(axis=1), 1, atol=1e-4) or np.any(probabilities < 0):
        raise ValueError(f"Probabilities of {model} are not all ≥ 0 with rows that sum to one.")
    table = sequences[["sequence", "subject", "expression"]].reset_index(drop=True)
    table.insert(0, "model", model)
    table["predicted"] = [EXPRESSIONS[index] for index in probabilities.argmax(axis=1)]
    table[list(PROBABILITY_COLUMNS)] = probabilities.astype(np.float32)
    return table


class LeakError(ValueError):
    """Test data was seen, or may have been seen, in training."""


@dataclass(frozen=True)
class LabelledRows:
    """Positions, in a table of sequences, of the labelled sequences of training and of test subjects."""

    train: Int64[np.ndarray, " train"]
    test: Int64[np.ndarray, " test"]


def labelled_rows(sequences: pd.DataFrame, split: SubjectSplit) -> LabelledRows:
    """Divide labelled sequences (columns ``sequence``, ``subject``, ``expression``) by their subject.

    Raises:
        SubjectLeakError: If a subject is on both sides.
        LeakError: If a sequence is listed twice.
        ValueError: If a subject is on neither side, or a side has no labelled sequence.
    """
    check_disjoint(split.train, split.test)
    unknown = sorted(set(sequences["subject"]) - set(split.train) - set(split.test))
    if unknown:
        raise ValueError(f"Subjects on neither side of the split: {', '.join(unknown)}. Leave their sequences out.")
    check_distinct(sequences["sequence"])
    labelled = sequences["expression"].notna().to_numpy()
    train = np.flatnonzero(labelled & sequences["subject"].isin(split.train).to_numpy())
    test = np.flatnonzero(labelled & sequences["subject"].isin(split.test).to_numpy())
    for side, rows in (("training", train), ("test", test)):
        if len(rows) == 0:
            raise ValueError(f"No labelled sequence of a {side} subject: choose another split or look at the manifest.")
    return LabelledRows(train, test)


def check_distinct(names: "pd.Series[str]") -> None:
    """Raise a :class:`LeakError` that names the sequences listed more than once."""
    twice = sorted(set(names[names.duplicated()]))
    if twice:
        raise LeakError(f"Sequences listed more than once: {', '.join(twice)}. Each may count once.")


def check_no_copies(
    features: Float[np.ndarray, "sequences width"], sequences: pd.DataFrame, rows: LabelledRows
) -> None:
    """Raise a :class:`LeakError` if a test sample has the (finite, not constant) features of a training sample."""
    names = sequences["sequence"].to_numpy()
    informative = np.isfinite(features).all(axis=1) & (np.ptp(features, axis=1) > 0)
    seen = {features[row].tobytes(): names[row] for row in rows.train if informative[row]}
    for row in rows.test:
        copied = seen.get(features[row].tobytes()) if informative[row] else None
        if copied is not None:
            raise LeakError(f"{names[row]} of the test subjects is a copy of {copied} of the training subjects.")


def check_unseen(predictions: pd.DataFrame, split: SubjectSplit) -> None:
    """Raise a :class:`LeakError` unless every prediction is about a test subject, once per sequence."""
    check_distinct(predictions["sequence"])
    outside = sorted(set(predictions["subject"]) - (set(split.test) - set(split.train)))
    if outside:
        raise LeakError(f"Evaluated subjects that are not in the test side alone: {', '.join(outside)}.")
