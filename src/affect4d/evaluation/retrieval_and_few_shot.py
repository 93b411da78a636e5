"""Evaluation of a representation beyond accuracy: few-shot accuracy, retrieval by text, and a t-SNE map."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import label_ranking_average_precision_score
from sklearn.preprocessing import StandardScaler

from affect4d.evaluation.evaluator import BOOTSTRAP_SEED, Evaluator, PromptEnsembles
from affect4d.evaluation.probing import Features, few_shot_scores
from affect4d.evaluation.sequence_embeddings import embed_sequences
from affect4d.evaluation.zero_shot import FREE_TEXT, prompt_embeddings

PERPLEXITY = 30.0
COMPONENTS = 50
"""Principal components that t-SNE starts from, as its authors advise."""
MAP_COLUMNS = ("model", "sequence", "subject", "expression", "x", "y")


class RetrievalScores(TypedDict):
    """Ranking scores of queries, 0…1; queries without a relevant item are left out.

    ``recall_1`` and ``recall_5`` are fractions of queries with a relevant item among the first one or five; ``chance``,
    the mean fraction of relevant items, is what ``recall_1`` is by chance.
    """

    recall_1: float
    recall_5: float
    mean_average_precision: float
    chance: float
    queries: int


class Representation(NamedTuple):
    """Scores (``few_shot`` by number of labelled subjects, ``retrieval`` by kind of text), and map."""

    scores: dict[str, Any]
    map: pd.DataFrame


def evaluate_representation(
    evaluator: Evaluator, model: Any, name: str, prompts: PromptEnsembles | None = None
) -> Representation:
    """Evaluate a frozen model's representation; without retrieval where ``prompts`` is None."""
    embeddings = embed_sequences(model, evaluator.bank, evaluator.inputs, quiet=evaluator.quiet)
    sequences, split = evaluator.sequences, evaluator.split
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    scores: dict[str, Any] = {"few_shot": few_shot_scores(embeddings.hidden, sequences, split, generator)}
    unseen = evaluator.unseen()
    shown = embeddings.of(unseen["sequence"].tolist())
    if prompts is not None:
        expressions = unseen["expression"].tolist()
        scores["retrieval"] = {
            source: retrieve_both_ways(shown.fused, expressions, prompt_embeddings(model, texts))
            for source, texts in (("prompts", prompts), ("free_text", FREE_TEXT))
        }
    return Representation(scores, embedding_map(shown.hidden, unseen, name))


def retrieve_both_ways(
    fused: Float[np.ndarray, "scans dim"],
    expressions: list[str],
    texts: Mapping[str, Float[np.ndarray, "_ dim"]],
) -> dict[str, RetrievalScores]:
    """Scores of retrieving scans by prompts and prompts by scans.

    Args:
        fused: Unit vectors of the scans.
        texts: Unit vectors of the prompts of each expression.
    """
    prompts = np.concatenate(list(texts.values()))
    named = np.repeat(list(texts), [len(vectors) for vectors in texts.values()])
    cosines = prompts @ fused.T
    relevant = named[:, None] == np.array(expressions)[None]
    return {
        "text_to_scan": retrieval_scores(cosines, relevant),
        "scan_to_text": retrieval_scores(cosines.T, relevant.T),
    }


def retrieval_scores(
    similarities: Float[np.ndarray, "queries items"], relevant: Bool[np.ndarray, "queries items"]
) -> RetrievalScores:
    """Score rankings by similarity; raises a ValueError if no query has a relevant item."""
    kept = relevant.any(axis=1)
    if not kept.any():
        raise ValueError("No query has a relevant item: there is nothing to retrieve.")
    similarities, relevant = similarities[kept], relevant[kept]
    first = np.argsort(-similarities, axis=1, kind="stable")[:, :5]
    found = np.take_along_axis(relevant, first, axis=1)
    return {
        "recall_1": float(found[:, 0].mean()),
        "recall_5": float(found.any(axis=1).mean()),
        "mean_average_precision": float(label_ranking_average_precision_score(relevant, similarities)),
        "chance": float(relevant.mean()),
        "queries": len(relevant),
    }


def embedding_map(features: Features, sequences: pd.DataFrame, model: str) -> pd.DataFrame:
    """t-SNE (van der Maaten and Hinton 2008) of some sequences' features; deterministic.

    Returns:
        Columns :data:`MAP_COLUMNS`; coordinates are scaled to −1…1.
    """
    if len(features) < 4:
        raise ValueError(f"A map of {len(features)} sequences shows nothing; it takes four.")
    scaled = StandardScaler().fit_transform(features)
    reduced = PCA(min(COMPONENTS, *scaled.shape), random_state=0).fit_transform(scaled)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    placed = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(reduced)
    placed = placed / max(np.abs(placed).max(), 1e-12)
    table = sequences[["sequence", "subject", "expression"]].reset_index(drop=True)
    return table.assign(model=model, x=placed[:, 0].astype(float), y=placed[:, 1].astype(float))[list(MAP_COLUMNS)]
