"""The table of predictions that every model and baseline returns: one row per sequence, one probability column each."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from affect4d.scans.expression import EXPRESSIONS

PROBABILITY_COLUMNS: tuple[str, ...] = tuple(f"prob_{expression}" for expression in EXPRESSIONS)
COLUMNS: tuple[str, ...] = ("model", "sequence", "subject", "expression", "predicted", *PROBABILITY_COLUMNS)


def prediction_table(
    sequences: pd.DataFrame, probabilities: Float[np.ndarray, "sequences classes"], model: str
) -> pd.DataFrame:
    """Table with :data:`COLUMNS` of one model's probabilities, which are in the order of ``EXPRESSIONS``.

    Raises:
        ValueError: If there is not one row per row of ``sequences``, or these are no probabilities.
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
