"""Does SMILE-VLM carry over to micro-expressions? Its tower beside every baseline, by both protocols."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from affect4d.evaluation.micro_evaluation import compare_clips
from affect4d.experiments.claims import finding_document
from affect4d.experiments.evidence import Finding

OURS = "smile_vlm"


def carried_over(predictions: pd.DataFrame, source: str) -> list[Mapping[str, Any]]:
    """Findings about claim 9, as :class:`~affect4d.datasets.EvidenceDataset` reads them.

    Args:
        predictions: Of all ways and protocols, column ``model`` is ``way.protocol``; see
            :func:`~affect4d.evaluation.micro_evaluation.evaluate_clips`.
        source: Which run's they are.

    Returns:
        One for each baseline and protocol: UF1 of both, their difference, interval and p.
    """
    tables = {str(name): table for name, table in predictions.groupby("model", sort=False)}
    pairs = [(f"{OURS}.{name.split('.')[1]}", name) for name in tables if not name.startswith(f"{OURS}.")]
    return [finding_document(_finding(tables, first, second, source)) for first, second in pairs]


def _finding(tables: Mapping[str, pd.DataFrame], first: str, second: str, source: str) -> Finding:
    found = compare_clips(tables[first], tables[second], np.random.default_rng(0))
    return Finding(
        first, second, found.scores, found.difference, found.interval, found.p, "permutation over subjects", 1,
        found.subjects, source, "UF1",
    )  # fmt: skip
