"""What each prompt does to a prediction: how near it is to its own expression, and what is lost without it."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

Unit = Float[np.ndarray, "_ dim"]
INFLUENCE_COLUMNS = ("expression", "prompt", "own_similarity", "other_similarity", "accuracy_alone", "gain")


def prompt_influence(
    fused: Unit,
    labels: Int64[np.ndarray, " sequences"],
    prompts: Mapping[str, Sequence[str]],
    texts: Mapping[str, Unit],
) -> pd.DataFrame:
    """One row a prompt of the ensembles.

    Args:
        fused: Unit vectors of the sequences.
        labels: Expression of each, as its place in ``prompts``.
        prompts: Prompts of each expression, in the order of the labels.
        texts: Unit vectors of the same prompts.

    Returns:
        Columns :data:`INFLUENCE_COLUMNS`: the mean cosine with sequences of its own expression and with the others;
        the accuracy where this prompt stands alone for its expression, the other ensembles whole; and the accuracy of
        the whole ensembles minus that without this prompt (NaN where it is the only one).
    """
    ensembles = np.stack([_unit(vectors.mean(axis=0)) for vectors in texts.values()])
    whole = _accuracy(fused, labels, ensembles)
    rows = []
    for place, (expression, sentences) in enumerate(prompts.items()):
        own, vectors = labels == place, texts[expression]
        for index, sentence in enumerate(sentences):
            cosines = fused @ vectors[index]
            alone = _accuracy(fused, labels, _replaced(ensembles, place, vectors[index]))
            rest = np.delete(vectors, index, axis=0)
            poorer = _replaced(ensembles, place, _unit(rest.mean(axis=0))) if len(rest) else None
            gain = float("nan") if poorer is None else whole - _accuracy(fused, labels, poorer)
            rows.append((expression, sentence, _mean(cosines[own]), _mean(cosines[~own]), alone, gain))
    return pd.DataFrame(rows, columns=list(INFLUENCE_COLUMNS))


def _accuracy(fused: Unit, labels: Int64[np.ndarray, " sequences"], classes: Unit) -> float:
    return float(((fused @ classes.T).argmax(axis=1) == labels).mean())


def _replaced(ensembles: Unit, place: int, vector: Float[np.ndarray, " dim"]) -> Unit:
    changed = ensembles.copy()
    changed[place] = vector
    return changed


def _unit(vector: Float[np.ndarray, " dim"]) -> Float[np.ndarray, " dim"]:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def _mean(values: Float[np.ndarray, " _"]) -> float:
    return float(values.mean()) if len(values) else float("nan")
