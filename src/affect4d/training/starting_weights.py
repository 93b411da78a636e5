"""Weights of a trained model as the initial ones of another: image encoder, view fusion, text encoder, projections.

What the two models share is taken over by name and shape, views and channels by their names; all else keeps its fresh
initialisation. An image encoder of another kind or size is refused: nothing would be left of the start.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from affect4d.models.options import COMPACT, EncoderOptions, ModelOptions
from affect4d.models.vision_language_models import WEIGHTS_FILE
from affect4d.training.options import StartingPoint
from affect4d.views.input_options import InputOptions

LOGGER = logging.getLogger(__name__)

IMAGE_ENCODER, TEXT_ENCODER, TEXT = "image.tower.", "text.tower.", "text."
VIEW_SCORES, TOKEN_ROWS = "image.fusion.view_scores", "text.tower.token_embedding.weight"


class StartMismatchError(ValueError):
    """A model cannot start from another: names the parameter that differs, and the remedy."""


def check_start(
    name: str, start: ModelOptions, start_inputs: InputOptions, own: EncoderOptions, inputs: InputOptions
) -> None:
    """Raise :class:`StartMismatchError` unless a model with these options can take over the start's image encoder."""
    if not set(start_inputs.channels) & set(inputs.channels):
        raise StartMismatchError(
            f"train.start_from={name} sees the channels {', '.join(start_inputs.channels)}, this run none of them: set "
            "inputs.channels to one of these at least, or leave train.start_from out."
        )
    for option in ("image", "image_width" if own.image == COMPACT else "image_size"):
        theirs, ours = getattr(start.encoder, option), getattr(own, option)
        if theirs != ours:
            needed = f"model.encoder.{option}={'null' if theirs is None else theirs}"
            raise StartMismatchError(
                f"train.start_from={name} has {needed}, this run {ours}: the image encoder does not fit. "
                f"Set {needed}, or leave train.start_from out."
            )


def load_starting_weights(
    model: Any, start: StartingPoint, inputs: InputOptions, rendered: Sequence[str]
) -> tuple[str, ...]:
    """Initialise a model, in place, from its start; return the parts that stay as they were initialised.

    Args:
        rendered: Names of the rendered views that the model sees, in order.
    """
    weights = starting_weights(model, start, inputs, rendered)
    model.load_state_dict(weights, strict=False)
    fresh = fresh_parts(model, weights)
    LOGGER.info("Training starts from %s; initialised afresh: %s.", start.name, ", ".join(fresh) or "nothing")
    return fresh


def starting_weights(
    model: Any, start: StartingPoint, inputs: InputOptions, rendered: Sequence[str]
) -> dict[str, Tensor]:
    """The start's weights, by the model's names, as far as they fit.

    Rows of unknown tokens are zero in a packaged model; they stay as they are here.

    Raises:
        StartMismatchError: If the image encoder does not fit.
    """
    given = load_file(start.folder / WEIGHTS_FILE)
    own = {name: value.cpu() for name, value in model.state_dict().items()}
    shared = [name for name in own if name in given]
    fitted = {name: _fitted(name, given[name], own[name], start, inputs, rendered) for name in shared}
    taken = {name: value for name, value in fitted.items() if value is not None}
    missing = sorted(name for name in own if name.startswith(IMAGE_ENCODER) and name not in taken)
    if missing:
        raise StartMismatchError(
            f"train.start_from={start.name} has another image encoder: {missing[0]} does not fit. Set model.encoder as "
            "in the packaged_model.json of the start, or leave train.start_from out."
        )
    if not _same_text_encoder(start, model, taken):
        taken = {name: value for name, value in taken.items() if not name.startswith(TEXT)}
    return taken


def fresh_parts(model: nn.Module, weights: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Parts of a model (two levels of its names) of which some weights are not given."""
    return tuple(sorted({".".join(name.split(".")[:2]) for name in model.state_dict().keys() - weights.keys()}))


def _fitted(
    name: str, given: Tensor, own: Tensor, start: StartingPoint, inputs: InputOptions, rendered: Sequence[str]
) -> Tensor | None:
    """A weight of the start as the model takes it; None if it does not fit."""
    if name == VIEW_SCORES:
        return _by_name(given, own, start.views, inputs.view_names(rendered), dim=0)
    if name == TOKEN_ROWS and given.shape == own.shape:
        return torch.where(given.any(dim=1, keepdim=True), given, own)
    if name.startswith(IMAGE_ENCODER) and _reads_channels(given, own, start, inputs):
        return _by_name(given, own, start.channels, inputs.channel_names, dim=1)
    return given if given.shape == own.shape else None


def _reads_channels(given: Tensor, own: Tensor, start: StartingPoint, inputs: InputOptions) -> bool:
    """Whether a weight is that of the convolution over an image's channels, and these are not the start's."""
    shapes = (len(start.channels), len(inputs.channel_names))
    return start.channels != inputs.channel_names and given.ndim == 4 and (given.shape[1], own.shape[1]) == shapes


def _by_name(given: Tensor, own: Tensor, theirs: Sequence[str], ours: Sequence[str], dim: int) -> Tensor | None:
    """Slices that have a name in the start, from there, the others as they are; None if there is no such name."""
    shared = [name for name in ours if name in theirs]
    if not shared or given.shape[dim] != len(theirs) or own.shape[dim] != len(ours):
        return None
    into, out_of = (torch.tensor([list(names).index(name) for name in shared]) for names in (ours, theirs))
    return own.index_copy(dim, into, given.index_select(dim, out_of).to(own.dtype))


def _same_text_encoder(start: StartingPoint, model: Any, taken: Mapping[str, Tensor]) -> bool:
    config = json.loads((start.folder / "config.json").read_text())
    theirs, ours = ModelOptions.model_validate(config["options"]).encoder, model.options.encoder
    whole = all(name in taken for name in model.state_dict() if name.startswith(TEXT_ENCODER))
    return whole and (theirs.text, theirs.text_weights) == (ours.text, ours.text_weights)
