"""Scores of a cross-validation: all test predictions together and fold by fold, calibration, paired tests."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from affect4d.evaluation.calibration import calibrate, calibration_error, negative_log_likelihood
from affect4d.evaluation.metrics import score_rows
from affect4d.evaluation.predictions import PROBABILITY_COLUMNS
from affect4d.evaluation.significance import compare_models

PAIRS: tuple[tuple[str, str], ...] = (
    ("affect_vlm", "cross_entropy"),
    ("affect_vlm", "landmark_logistic"),
    ("smile_vlm.linear_probe", "cross_entropy"),
    ("smile_vlm.zero_shot", "pseudo_labels"),
    ("smile_vlm.linear_probe", "affect_vlm"),
)
"""Models compared on the same sequences; a pair of which one took no part is left out."""


def score_folds(predictions: pd.DataFrame, generator: np.random.Generator) -> dict[str, Any]:
    """Score every model of a cross-validation.

    Args:
        predictions: Columns ``fold``, ``round``, ``side``, and those of a prediction table.

    Returns:
        ``models``: by name, the scores of :func:`affect4d.evaluation.metrics.score_rows` over all test predictions,
        ``folds`` (accuracy of each), ``spread`` (their standard deviation), and ``calibration``;
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
    """Calibration (``ece``, ``nll``) of one model ``before`` and ``after`` the ``temperatures`` fitted in every fold.

    Each is fitted on its fold's validation subjects; without any, ``after`` is None.
    """
    test, held_out = (table[table["side"] == side] for side in ("test", "validation"))
    if held_out.empty:
        return {"before": _calibration(test), "after": None, "temperatures": []}
    aside = dict(iter(held_out.groupby("fold")))
    cooled = [calibrate(rows, aside[fold]) for fold, rows in test.groupby("fold")]
    return {
        "before": _calibration(test),
        "after": _calibration(pd.concat([rows for rows, _ in cooled])),
        "temperatures": [temperature for _, temperature in cooled],
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
