"""Weights of a packaged model: a model to its safetensors file and back, with the tokens it was trained on.

The image encoder and the embeddings of the model's own prompts are kept in full, so probabilities are exact. Weights
that only training needs (SMILE-VLM's projector) are left out. The text encoder may be kept in half precision.

The compact text encoder's token embedding is frozen and random: a row means something only through what was trained on
top of it. Only rows of training tokens are kept. Any other token is the zero vector, the mean of the distribution of
such rows: an unknown word then contributes nothing instead of noise.
"""

import re
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from affect4d.evaluation.action_unit_head import ActionUnitHead
from affect4d.evaluation.zero_shot import prompt_embeddings
from affect4d.inference.packaged_model_description import (
    CARD_FILE,
    WEIGHTS_FILE,
    ActionUnitErrors,
    PackagedModel,
    PackagedModelError,
    description_file,
    read_description,
    write_description,
)
from affect4d.models import build_model, clip_tokens
from affect4d.models.options import COMPACT
from affect4d.models.vision_language_models import VisionLanguageModel

NamedWeights = dict[str, Tensor]

TOKEN_ROWS = "text.tower.token_embedding.weight"
KNOWN_IDS, KNOWN_ROWS, PROMPTS = "tokens.ids", "tokens.rows", "prompts"
TRAINING_ONLY = "projector."
ACTION_UNITS = "action_units."
ENCODERS_FILE = "open_clip_model.safetensors"
OPEN_CLIP_NAMES: Mapping[str, str] = {"image.tower.": "visual.", "text.tower.": "text."}
"""Beginnings of weight names: a model's → open_clip's."""
FILE_NAMES: Mapping[str, str] = {"image.tower.": "image.encoder.", "text.tower.": "text.encoder."}
"""Beginnings of weight names: a model's → the file's; earlier files have the model's."""
LONGEST = 77  # tokens of CLIP's own context: enough for any word
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True)
class LoadedModel:
    """Packaged model in memory: in evaluation mode, on the CPU."""

    description: PackagedModel
    model: VisionLanguageModel
    prompts: Mapping[str, Float32[np.ndarray, "prompts dim"]]
    """Expression → unit vectors of its prompts, computed in full precision."""
    known: frozenset[int] | None  # tokens the model was trained on; None for a pretrained text encoder, which has all
    action_units: ActionUnitHead | None = None

    @property
    def scale(self) -> float:
        """Factor on cosines before the softmax: the model's own, divided by the calibration's temperature."""
        calibration = self.description.calibration
        scale = float(self.model.temperature().detach())
        return scale if calibration is None else scale / calibration.temperature


def write_packaged_model(
    folder: Path,
    model: VisionLanguageModel,
    description: PackagedModel,
    sentences: Sequence[str] = (),
    *,
    card: str = "",
    action_units: ActionUnitHead | None = None,
) -> Path:
    """Write a trained model as a packaged model, which knows the tokens of ``sentences``, its training texts.

    ``action_units`` is the head that was fitted on its image encoder, if any.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vectors = prompt_embeddings(model.eval(), description.prompts)
    weights = {name: value for name, value in model.state_dict().items() if not name.startswith(TRAINING_ONLY)}
    if model.options.encoder.text == COMPACT:
        texts = [*sentences, *(text for texts in description.prompts.values() for text in texts)]
        weights[KNOWN_IDS] = known_tokens(texts)
        weights[KNOWN_ROWS] = weights.pop(TOKEN_ROWS)[weights[KNOWN_IDS]]
    weights[PROMPTS] = torch.from_numpy(np.concatenate(list(vectors.values())))
    errors = None
    if action_units is not None:
        weights |= {ACTION_UNITS + name: torch.from_numpy(array) for name, array in action_units.arrays().items()}
        errors = expected_errors(action_units)
    write_description(description.model_copy(update={"options": model.options, "action_units": errors}), folder)
    (folder / CARD_FILE).write_text(card.rstrip() + "\n", encoding="utf-8")
    save_weights(weights, folder / WEIGHTS_FILE)
    return folder


def expected_errors(head: ActionUnitHead) -> ActionUnitErrors:
    """A head's action units as the description of its packaged model has them."""
    with_neutral, alone = (
        dict(zip(head.names, one.errors.astype(float).round(4).tolist(), strict=True))
        for one in (head.with_neutral, head.alone)
    )
    return ActionUnitErrors(with_neutral=with_neutral, alone=alone)


def halve_precision(folder: Path, target: Path) -> Path:
    """Copy a packaged model with its text encoder in half precision: similarities change by up to 0.002."""
    read_packaged_model(folder)
    target.mkdir(parents=True, exist_ok=True)
    write_description(read_description(folder), target)
    shutil.copyfile(folder / CARD_FILE, target / CARD_FILE)
    weights = _load(folder / WEIGHTS_FILE)
    save_weights({name: _halved(name, value) for name, value in weights.items()}, target / WEIGHTS_FILE)
    return target


def read_packaged_model(folder: Path) -> LoadedModel:
    """Load a packaged model.

    Raises:
        PackagedModelError: If it is none, or its weights do not match its description.
    """
    description = read_description(folder)
    weights = read_weights(folder)
    try:
        known, prompts = weights.pop(KNOWN_IDS, None), weights.pop(PROMPTS)
        action_units = _pop_action_units(weights, description.action_unit_names)
        model = _build(description, weights, known)
        parts = np.split(prompts.numpy(), np.cumsum([len(texts) for texts in description.prompts.values()]))
        if len(parts.pop()) or not all(map(len, parts)):
            raise ValueError(f"it has {len(prompts)} prompts")
    except (ValueError, RuntimeError, KeyError, IndexError) as error:
        raise PackagedModelError(
            f"{folder / WEIGHTS_FILE} does not hold the model that {description_file(folder).name} describes: {error}"
        ) from error
    tokens = None if known is None else frozenset(known.tolist())
    texts = dict(zip(description.prompts, parts, strict=True))
    return LoadedModel(description, model.eval(), texts, tokens, action_units)


def read_weights(folder: Path) -> NamedWeights:
    """Weights of a packaged model by the model's names; open_clip encoders may lie in open_clip's own file."""
    weights, encoders = _load(folder / WEIGHTS_FILE), folder / ENCODERS_FILE
    if encoders.is_file():  # open_clip's temperature is the model's, clamped: left out
        named = {renamed(name, _reversed(OPEN_CLIP_NAMES)): value for name, value in _load_file(encoders).items()}
        weights |= {name: value for name, value in named.items() if name is not None}
    return weights


def save_weights(weights: Mapping[str, Tensor], file: Path) -> None:
    """Write weights, given by the model's names."""
    save_file({renamed(name, FILE_NAMES) or name: value.contiguous() for name, value in weights.items()}, file)


def renamed(name: str, beginnings: Mapping[str, str]) -> str | None:
    """A weight's name with another beginning; None if it has none of them."""
    for old, new in beginnings.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return None


def known_tokens(sentences: Iterable[str]) -> Int64[Tensor, " tokens"]:
    """Tokens of some sentences, sorted; start, end and padding included."""
    texts = sorted(set(sentences))
    padded = torch.cat([torch.zeros(1, dtype=torch.int64), clip_tokens(texts, LONGEST).flatten()])
    return torch.tensor(sorted(set(padded.tolist())))


def unknown_words(sentence: str, known: Collection[int]) -> tuple[str, ...]:
    """Distinct words of a sentence, as typed, with a token that is not known."""
    words = list(dict.fromkeys(_WORD.findall(sentence)))
    return tuple(word for word in words if not set(_tokens(word)) <= set(known))


def _tokens(word: str) -> list[int]:
    row = clip_tokens([word], LONGEST)[0]
    return [int(token) for token in row[1 : int(row.argmax())]]


def _build(description: PackagedModel, weights: NamedWeights, known: Tensor | None) -> VisionLanguageModel:
    """Build the described model with its weights; training-only parts keep their random initialisation."""
    model = build_model(description.kind, description.options)
    if not isinstance(model, VisionLanguageModel):
        raise ValueError(f"a {description.kind} has no text encoder, which prediction needs")
    if known is not None:
        rows = torch.zeros_like(model.state_dict()[TOKEN_ROWS])
        weights[TOKEN_ROWS] = rows.index_copy(0, known, weights.pop(KNOWN_ROWS).float())
    missing, unexpected = model.load_state_dict(weights, strict=False)
    wrong = [name for name in (*missing, *unexpected) if not name.startswith(TRAINING_ONLY)]
    if wrong:
        raise ValueError(f"missing or unknown: {', '.join(renamed(name, FILE_NAMES) or name for name in wrong[:3])}")
    return model


def _pop_action_units(weights: NamedWeights, names: Sequence[str]) -> ActionUnitHead | None:
    own = {name: weights.pop(name) for name in [*weights] if name.startswith(ACTION_UNITS)}
    arrays = {name.removeprefix(ACTION_UNITS): value.numpy() for name, value in own.items()}
    return ActionUnitHead.from_arrays(names, arrays) if names else None


def _halved(name: str, value: Tensor) -> Tensor:
    in_text_encoder = name.startswith("text.") or name == KNOWN_ROWS
    return value.half() if in_text_encoder and value.is_floating_point() else value


def _load(file: Path) -> NamedWeights:
    return {renamed(name, _reversed(FILE_NAMES)) or name: value for name, value in _load_file(file).items()}


def _load_file(file: Path) -> NamedWeights:
    if not file.is_file():
        raise PackagedModelError(f"{file} is missing: the model was not written completely; write it again.")
    try:
        return dict(load_file(file))
    except SafetensorError as error:
        raise PackagedModelError(f"{file} is damaged ({error}): write the model again.") from error


def _reversed(names: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in names.items()}
