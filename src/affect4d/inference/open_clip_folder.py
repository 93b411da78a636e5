"""Towers that open_clip built, as the two files open_clip reads: ``open_clip.create_model("local-dir:FOLDER")``."""

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from affect4d.inference.bundle import Bundle
from affect4d.models.encoders import LARGEST_SCALE

CONFIG_FILE, TOWERS_FILE = "open_clip_config.json", "open_clip_model.safetensors"
NAMES = {"image.tower.": "visual.", "text.tower.": "text."}
"""Ours → open_clip's."""
LOG_SCALE, THEIR_LOG_SCALE = "temperature.logit_scale", "logit_scale"
MIDDLE = [0.5, 0.5, 0.5]
"""Mean and deviation by which a picture's 0…1 becomes the −1…1 a model sees."""
Weights = dict[str, Tensor]


def write_open_clip(folder: Path, bundle: Bundle, weights: Weights) -> Weights:
    """Write both towers as open_clip has them.

    Args:
        folder: Where to.
        bundle: Of a model on open_clip's towers.
        weights: The model's, by our names.

    Returns:
        The weights that are not open_clip's: heads, fusion, prompts.

    Raises:
        ValueError: If the towers are our own compact pair.
    """
    architecture = bundle.options.towers.architecture
    if architecture is None:
        raise ValueError(f"open_clip has no tower {bundle.options.towers.name!r}: only affect4d.load reads this model.")
    side = bundle.inputs.size
    seen = {"size": [side, side], "mode": "RGB", "mean": MIDDLE, "std": MIDDLE, "resize_mode": "squash"}
    config = {"model_cfg": {**architecture, "custom_text": True}, "preprocess_cfg": seen}
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    towers = {theirs: weights[ours] for ours in weights if (theirs := _renamed(ours, NAMES)) is not None}
    towers[THEIR_LOG_SCALE] = weights[LOG_SCALE].clamp(0, LARGEST_SCALE)
    save_file({name: value.contiguous() for name, value in towers.items()}, folder / TOWERS_FILE)
    return {name: value for name, value in weights.items() if _renamed(name, NAMES) is None}


def our_names(weights: Weights) -> Weights:
    """Weights of open_clip's towers by our names; its temperature, which is ours held within bounds, is left out."""
    back = {theirs: ours for ours, theirs in NAMES.items()}
    named = {_renamed(name, back): value for name, value in weights.items()}
    return {name: value for name, value in named.items() if name is not None}


def _renamed(name: str, names: dict[str, str]) -> str | None:
    """The name with another start; None where none of the starts is its."""
    for old, new in names.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return None
