"""Export of a packaged model: a folder to share, with the model as ONNX, checked against the packaged model."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from affect4d.inference.find_recordings import ScanRecording, find_recordings
from affect4d.inference.hub_folder import write_hub_folder
from affect4d.inference.onnx_model import (
    CALIBRATION,
    ImageArray,
    OnnxModel,
    export_onnx,
    input_shape,
    quantise_onnx,
)
from affect4d.inference.packaged_weights import read_packaged_model
from affect4d.inference.predictor import Predictor
from affect4d.scans.scan import ScanError
from affect4d.views.batches import assemble_unaugmented

LOGGER = logging.getLogger(__name__)

ONNX_FILE, INT8_FILE = "model.onnx", "model.int8.onnx"
TOLERANCE = 1e-4
"""Largest difference of a probability from the packaged model's."""
CHECKED = 8


class ParityError(RuntimeError):
    """An exported model's probabilities differ from those of the packaged model."""


def export_packaged_model(
    source: Path, target: Path, *, onnx: bool = True, calibration: Path | None = None
) -> dict[str, Any]:
    """Write the folder to share and the requested files.

    Args:
        target: New folder.
        calibration: Raw scans, of other subjects than the model is measured on, for the ranges of an int8 model;
            None: no int8.

    Returns:
        ``model`` (its name), ``bytes`` of every file, and the largest difference of a probability from the packaged
        model's: ``onnx_difference`` on random images, ``int8_difference`` on the calibration's.

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
        record["onnx_difference"] = _check(predictor, target / ONNX_FILE)
    if calibration:
        images = calibration_images(predictor, calibration)
        quantise_onnx(target / ONNX_FILE, target / INT8_FILE, images)
        record["int8_difference"] = difference(predictor, target / INT8_FILE, images)
    return {**record, "bytes": {file.name: file.stat().st_size for file in sorted(target.iterdir())}}


def difference(predictor: Predictor, file: Path, images: ImageArray) -> float:
    """Largest difference between the probabilities of an exported file and of its packaged model."""
    with torch.inference_mode():
        fused = predictor.model.embed_views(torch.from_numpy(images)).fused.numpy()
    exported = OnnxModel(file, threads=1).answer(images).probabilities
    return float(np.abs(exported - predictor.probabilities(fused)).max())


def calibration_images(predictor: Predictor, place: Path) -> ImageArray:
    """Model inputs from raw scans, spread over the recordings at a path.

    Raises:
        ValueError: If none of the scans is usable.
    """
    recordings = find_recordings(place.expanduser())
    frames = -(-CALIBRATION // len(recordings))
    spread = np.linspace(0, len(recordings) - 1, min(CALIBRATION, len(recordings))).round().astype(int)
    found = list(_frame_images(predictor, [recordings[place] for place in spread], frames))
    if not found:
        raise ValueError(f"No scan in {place} is usable: int8 needs some, to find the range of activations.")
    return np.concatenate(found)


def _frame_images(predictor: Predictor, recordings: Sequence[ScanRecording], frames: int) -> Iterator[ImageArray]:
    """Images of evenly spread frames of each usable recording."""
    for recording in recordings:
        with contextlib.suppress(ScanError):
            prepared = predictor.preprocessor.prepare_recording(recording)
            rows = torch.tensor(prepared.rows, dtype=torch.int64)
            spread = torch.linspace(0, len(rows) - 1, min(frames, len(rows))).round().long()
            yield assemble_unaugmented(prepared.bank, rows[spread], predictor.description.inputs).numpy()


def _check(predictor: Predictor, file: Path) -> float:
    """The difference on random images.

    Raises:
        ParityError: If it exceeds the tolerance; the file is removed.
    """
    shape = (CHECKED, *input_shape(predictor.description))
    found = difference(predictor, file, np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32))
    if not found <= TOLERANCE:
        file.unlink()
        raise ParityError(
            f"Probabilities of {file.name} differ by {found:.1e} from those of {predictor.description.name}."
        )
    LOGGER.info("%s agrees with %s within %.0e", file.name, predictor.description.name, found)
    return found
