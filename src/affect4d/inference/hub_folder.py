"""Folder to share a packaged model: loads with ``affect4d.load``, and with open_clip where that built the encoders."""

import csv
import json
import shutil
from pathlib import Path

from safetensors.torch import save_file

from affect4d.inference.packaged_model import (
    CARD_FILE,
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    PackagedModel,
    read_description,
)
from affect4d.inference.packaged_weights import ENCODERS_FILE, OPEN_CLIP_NAMES, NamedWeights, read_weights, renamed
from affect4d.models.vision_language_models import LARGEST_SCALE

PROMPTS_FILE, README, CONFIG_FILE = "prompts.csv", "README.md", "open_clip_config.json"
LOG_SCALE, OPEN_CLIP_LOG_SCALE = "temperature.logit_scale", "logit_scale"
HALF = [0.5, 0.5, 0.5]
"""Mean and deviation that turn an image's 0…1 into the model's −1…1."""

LOADING = """## Load it

    import affect4d
    model = affect4d.load("path/to/{name}")
    print(model.predict("smile.ply", neutral="at_rest.ply").probabilities)   # movement is relative to it

`prompts.csv` holds the sentences that stand for each expression.
"""
LOADING_OPEN_CLIP = """
Both encoders load with plain open_clip too:

    import open_clip
    encoders = open_clip.create_model("local-dir:path/to/{name}")
    tokeniser = open_clip.get_tokenizer("local-dir:path/to/{name}")

An image's three channels are {channels}, each rendered from a scan as `bundle.json` describes; views are fused, and
probabilities calibrated, only by `affect4d`.
"""


def write_hub_folder(source: Path, target: Path) -> Path:
    """Write a packaged model with its prompts as a table, a README and open_clip's two files.

    Raises:
        PackagedModelError: If the source is no packaged model.
    """
    description = read_description(source)
    target.mkdir(parents=True, exist_ok=True)
    for name in (DESCRIPTION_FILE, CARD_FILE):
        shutil.copyfile(source / name, target / name)
    weights = read_weights(source)
    if _for_open_clip(description):
        weights = _write_open_clip(target, description, weights)
    save_file(weights, target / WEIGHTS_FILE)
    _write_prompts(description, target / PROMPTS_FILE)
    (target / README).write_text(_readme(description, target), encoding="utf-8")
    return target


def _for_open_clip(description: PackagedModel) -> bool:
    """True if both encoders are open_clip's, and take the three channels that it builds them for."""
    options = description.options
    return options.encoder.paired and options.channels == 3


def _write_open_clip(folder: Path, description: PackagedModel, weights: NamedWeights) -> NamedWeights:
    """Write both encoders as open_clip reads them; return the other weights: heads, fusion, prompts."""
    side = description.inputs.size
    encoder = description.options.encoder
    mean, std = list(encoder.image_mean or HALF), list(encoder.image_std or HALF)
    images = {"size": [side, side], "mode": "RGB", "mean": mean, "std": std, "resize_mode": "squash"}
    architecture = {**(encoder.architecture or {}), "custom_text": True}
    config = {"model_cfg": architecture, "preprocess_cfg": images}
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    names = {ours: renamed(ours, OPEN_CLIP_NAMES) for ours in weights}
    encoders = {theirs: weights[ours].contiguous() for ours, theirs in names.items() if theirs is not None}
    encoders[OPEN_CLIP_LOG_SCALE] = weights[LOG_SCALE].clamp(0, LARGEST_SCALE)
    save_file(encoders, folder / ENCODERS_FILE)
    return {ours: weights[ours] for ours, theirs in names.items() if theirs is None}


def _write_prompts(description: PackagedModel, file: Path) -> None:
    """Write the table that ``prompts.file`` takes back."""
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(("expression", "prompt"))
        writer.writerows((expression, text) for expression, texts in description.prompts.items() for text in texts)


def _readme(description: PackagedModel, folder: Path) -> str:
    """Model card and loading instructions."""
    text = LOADING + LOADING_OPEN_CLIP if _for_open_clip(description) else LOADING
    card = (folder / CARD_FILE).read_text(encoding="utf-8").rstrip() or f"# {description.name}"
    return f"{card}\n\n{text.format(name=description.name, channels=', '.join(description.inputs.channels))}"
