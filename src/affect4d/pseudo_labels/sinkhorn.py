"""Class-balanced assignment (Sinkhorn and Knopp 1967), and the margin of the best class over the second."""

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp


def balancing_offsets(
    scores: Float[np.ndarray, "rows columns"], temperature: float, steps: int = 100
) -> Float[np.ndarray, " columns"]:
    """Offset of each column, mean zero, with which a soft assignment of the rows fills all columns evenly.

    Args:
        temperature: Softness of the assignment, in the scores' own unit.
        steps: Rounds of row and column normalisation, in logarithms.
    """
    logits = scores / temperature
    column_total = np.log(logits.shape[0] / logits.shape[1])
    columns = np.zeros(logits.shape[1])
    for _ in range(steps):
        rows = -logsumexp(logits + columns, axis=1, keepdims=True)
        columns = column_total - logsumexp(logits + rows, axis=0)
    return np.asarray((columns - columns.mean()) * temperature)


def top_margin(scores: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, " rows"]:
    """Best score of each row minus its second best, at most 1."""
    ordered = np.sort(scores, axis=1)
    return np.asarray(np.clip(ordered[:, -1] - ordered[:, -2], 0.0, 1.0))
