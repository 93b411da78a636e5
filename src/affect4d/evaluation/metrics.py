"""Scores of predictions, of cross-validations and of pseudo-labels.

UF1 and UAR come from counts that add up over folds (as in the micro-expression challenges, MEGC): a mean of the folds'
F1 values depends on how subjects were divided, the F1 of summed counts does not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any, NotRequired, TypedDict

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    multilabel_confusion_matrix,
    precision_recall_fscore_support,
)

from affect4d.evaluation.calibration import calibrate, calibration_error, negative_log_likelihood
from affect4d.evaluation.prediction_tables_and_leak_checks import PROBABILITY_COLUMNS, Setting, check_unseen
from affect4d.evaluation.significance import DRAWS, compare_models, subject_interval
from affect4d.scans.expression import EXPRESSIONS, LABEL_JOINT
from affect4d.scans.splits import SubjectSplit


class ClassScores(TypedDict):
    """Scores of one expression, 0…1."""

    precision: float
    recall: float
    f1: float


class SettingScores(TypedDict):
    """Scores of one model in one setting, 0…1."""

    accuracy: float
    interval: list[float]
    macro_f1: float
    ece: float


class Scores(TypedDict):
    """Scores of one model on sequences of test subjects, 0…1."""

    accuracy: float
    macro_f1: float
    uar: float  # balanced accuracy, as ``uf1`` over the expressions that occur
    uf1: float  # F1 of counts
    ece: float  # expected calibration error
    per_class: dict[str, ClassScores]
    confusion: list[list[float]]  # rows are true, columns predicted expressions, in the order of ``EXPRESSIONS``
    interval: list[float]  # 95 %, of the accuracy, bootstrapped over subjects
    sequences: int
    settings: NotRequired[dict[Setting, SettingScores]]  # of the same model in every setting, the headline's first


class PseudoLabelScores(TypedDict):
    """Pseudo-labels against the truth; fractions are 0…1."""

    coverage: float  # fraction of sequences whose pseudo-label is one of the expressions
    accuracy: float  # fraction of those which are correct
    by_expression: dict[str, float]  # the same within each true expression that is covered
    sequences: int


def score_predictions(
    predictions: pd.DataFrame, split: SubjectSplit, generator: np.random.Generator, draws: int = DRAWS
) -> Scores:
    """Score one model's prediction table, after :func:`check_unseen`."""
    check_unseen(predictions, split)
    return score_rows(predictions, generator, draws)


def score_rows(predictions: pd.DataFrame, generator: np.random.Generator, draws: int = DRAWS) -> Scores:
    """Score rows that were checked before, of one fold or of several together (then one row per fold and sequence)."""
    true, predicted = predictions["expression"], predictions["predicted"]
    hits = (true == predicted).to_numpy(dtype=float)
    return {
        "accuracy": float(accuracy_score(true, predicted)),
        "macro_f1": float(f1_score(true, predicted, average="macro")),
        "uar": _balanced_accuracy(true, predicted),
        "uf1": unweighted_f1(count_classes(true, predicted, EXPRESSIONS)),
        "ece": calibration_error(predictions),
        "per_class": _class_scores(true, predicted),
        "confusion": confusion_matrix(true, predicted, labels=list(EXPRESSIONS)).tolist(),
        "interval": list(subject_interval(hits, predictions["subject"], generator, draws)),
        "sequences": len(predictions),
    }


def chance_scores(sequences: pd.DataFrame) -> Scores:
    """Expected scores of uniform guessing; the precision of a guess is how often its expression occurs."""
    chance = 1 / len(EXPRESSIONS)
    counts = sequences["expression"].value_counts().reindex(EXPRESSIONS, fill_value=0)
    frequency = {name: count / len(sequences) for name, count in counts.items()}
    f1 = {name: 2 * part * chance / (part + chance) for name, part in frequency.items()}
    return {
        "accuracy": chance,
        "macro_f1": float(np.mean(list(f1.values()))),
        "uar": chance,
        "uf1": float(np.mean([f1[name] for name in EXPRESSIONS if counts[name]])),
        "ece": 0.0,
        "per_class": {
            name: {"precision": frequency[name], "recall": chance if counts[name] else 0.0, "f1": f1[name]}
            for name in EXPRESSIONS
        },
        "confusion": [[float(counts[name]) * chance] * len(EXPRESSIONS) for name in EXPRESSIONS],
        "interval": [chance, chance],
        "sequences": len(sequences),
    }


def score_pseudo_labels(pseudo_prompts: pd.DataFrame, sequences: pd.DataFrame) -> PseudoLabelScores:
    """Score pseudo-labels (several rows per sequence) against the truth. Nothing that trains may call this."""
    labels = pseudo_prompts.drop_duplicates("sequence")[["sequence", "pseudo_label"]]
    table = labels.merge(sequences[["sequence", "expression"]].dropna(), on="sequence")
    covered = table[table["pseudo_label"].isin(EXPRESSIONS)]
    correct = covered["pseudo_label"] == covered["expression"]
    by_expression = correct.groupby(covered["expression"]).mean()
    return {
        "coverage": len(covered) / len(table) if len(table) else 0.0,
        "accuracy": float(correct.mean()) if len(covered) else 0.0,
        "by_expression": {name: float(by_expression[name]) for name in EXPRESSIONS if name in by_expression},
        "sequences": len(table),
    }


def count_classes(true: Iterable[str], predicted: Iterable[str], classes: Sequence[str]) -> pd.DataFrame:
    """``tp``, ``fp`` and ``fn`` by class; tables of folds add. Several labels of a sample are joined by ``+``."""
    labels, predictions = (_indicators(each, classes) for each in (true, predicted))
    if len(labels) != len(predictions):
        raise ValueError(f"{len(labels)} labels for {len(predictions)} predictions.")
    if not len(labels):
        raise ValueError("No class occurs: there is nothing to score.")
    matrices = multilabel_confusion_matrix(labels, predictions)
    columns = {"tp": matrices[:, 1, 1], "fp": matrices[:, 0, 1], "fn": matrices[:, 1, 0]}
    return pd.DataFrame(columns, index=pd.Index(classes, name="class"))


def _indicators(labels: Iterable[str], classes: Sequence[str]) -> Int64[np.ndarray, "samples classes"]:
    sets = [set(str(label).split(LABEL_JOINT)) for label in labels]
    unknown = sorted(set().union(*sets) - set(classes))
    if unknown:
        raise ValueError(f"Not among the classes {', '.join(classes)}: {', '.join(unknown)}.")
    return np.array([[int(name in labels) for name in classes] for labels in sets])


def unweighted_f1(counts: pd.DataFrame) -> float:
    """UF1: the mean of 2·tp / (2·tp + fp + fn) over the classes that occur, 0…1."""
    return float(unweighted_f1_of(_occurring(counts).to_numpy(float)))


def unweighted_f1_of(counts: Float64[np.ndarray, "*draws classes counts"]) -> Float64[np.ndarray, "*draws"]:
    """UF1 of many draws at once; ``tp``, ``fp`` and ``fn`` last, NaN where no class occurs."""
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    each = np.where(tp + fn > 0, 2 * tp / np.maximum(2 * tp + fp + fn, 1), np.nan)
    return np.asarray(np.nanmean(each, axis=-1))


def unweighted_recall(counts: pd.DataFrame) -> float:
    """UAR: the mean of tp / (tp + fn) over the classes that occur, 0…1."""
    occurring = _occurring(counts)
    return float((occurring["tp"] / (occurring["tp"] + occurring["fn"])).mean())


def _occurring(counts: pd.DataFrame) -> pd.DataFrame:
    occurring = counts[counts["tp"] + counts["fn"] > 0]
    if occurring.empty:
        raise ValueError("No class occurs: there is nothing to score.")
    return occurring


def _balanced_accuracy(true: "pd.Series[str]", predicted: "pd.Series[str]") -> float:
    """Mean recall of the expressions that occur; without scikit-learn's warning where others are predicted."""
    if set(predicted) <= set(true):
        return float(balanced_accuracy_score(true, predicted))
    return float((true == predicted).groupby(true).mean().mean())


def _class_scores(true: "pd.Series[str]", predicted: "pd.Series[str]") -> dict[str, ClassScores]:
    table = precision_recall_fscore_support(true, predicted, labels=list(EXPRESSIONS), zero_division=0)
    return {
        name: {"precision": float(precision), "recall": float(recall), "f1": float(f1)}
        for name, precision, recall, f1, _ in zip(EXPRESSIONS, *table, strict=True)
    }


PAIRS: tuple[tuple[str, str], ...] = (
    ("affect_vlm", "cross_entropy"),
    ("affect_vlm", "landmark_logistic"),
    ("smile_vlm.linear_probe", "cross_entropy"),
    ("smile_vlm.zero_shot", "pseudo_labels"),
    ("smile_vlm.linear_probe", "affect_vlm"),
)
"""Models compared on the same sequences; a pair of which one took no part is left out."""


def score_folds(predictions: pd.DataFrame, generator: np.random.Generator) -> dict[str, Any]:
    """Score every model of a cross-validation (columns ``fold``, ``round``, ``side``, and those of a prediction table).

    Returns:
        ``models``: by name, the scores of :func:`score_rows` over all test predictions, ``folds`` (accuracy of each),
        ``spread`` (their standard deviation), and ``calibration``;
        ``comparisons``: paired tests of :data:`PAIRS`, Holm-corrected.
    """
    tested = predictions[predictions["side"] == "test"]
    models = {}
    for name, table in predictions.groupby("model", sort=False):
        test = table[table["side"] == "test"]
        folds = (test["predicted"] == test["expression"]).groupby(test["fold"]).mean()
        models[str(name)] = {
            **score_rows(test, generator),
            "folds": [float(value) for value in folds],
            "spread": float(folds.std(ddof=1)) if len(folds) > 1 else None,
            "calibration": calibration_of(table),
        }
    return {"models": models, "comparisons": _comparisons(tested, PAIRS, generator)}


def calibration_of(table: pd.DataFrame) -> dict[str, Any]:
    """Calibration (``ece``, ``nll``) of one model ``before`` and ``after`` (None: no fold has validation subjects)."""
    test, held_out = (table[table["side"] == side] for side in ("test", "validation"))
    if held_out.empty:
        return {"before": _calibration(test), "after": None, "temperatures": []}
    validation = dict(iter(held_out.groupby("fold")))
    calibrated = [calibrate(rows, validation[fold]) for fold, rows in test.groupby("fold")]
    return {
        "before": _calibration(test),
        "after": _calibration(pd.concat([rows for rows, _ in calibrated])),
        "temperatures": [temperature for _, temperature in calibrated],
    }


def _calibration(test: pd.DataFrame) -> dict[str, float]:
    probabilities = test[list(PROBABILITY_COLUMNS)].to_numpy(np.float64)
    return {"ece": calibration_error(test), "nll": negative_log_likelihood(probabilities, test["expression"])}


def _comparisons(
    tested: pd.DataFrame, pairs: Iterable[tuple[str, str]], generator: np.random.Generator
) -> list[dict[str, Any]]:
    """Paired tests; without McNemar's, which assumes independent pairs, where several folds tested a sequence."""
    repeated = bool(tested.duplicated(["model", "sequence"]).any())
    named = tested.assign(sequence=tested["fold"].astype(str) + ":" + tested["sequence"])
    found = compare_models(named, pairs, generator)
    if repeated:
        found = {pair: replace(one, mcnemar=None) for pair, one in found.items()}
    return [{"first": first, "second": second, **asdict(one)} for (first, second), one in found.items()]
