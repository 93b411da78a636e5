"""The numbers of a bundle: a model to its safetensors file and back.

The image side is kept in full, and so are the text embeddings of the bundle's own prompts: probabilities are the
model's own. Of the compact tower's token embedding only the known rows are kept (:mod:`affect4d.inference.words`), and
what only training needs (SMILE-VLM's projector) is left out. The text side may be kept in half precision.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from affect4d.evaluation.zero_shot import prompt_embeddings
from affect4d.inference.bundle import BUNDLE_FILE, CARD_FILE, WEIGHTS_FILE, Bundle, BundleError, read_description
from affect4d.inference.open_clip_folder import TOWERS_FILE, our_names
from affect4d.inference.words import known_tokens
from affect4d.models import AffectVLM, SmileVLM, build_model

LanguageModel = AffectVLM | SmileVLM
Weights = dict[str, Tensor]

TOKEN_ROWS = "text.tower.token_embedding.weight"
KNOWN_IDS, KNOWN_ROWS, PROMPTS = "tokens.ids", "tokens.rows", "prompts"
FOR_TRAINING = "projector."


@dataclass(frozen=True)
class Opened:
    """A bundle that was read.

    Attributes:
        bundle: What it says.
        model: In evaluation mode, on the CPU.
        prompts: Expression → unit vectors of its prompts, as the model made them in full precision.
        known: Tokens the model was trained on; None where the text tower knows all there are.
    """

    bundle: Bundle
    model: LanguageModel
    prompts: Mapping[str, Float32[np.ndarray, "prompts dim"]]
    known: frozenset[int] | None


def write_bundle(
    folder: Path,
    model: LanguageModel,
    bundle: Bundle,
    sentences: Sequence[str] = (),
    *,
    card: str = "",
) -> Path:
    """Write a bundle.

    Args:
        folder: Where to; it is made.
        model: With its trained weights.
        bundle: What to say of it; the architecture of open_clip towers is filled in.
        sentences: What the model was trained on: their words are known. Those of the bundle's prompts always are.
        card: Markdown.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    towers = model.options.towers.model_copy(update={"architecture": model.architecture, "pretrained": None})
    told = bundle.model_copy(update={"options": model.options.model_copy(update={"towers": towers})})
    vectors = prompt_embeddings(model.eval(), bundle.prompts)
    weights = {name: value for name, value in model.state_dict().items() if not name.startswith(FOR_TRAINING)}
    if model.architecture is None:
        texts = [*sentences, *(text for texts in bundle.prompts.values() for text in texts)]
        weights[KNOWN_IDS] = known_tokens(texts)
        weights[KNOWN_ROWS] = weights.pop(TOKEN_ROWS)[weights[KNOWN_IDS]]
    weights[PROMPTS] = torch.from_numpy(np.concatenate(list(vectors.values())))
    (folder / BUNDLE_FILE).write_text(told.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / CARD_FILE).write_text(card.rstrip() + "\n", encoding="utf-8")
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / WEIGHTS_FILE)
    return folder


def halve_bundle(folder: Path, target: Path) -> Path:
    """Copy a bundle with its text side in half precision.

    Answers stay the same; similarities with typed sentences change by up to 0.002.

    Raises:
        BundleError: If the folder is no bundle, or a damaged one.
    """
    read_bundle(folder)
    target.mkdir(parents=True, exist_ok=True)
    for name in (BUNDLE_FILE, CARD_FILE):
        shutil.copyfile(folder / name, target / name)
    weights = _load(folder / WEIGHTS_FILE)
    save_file({name: _halved(name, value) for name, value in weights.items()}, target / WEIGHTS_FILE)
    return target


def read_bundle(folder: Path) -> Opened:
    """Read a bundle.

    Raises:
        BundleError: If the folder is no bundle, or its weights do not belong to what it describes.
    """
    bundle = read_description(folder)
    file = folder / WEIGHTS_FILE
    weights = read_weights(folder)
    try:
        known, prompts = weights.pop(KNOWN_IDS, None), weights.pop(PROMPTS)
        model = _filled(bundle, weights, known)
        parts = np.split(prompts.numpy(), np.cumsum([len(texts) for texts in bundle.prompts.values()]))
        if len(parts.pop()) or not all(map(len, parts)):
            raise ValueError(f"it has {len(prompts)} prompts")
    except (ValueError, RuntimeError, KeyError, IndexError) as error:
        raise BundleError(f"{file} does not hold the model that {BUNDLE_FILE} describes: {error}") from error
    tokens = None if known is None else frozenset(known.tolist())
    return Opened(bundle, model.eval(), dict(zip(bundle.prompts, parts, strict=True)), tokens)


def read_weights(folder: Path) -> Weights:
    """Every number of a bundle by name; the towers of one that was handed on lie in open_clip's own file.

    Raises:
        BundleError: If a file is missing or damaged.
    """
    towers = folder / TOWERS_FILE
    return {**_load(folder / WEIGHTS_FILE), **(our_names(_load(towers)) if towers.is_file() else {})}


def _filled(bundle: Bundle, weights: Weights, known: Tensor | None) -> LanguageModel:
    """The model a bundle describes, with its weights; what only training needs stays as it was drawn.

    Raises:
        ValueError: If it has no text tower, or other weights.
    """
    model = build_model(bundle.kind, bundle.options)
    if not isinstance(model, LanguageModel):
        raise ValueError(f"a {bundle.kind} has no text tower to answer with")
    if known is not None:
        rows = torch.zeros_like(model.state_dict()[TOKEN_ROWS])
        weights[TOKEN_ROWS] = rows.index_copy(0, known, weights.pop(KNOWN_ROWS).float())
    missing, unexpected = model.load_state_dict(weights, strict=False)
    wrong = [name for name in (*missing, *unexpected) if not name.startswith(FOR_TRAINING)]
    if wrong:
        raise ValueError(f"missing or unknown: {', '.join(wrong[:3])}")
    return model


def _halved(name: str, value: Tensor) -> Tensor:
    on_text_side = name.startswith("text.") or name == KNOWN_ROWS
    return value.half() if on_text_side and value.is_floating_point() else value


def _load(file: Path) -> Weights:
    if not file.is_file():
        raise BundleError(f"{file} is missing: the bundle was not written completely; write it again.")
    try:
        return dict(load_file(file))
    except SafetensorError as error:
        raise BundleError(f"{file} is damaged ({error}): write the bundle again.") from error
