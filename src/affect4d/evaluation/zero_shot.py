"""Zero-shot recognition: the nearest prompt ensemble (normalised mean embedding; Radford et al. 2021), by softmax."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32, Int64
from scipy.special import softmax
from torch.nn.functional import normalize

from affect4d.evaluation.prediction_tables_and_leak_checks import labelled_rows, prediction_table
from affect4d.evaluation.sequence_embeddings_and_probabilities import (
    SequenceEmbeddings,
    embed_sequences,
    set_evaluation_mode,
)
from affect4d.models import EncoderOptions, PretrainedModel
from affect4d.models.options import open_clip_source
from affect4d.prompts.emotion_prompts import class_prompts
from affect4d.pseudo_labels.options import ZeroShotOptions, refuse_labels
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore
from affect4d.tensor_types import TextEmbeddings, TextInputs
from affect4d.views.bank import load_view_bank
from affect4d.views.input_options import FrameSampler, InputOptions

UnitVectors = Float[np.ndarray, "_ dim"]
INFLUENCE_COLUMNS = ("expression", "prompt", "own_similarity", "other_similarity", "accuracy_alone", "gain")


class PromptModel(Protocol):
    """A model that embeds prompts."""

    temperature: Any

    def preprocess_texts(self, texts: Sequence[str]) -> TextInputs:
        """Prompts as the text encoder takes them."""
        ...

    def embed_texts(self, inputs: TextInputs) -> TextEmbeddings:
        """Embed preprocessed prompts as unit vectors."""
        ...


def expression_prompts() -> dict[str, tuple[str, ...]]:
    """The prompt ensemble of every expression, in the order of ``EXPRESSIONS``."""
    return {expression: class_prompts(expression) for expression in EXPRESSIONS}


@torch.inference_mode()
def prompt_embeddings(
    model: PromptModel, prompts: Mapping[str, Sequence[str]], device: torch.device | None = None
) -> dict[str, Float32[np.ndarray, "prompts dim"]]:
    """Unit vectors of every prompt of every expression; the model is put in evaluation mode."""
    device = set_evaluation_mode(model, device)
    return {
        name: model.embed_texts(model.preprocess_texts(list(texts)).to(device)).cpu().float().numpy()
        for name, texts in prompts.items()
    }


def class_embeddings(
    model: PromptModel, prompts: Mapping[str, Sequence[str]], device: torch.device | None = None
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
    model: PromptModel,
    embeddings: SequenceEmbeddings,
    sequences: pd.DataFrame,
    split: SubjectSplit,
    name: str,
    prompts: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Prediction table of a vision-language model on the sequences of test subjects; by default, by our own prompts."""
    unseen = sequences.iloc[labelled_rows(sequences, split).test]
    classes = class_embeddings(model, prompts or expression_prompts())
    fused = embeddings.of(unseen["sequence"].tolist()).fused
    return prediction_table(unseen, zero_shot_probabilities(fused, classes, float(model.temperature().detach())), name)


def prompt_influence(
    fused: UnitVectors,
    labels: Int64[np.ndarray, " sequences"],
    prompts: Mapping[str, Sequence[str]],
    texts: Mapping[str, UnitVectors],
) -> pd.DataFrame:
    """Influence of every prompt of the ensembles on the predictions, one row per prompt.

    Args:
        fused: Unit vectors of the sequences.
        labels: Expression of each, as its position in ``prompts``.
        texts: Unit vectors of the prompts.

    Returns:
        Columns :data:`INFLUENCE_COLUMNS`: the mean cosine with sequences of its own expression and with the others;
        the accuracy where this prompt alone stands for its expression, the other ensembles being complete; and the
        accuracy of the complete ensembles minus that without this prompt (NaN where it is the only one).
    """
    ensembles = np.stack([_unit(vectors.mean(axis=0)) for vectors in texts.values()])
    complete = _accuracy(fused, labels, ensembles)
    rows = []
    for place, (expression, sentences) in enumerate(prompts.items()):
        own, vectors = labels == place, texts[expression]
        for index, sentence in enumerate(sentences):
            cosines = fused @ vectors[index]
            alone = _accuracy(fused, labels, _replaced(ensembles, place, vectors[index]))
            others = np.delete(vectors, index, axis=0)
            reduced = _replaced(ensembles, place, _unit(others.mean(axis=0))) if len(others) else None
            gain = float("nan") if reduced is None else complete - _accuracy(fused, labels, reduced)
            rows.append((expression, sentence, _mean(cosines[own]), _mean(cosines[~own]), alone, gain))
    return pd.DataFrame(rows, columns=list(INFLUENCE_COLUMNS))


def prompt_similarities(
    views: pd.DataFrame, store: ContentStore, options: ZeroShotOptions, frames: FrameSampler
) -> tuple[pd.DataFrame, float]:
    """Cosine of every sequence (the index) with every expression's prompt ensemble, and the model's factor on cosines.

    ``views`` is a view manifest without labels.

    Raises:
        ValueError: If the table has a label column, or the model has no weights.
        FileNotFoundError: If its file or folder of weights does not exist.
    """
    refuse_labels(views.columns)
    source = open_clip_source(options.name)
    model = PretrainedModel(EncoderOptions(image=source, text=source, pretrained=options.pretrained))
    inputs = InputOptions(channels=(options.channel,), motion="none", frames=frames, size=model.size)
    embeddings = embed_sequences(model, load_view_bank(views, store, inputs), inputs)
    prompts = expression_prompts()
    cosines = embeddings.fused @ class_embeddings(model, prompts).T
    return pd.DataFrame(cosines, index=list(embeddings.sequences), columns=list(prompts)), model.scale


def _accuracy(fused: UnitVectors, labels: Int64[np.ndarray, " sequences"], classes: UnitVectors) -> float:
    return float(((fused @ classes.T).argmax(axis=1) == labels).mean())


def _replaced(ensembles: UnitVectors, place: int, vector: Float[np.ndarray, " dim"]) -> UnitVectors:
    changed = ensembles.copy()
    changed[place] = vector
    return changed


def _unit(vector: Float[np.ndarray, " dim"]) -> Float[np.ndarray, " dim"]:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def _mean(values: Float[np.ndarray, " _"]) -> float:
    return float(values.mean()) if len(values) else float("nan")
