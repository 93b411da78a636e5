"""Scores of a prediction table, with an interval over subjects; scikit-learn does the arithmetic."""

from typing import TypedDict

import numpy as np
import pandas as pd
from jaxtyping import Float
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)

from affect4d.evaluation.calibration import calibration_error
from affect4d.evaluation.counts import count_classes, unweighted_f1
from affect4d.evaluation.protocols import check_unseen
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.splits import SubjectSplit

COVERAGE = 0.95
DRAWS = 1000


class ClassScores(TypedDict):
    """Scores of one expression, 0…1."""

    precision: float
    recall: float
    f1: float


class Scores(TypedDict):
    """Scores of one model on sequences of unseen subjects; every score is 0…1.

    Attributes:
        accuracy: Share of sequences named right.
        macro_f1: Mean F1 over the expressions that occur, or are predicted.
        uar: Unweighted average recall (balanced accuracy) over the expressions that occur.
        uf1: Mean F1 of the counts, over the expressions that occur; see :mod:`affect4d.evaluation.counts`.
        ece: Expected calibration error.
        per_class: Scores of each expression.
        confusion: Counts, row = true expression, column = predicted, in the order of ``EXPRESSIONS``.
        interval: 95 % interval of the accuracy, bootstrapped over subjects.
        sequences: How many were evaluated.
    """

    accuracy: float
    macro_f1: float
    uar: float
    uf1: float
    ece: float
    per_class: dict[str, ClassScores]
    confusion: list[list[float]]
    interval: list[float]
    sequences: int


def score_predictions(
    predictions: pd.DataFrame, split: SubjectSplit, generator: np.random.Generator, draws: int = DRAWS
) -> Scores:
    """Score one model's prediction table.

    Args:
        predictions: See :func:`affect4d.evaluation.predictions.prediction_table`.
        split: Whose test side the predictions must be about.
        generator: Draws the bootstrap samples.
        draws: Bootstrap samples.

    Raises:
        LeakError: If a prediction is about a subject outside the test side, or a sequence is there twice.
    """
    check_unseen(predictions, split)
    return score_rows(predictions, generator, draws)


def score_rows(predictions: pd.DataFrame, generator: np.random.Generator, draws: int = DRAWS) -> Scores:
    """Score rows that were checked before, of one fold or of several together.

    Args:
        predictions: As for :func:`score_predictions`; a sequence that several folds tested is there once a fold.
        generator: Draws the bootstrap samples.
        draws: Bootstrap samples.
    """
    true, predicted = predictions["expression"], predictions["predicted"]
    return {
        "accuracy": float(accuracy_score(true, predicted)),
        "macro_f1": float(f1_score(true, predicted, average="macro")),
        "uar": _unweighted_recall(true, predicted),
        "uf1": unweighted_f1(count_classes(true, predicted, EXPRESSIONS)),
        "ece": calibration_error(predictions),
        "per_class": _class_scores(true, predicted),
        "confusion": confusion_matrix(true, predicted, labels=list(EXPRESSIONS)).tolist(),
        "interval": list(subject_interval(_hits(predictions), predictions["subject"], generator, draws)),
        "sequences": len(predictions),
    }


def chance_scores(sequences: pd.DataFrame) -> Scores:
    """What guessing uniformly scores in the long run.

    A guess is right as often as its expression occurs: that is its precision, so that rare expressions have a low F1.

    Args:
        sequences: The evaluated sequences; column ``expression``.
    """
    share = 1 / len(EXPRESSIONS)
    counts = sequences["expression"].value_counts().reindex(EXPRESSIONS, fill_value=0)
    occurs = {name: count / len(sequences) for name, count in counts.items()}
    f1 = {name: 2 * part * share / (part + share) for name, part in occurs.items()}
    return {
        "accuracy": share,
        "macro_f1": float(np.mean(list(f1.values()))),
        "uar": share,
        "uf1": float(np.mean([f1[name] for name in EXPRESSIONS if counts[name]])),
        "ece": 0.0,
        "per_class": {
            name: {"precision": occurs[name], "recall": share if counts[name] else 0.0, "f1": f1[name]}
            for name in EXPRESSIONS
        },
        "confusion": [[float(counts[name]) * share] * len(EXPRESSIONS) for name in EXPRESSIONS],
        "interval": [share, share],
        "sequences": len(sequences),
    }


def subject_interval(
    values: Float[np.ndarray, " sequences"],
    subjects: "pd.Series[str]",
    generator: np.random.Generator,
    draws: int = DRAWS,
    coverage: float = COVERAGE,
) -> tuple[float, float]:
    """Percentile-bootstrap interval of a mean when whole subjects, not single sequences, are drawn anew.

    Sequences of one subject are not independent: drawing sequences would give an interval that is too narrow.

    Args:
        values: One value a sequence, e.g. 1 where it was named right.
        subjects: The subject of each.
        generator: Draws the samples.
        draws: How many samples.
        coverage: Share of the samples between the bounds.

    Returns:
        Lower and upper bound.
    """
    groups = pd.Series(np.asarray(values, dtype=float)).groupby(subjects.to_numpy())
    sums, counts = groups.sum().to_numpy(), groups.count().to_numpy()
    picks = generator.integers(len(sums), size=(draws, len(sums)))
    means = sums[picks].sum(axis=1) / counts[picks].sum(axis=1)
    low, high = np.quantile(means, [(1 - coverage) / 2, (1 + coverage) / 2])
    return float(low), float(high)


def _hits(predictions: pd.DataFrame) -> Float[np.ndarray, " sequences"]:
    """1 where the prediction is right, 0 elsewhere."""
    return (predictions["expression"] == predictions["predicted"]).to_numpy(dtype=float)


def _unweighted_recall(true: "pd.Series[str]", predicted: "pd.Series[str]") -> float:
    """Mean recall of the expressions that occur; one that is predicted but never occurs has none."""
    if set(predicted) <= set(true):
        return float(balanced_accuracy_score(true, predicted))
    return float((true == predicted).groupby(true).mean().mean())


def _class_scores(true: "pd.Series[str]", predicted: "pd.Series[str]") -> dict[str, ClassScores]:
    table = precision_recall_fscore_support(true, predicted, labels=list(EXPRESSIONS), zero_division=0)
    return {
        name: {"precision": float(precision), "recall": float(recall), "f1": float(f1)}
        for name, precision, recall, f1, _ in zip(EXPRESSIONS, *table, strict=True)
    }
