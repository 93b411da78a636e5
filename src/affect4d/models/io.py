"""Building models by name; saving and loading them as ``config.json`` and ``weights.safetensors`` in a folder."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from affect4d.models.affect_vlm import AffectVLM
from affect4d.models.cross_entropy_classifier import ViewClassifier
from affect4d.models.options import ModelOptions
from affect4d.models.smile_vlm import SmileVLM

Model = AffectVLM | SmileVLM | ViewClassifier

MODELS: Mapping[str, Callable[[ModelOptions], Model]] = {
    "affect_vlm": AffectVLM,
    "smile_vlm": SmileVLM,
    "view_classifier": ViewClassifier,
}
WEIGHTS_FILE = "weights.safetensors"


def build_model(name: str, options: ModelOptions, seed: int = 0) -> Model:
    """Build a model; the same seed gives the same weights, and the caller's random state is left alone.

    Raises:
        ValueError: If no model has that name; the message lists those there are.
    """
    if name not in MODELS:
        raise ValueError(f"There is no model {name!r}; known models: {', '.join(sorted(MODELS))}.")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return MODELS[name](options)


def save_model(model: nn.Module, folder: Path, weights: Mapping[str, Tensor] | None = None) -> Path:
    """Write a model to a folder: ``config.json`` (name and options) and ``weights.safetensors``.

    The weights of an open_clip or timm encoder keep their names behind ``image.tower.`` and ``text.tower.``.

    Args:
        folder: Where.
        weights: By name, where the model's own are spread over processes.

    Returns:
        The folder.

    Raises:
        ValueError: If the model is none of :data:`MODELS`.
    """
    names = {kind: name for name, kind in MODELS.items()}
    if type(model) not in names or not isinstance(model, Model):
        raise ValueError(f"{type(model).__name__} is none of the known models: {', '.join(sorted(MODELS))}.")
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model": names[type(model)], "options": model.options.model_dump(mode="json")}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = model.state_dict() if weights is None else weights
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / WEIGHTS_FILE)
    return folder


def load_model(folder: Path, device: torch.device | str = "cpu") -> Model:
    """Read a model written by :func:`save_model`, in evaluation mode; on the CPU, outputs are equal to the last bit.

    Args:
        folder: Where it was written.
        device: Where to put it.

    Raises:
        FileNotFoundError: If the folder holds no model.
    """
    config_file, weights = folder / "config.json", folder / WEIGHTS_FILE
    for file in (config_file, weights):
        if not file.exists():
            raise FileNotFoundError(f"{file} is missing: the folder was not written by save_model, or not completely.")
    config = json.loads(config_file.read_text())
    model = build_model(config["model"], ModelOptions.model_validate(config["options"]))
    model.load_state_dict(load_file(weights))
    return model.eval().to(device)
