"""Finding faces by words and words by faces: retrieval in the joint space, on unseen subjects."""

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
from jaxtyping import Bool, Float
from sklearn.metrics import label_ranking_average_precision_score

Similarities = Float[np.ndarray, "queries items"]
Relevance = Bool[np.ndarray, "queries items"]


class RetrievalScores(TypedDict):
    """How well queries find what belongs to them, 0…1; queries to which nothing belongs are left out.

    Attributes:
        recall_1: Share of queries whose first item belongs to them.
        recall_5: Share of queries with such an item among the first five.
        mean_average_precision: Mean over queries of the average precision of the whole ranking.
        chance: Mean share of items that belong to a query: what ``recall_1`` is by chance.
        queries: How many.
    """

    recall_1: float
    recall_5: float
    mean_average_precision: float
    chance: float
    queries: int


def retrieval_scores(similarities: Similarities, relevant: Relevance) -> RetrievalScores:
    """Score rankings by similarity.

    Raises:
        ValueError: If nothing belongs to any query.
    """
    asked = relevant.any(axis=1)
    if not asked.any():
        raise ValueError("Nothing belongs to any of the queries: there is nothing to find.")
    similarities, relevant = similarities[asked], relevant[asked]
    first = np.argsort(-similarities, axis=1, kind="stable")[:, :5]
    found = np.take_along_axis(relevant, first, axis=1)
    return {
        "recall_1": float(found[:, 0].mean()),
        "recall_5": float(found.any(axis=1).mean()),
        "mean_average_precision": float(label_ranking_average_precision_score(relevant, similarities)),
        "chance": float(relevant.mean()),
        "queries": len(relevant),
    }


def retrieve_both_ways(
    fused: Float[np.ndarray, "scans dim"],
    expressions: list[str],
    texts: Mapping[str, Float[np.ndarray, "_ dim"]],
) -> dict[str, RetrievalScores]:
    """Every prompt looks for scans of its expression, every scan for prompts of its own.

    Args:
        fused: Unit vectors of the scans.
        expressions: Of each scan.
        texts: Unit vectors of the prompts of each expression.

    Raises:
        ValueError: If no scan has an expression of the prompts.
    """
    prompts = np.concatenate(list(texts.values()))
    said = np.repeat(list(texts), [len(vectors) for vectors in texts.values()])
    cosines = prompts @ fused.T
    belongs = said[:, None] == np.array(expressions)[None]
    return {
        "text_to_scan": retrieval_scores(cosines, belongs),
        "scan_to_text": retrieval_scores(cosines.T, belongs.T),
    }
