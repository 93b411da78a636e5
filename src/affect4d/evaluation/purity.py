"""How often a pseudo-label, made without labels, names the expression that is there. For evaluation only."""

from typing import TypedDict

import pandas as pd

from affect4d.scans.expression import EXPRESSIONS


class PseudoLabelPurity(TypedDict):
    """Pseudo-labels against the truth; shares are 0…1.

    Attributes:
        coverage: Share of sequences whose pseudo-label is an expression word at all.
        purity: Share of those that are right.
        by_expression: Share named right among each expression's covered sequences; expressions never covered are
            left out.
        sequences: How many sequences have a pseudo-label.
    """

    coverage: float
    purity: float
    by_expression: dict[str, float]
    sequences: int


def pseudo_label_purity(pseudo_prompts: pd.DataFrame, sequences: pd.DataFrame) -> PseudoLabelPurity:
    """Hold pseudo-labels against the truth. Nothing that trains may call this.

    Args:
        pseudo_prompts: Columns ``sequence``, ``pseudo_label``; several rows a sequence.
        sequences: Columns ``sequence``, ``expression``.
    """
    labels = pseudo_prompts.drop_duplicates("sequence")[["sequence", "pseudo_label"]]
    table = labels.merge(sequences[["sequence", "expression"]].dropna(), on="sequence")
    covered = table[table["pseudo_label"].isin(EXPRESSIONS)]
    right = covered["pseudo_label"] == covered["expression"]
    shares = right.groupby(covered["expression"]).mean()
    return {
        "coverage": len(covered) / len(table) if len(table) else 0.0,
        "purity": float(right.mean()) if len(covered) else 0.0,
        "by_expression": {name: float(shares[name]) for name in EXPRESSIONS if name in shares},
        "sequences": len(table),
    }
