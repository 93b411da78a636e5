"""A bundle made ready for others: a folder to hand on, with the model as ONNX, checked against the bundle itself."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from affect4d.inference.onnx_export import export_onnx, input_shape
from affect4d.inference.onnx_model import OnnxModel
from affect4d.inference.predictor import Predictor
from affect4d.inference.quantise import CALIBRATION, Images, quantise_onnx
from affect4d.inference.recordings import Recording, find_recordings
from affect4d.inference.share import share_bundle
from affect4d.inference.weights import read_bundle
from affect4d.scans.scan import ScanError
from affect4d.views.augment import assemble_plain

LOGGER = logging.getLogger(__name__)

ONNX_FILE, INT8_FILE = "model.onnx", "model.int8.onnx"
TOLERANCE = 1e-4
"""Largest difference of a probability from the bundle's own."""
CHECKED = 8


class ParityError(RuntimeError):
    """An exported model answers otherwise than the bundle it was made from."""


def export_bundle(source: Path, target: Path, *, onnx: bool = True, calibration: Path | None = None) -> dict[str, Any]:
    """Write a bundle's folder to hand on, and what else is asked for.

    Args:
        source: A bundle.
        target: Where to; it is made.
        onnx: Whether the model is written as ONNX too.
        calibration: Raw scans, of other people than the model is measured on, on which the ranges of an int8 model are
            found; None writes none.

    Returns:
        ``model`` (its name), ``bytes`` of every file, and, as ``onnx_difference`` and ``int8_difference``, the largest
        difference of a probability from the bundle's own: on random pictures, and on the calibration's.

    Raises:
        ParityError: If the ONNX file answers otherwise than the bundle.
        ValueError: If int8 is asked for and no scan of the calibration is usable.
    """
    share_bundle(source, target)
    predictor = Predictor(read_bundle(target))
    told: dict[str, Any] = {"model": predictor.bundle.name}
    if onnx or calibration:
        export_onnx(read_bundle(target), target / ONNX_FILE)
        told["onnx_difference"] = _checked(predictor, target / ONNX_FILE)
    if calibration:
        images = calibration_images(predictor, calibration)
        quantise_onnx(target / ONNX_FILE, target / INT8_FILE, images)
        told["int8_difference"] = difference(predictor, target / INT8_FILE, images)
    return {**told, "bytes": {file.name: file.stat().st_size for file in sorted(target.iterdir())}}


def difference(predictor: Predictor, file: Path, images: Images) -> float:
    """Largest difference between the probabilities of an exported file and those of the bundle it came from."""
    with torch.inference_mode():
        fused = predictor.model.embed_views(torch.from_numpy(images)).fused.numpy()
    answers = OnnxModel(file, threads=1).answer(images).probabilities
    return float(np.abs(answers - predictor.probabilities(fused)).max())


def calibration_images(predictor: Predictor, place: Path) -> Images:
    """Pictures of raw scans, spread over the recordings at a path, as the model sees them.

    Raises:
        ValueError: If none of the scans is usable.
    """
    recordings = find_recordings(place.expanduser())
    share = -(-CALIBRATION // len(recordings))
    spread = np.linspace(0, len(recordings) - 1, min(CALIBRATION, len(recordings))).round().astype(int)
    found = list(_pictures(predictor, [recordings[place] for place in spread], share))
    if not found:
        raise ValueError(f"No scan in {place} is usable: int8 needs some, to find the range of activations.")
    return np.concatenate(found)


def _pictures(predictor: Predictor, recordings: Sequence[Recording], share: int) -> Iterator[Images]:
    """So many frames of each recording; one that is refused is passed over."""
    for recording in recordings:
        with contextlib.suppress(ScanError):
            prepared = predictor.preparer.prepare_recording(recording)
            rows = torch.tensor(prepared.rows, dtype=torch.int64)
            spread = torch.linspace(0, len(rows) - 1, min(share, len(rows))).round().long()
            yield assemble_plain(prepared.bank, rows[spread], predictor.bundle.inputs).numpy()


def _checked(predictor: Predictor, file: Path) -> float:
    """The difference on random pictures.

    Raises:
        ParityError: If it is beyond the tolerance; the file is removed.
    """
    drawn = np.random.default_rng(0).uniform(-1, 1, (CHECKED, *input_shape(predictor.bundle))).astype(np.float32)
    found = difference(predictor, file, drawn)
    if not found <= TOLERANCE:
        file.unlink()
        raise ParityError(f"Probabilities of {file.name} differ by {found:.1e} from those of {predictor.bundle.name}.")
    LOGGER.info("%s answers as %s does, within %.0e", file.name, predictor.bundle.name, found)
    return found
