"""A representation examined from all sides: few labels, words, neighbours, a map."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from affect4d.evaluation.embed import embed_sequences
from affect4d.evaluation.embedding_map import embedding_map
from affect4d.evaluation.evaluator import BOOTSTRAP_SEED, Evaluator, PromptEnsembles
from affect4d.evaluation.few_shot import few_shot_scores
from affect4d.evaluation.free_text import FREE_TEXT
from affect4d.evaluation.retrieval import retrieve_both_ways
from affect4d.evaluation.zero_shot import prompt_embeddings


class Representation(NamedTuple):
    """What was found.

    Attributes:
        scores: ``few_shot`` by number of labelled subjects; ``retrieval`` by prompts and by free text, where the model
            reads text.
        map: See :mod:`affect4d.evaluation.embedding_map`; unseen sequences only.
    """

    scores: dict[str, Any]
    map: pd.DataFrame


def examine_representation(
    evaluator: Evaluator, model: Any, name: str, prompts: PromptEnsembles | None = None
) -> Representation:
    """Examine a frozen model.

    Args:
        evaluator: On whom.
        model: Embeds views; and texts, where prompts are given.
        name: In the map.
        prompts: Prompt ensembles to retrieve with; None where the model reads no text.
    """
    embeddings = embed_sequences(model, evaluator.bank, evaluator.inputs, quiet=evaluator.quiet)
    sequences, split = evaluator.sequences, evaluator.split
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    scores: dict[str, Any] = {"few_shot": few_shot_scores(embeddings.hidden, sequences, split, generator)}
    unseen = evaluator.unseen()
    shown = embeddings.of(unseen["sequence"].tolist())
    if prompts is not None:
        expressions = unseen["expression"].tolist()
        scores["retrieval"] = {
            way: retrieve_both_ways(shown.fused, expressions, prompt_embeddings(model, texts))
            for way, texts in (("prompts", prompts), ("free_text", FREE_TEXT))
        }
    return Representation(scores, embedding_map(shown.hidden, unseen, name))
