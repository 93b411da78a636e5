"""Coverage and accuracy of pseudo-labels, which were made without labels. For evaluation only."""

from typing import TypedDict

import pandas as pd

from affect4d.scans.expression import EXPRESSIONS


class PseudoLabelScores(TypedDict):
    """Pseudo-labels against the truth; fractions are 0…1.

    Attributes:
        coverage: Fraction of sequences whose pseudo-label is one of the expressions.
        accuracy: Fraction of those that are correct.
        by_expression: Accuracy within each true expression; expressions never covered are left out.
        sequences: Number of sequences with a pseudo-label.
    """

    coverage: float
    accuracy: float
    by_expression: dict[str, float]
    sequences: int


def score_pseudo_labels(pseudo_prompts: pd.DataFrame, sequences: pd.DataFrame) -> PseudoLabelScores:
    """Score pseudo-labels against the truth. Nothing that trains may call this.

    Args:
        pseudo_prompts: Columns ``sequence``, ``pseudo_label``; several rows per sequence.
        sequences: Columns ``sequence``, ``expression``.
    """
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
