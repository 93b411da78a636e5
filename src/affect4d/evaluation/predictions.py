"""One tidy table for what every model and baseline says: a row a sequence, a probability an expression."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from affect4d.scans.expression import EXPRESSIONS

PROBABILITY_COLUMNS: tuple[str, ...] = tuple(f"prob_{expression}" for expression in EXPRESSIONS)
COLUMNS: tuple[str, ...] = ("model", "sequence", "subject", "expression", "predicted", *PROBABILITY_COLUMNS)


def prediction_table(
    sequences: pd.DataFrame, probabilities: Float[np.ndarray, "sequences classes"], model: str
) -> pd.DataFrame:
    """Put probabilities beside the sequences they are about.

    Args:
        sequences: Columns ``sequence``, ``subject``, ``expression``; one row a row of ``probabilities``.
        probabilities: One column an expression, in the order of ``EXPRESSIONS``; each row sums to one.
        model: Whose predictions these are.

    Returns:
        The columns ``model, sequence, subject, expression, predicted, prob_anger … prob_surprise``.

    Raises:
        ValueError: If the probabilities have another shape than the sequences ask for, or are not probabilities.
    """
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
