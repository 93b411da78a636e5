"""Recognition through language: a sequence is what the prompts nearest to it say.

Each expression is the normalised mean of its prompts' text embeddings (prompt ensemble, Radford et al. 2021); the
prediction is the softmax over scaled cosines with the fused embedding.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32
from scipy.special import softmax
from torch.nn.functional import normalize

from affect4d.evaluation.embed import SequenceEmbeddings, rest
from affect4d.evaluation.predictions import prediction_table
from affect4d.evaluation.protocols import fold_of
from affect4d.models import tokenise
from affect4d.prompts.compose import class_prompts
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.splits import SubjectSplit
from affect4d.tensors import TextEmbeddings, Tokens


class LanguageModel(Protocol):
    """What embeds prompts, and knows its temperature and the length of its prompts."""

    options: Any
    temperature: Any

    def embed_texts(self, tokens: Tokens) -> TextEmbeddings:
        """Embed prompts as unit vectors."""
        ...


def expression_prompts() -> dict[str, tuple[str, ...]]:
    """The prompt ensemble of every expression, in the order of ``EXPRESSIONS``."""
    return {expression: class_prompts(expression) for expression in EXPRESSIONS}


@torch.inference_mode()
def prompt_embeddings(
    model: LanguageModel, prompts: Mapping[str, Sequence[str]], device: torch.device | None = None
) -> dict[str, Float32[np.ndarray, "prompts dim"]]:
    """Unit vectors of every prompt of every expression.

    Args:
        model: A vision-language model; it is put in evaluation mode.
        prompts: Prompts of each expression.
        device: Where to compute; where the model is by default.
    """
    device = rest(model, device)
    length = int(model.options.towers.context_length)
    return {
        name: model.embed_texts(tokenise(list(texts), length).to(device)).cpu().float().numpy()
        for name, texts in prompts.items()
    }


def class_embeddings(
    model: LanguageModel, prompts: Mapping[str, Sequence[str]], device: torch.device | None = None
) -> Float32[np.ndarray, "classes dim"]:
    """Unit vector of every expression: the normalised mean over its prompts; rows in the order of the mapping."""
    means = [vectors.mean(axis=0) for vectors in prompt_embeddings(model, prompts, device).values()]
    return normalize(torch.from_numpy(np.stack(means)), dim=-1).numpy()


def zero_shot_probabilities(
    fused: Float[np.ndarray, "sequences dim"], classes: Float[np.ndarray, "classes dim"], scale: float
) -> Float[np.ndarray, "sequences classes"]:
    """softmax(scale · cosine) of unit vectors."""
    probabilities: np.ndarray = softmax(scale * (fused.astype(np.float64) @ classes.T.astype(np.float64)), axis=1)
    return probabilities


def predict_by_prompts(
    model: LanguageModel,
    embeddings: SequenceEmbeddings,
    sequences: pd.DataFrame,
    split: SubjectSplit,
    name: str,
    prompts: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Prediction table of a vision-language model on the sequences of unseen subjects.

    Args:
        model: Whose text tower and temperature are used.
        embeddings: The same model's embeddings of at least those sequences.
        sequences: Columns ``sequence``, ``subject``, ``expression``.
        split: Whose test side is predicted.
        name: Name in the prediction table.
        prompts: Prompt ensemble of every expression; the project's own where None.

    Raises:
        LeakError: If a sequence is listed twice.
    """
    unseen = sequences.iloc[fold_of(sequences, split).test]
    classes = class_embeddings(model, prompts or expression_prompts())
    fused = embeddings.of(unseen["sequence"].tolist()).fused
    return prediction_table(unseen, zero_shot_probabilities(fused, classes, float(model.temperature().detach())), name)
