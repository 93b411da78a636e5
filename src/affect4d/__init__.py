"""Affect4D: vision-language models for facial expressions in 3D scans and 4D sequences."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from affect4d.inference import Prediction, Predictor, ScanLandmarks
    from affect4d.inference.preprocessing import ScanInput
    from affect4d.scans.scan import FaceScan

__version__ = "0.1.0"
__all__ = ["example", "landmarks", "load", "predict", "search"]


def load(model: "str | Path" = "affect_vlm") -> "Predictor":
    """A trained model, ready to predict.

    Args:
        model: ``"affect_vlm"`` or ``"smile_vlm"``, which come with the package, or the folder of a packaged model.

    Raises:
        affect4d.inference.PackagedModelError: If there is no such model, or its folder is damaged.
    """
    from affect4d.inference.packaged_model_description import find_packaged_model, last_written

    folder = find_packaged_model(model)
    return _load(folder, last_written(folder))


def predict(
    scan: "ScanInput | Sequence[ScanInput]",
    model: "str | Path" = "affect_vlm",
    *,
    neutral: "ScanInput | None" = None,
    answer_unsure: bool = False,
) -> "Prediction":
    """Expression of a face: ``affect4d.predict("smile.ply", neutral="at_rest.ply").expression``.

    Args:
        scan: A scan (its file, or in memory); several, as the frames of one sequence; or a folder of them.
        model: As in :func:`load`.
        neutral: Neutral scan of the same face, the reference of movement; by default, a sequence's first frame. A
            single scan without one shows no movement, and is classified less well.
        answer_unsure: Answer scans whose pose is doubtful, too, instead of refusing them.

    Raises:
        affect4d.scans.scan.ScanError: If no scan is usable; names the file and its defect.
    """
    return load(model).predict(scan, neutral=neutral, answer_unsure=answer_unsure)


def landmarks(scan: "ScanInput") -> "ScanLandmarks":
    """Landmarks of a face in the scan's own frame and unit: ``affect4d.landmarks("smile.ply").points``.

    Args:
        scan: A scan: its file, or in memory. Landmarks in a file beside it, or in it, are used; else they are found.

    Raises:
        affect4d.scans.scan.ScanError: If it is no usable scan, or its pose is doubtful; names the file and its defect.
    """
    from affect4d.inference import landmarks_of  # SciPy costs half a second

    return landmarks_of(scan)


def example(expression: str = "surprise", frames: int = 6, subject: int = 0) -> "list[FaceScan]":
    """Scans of a synthetic face to try things on: ``affect4d.predict(affect4d.example("surprise")).expression``.

    Args:
        expression: One of the six; the face goes from neutral to it, and most of the way back.
        frames: Number of scans.
        subject: Index of the person. No model of the package was trained on any of them.

    Raises:
        ValueError: If there is no such expression.
    """
    from affect4d.synthetic.generate_scans import example_scans

    return example_scans(expression, frames, subject)


def search(
    scans: "ScanInput | Sequence[ScanInput]", sentence: str, model: "str | Path" = "affect_vlm"
) -> "pd.DataFrame":
    """Recordings ranked by a sentence: ``affect4d.search("/scans", "a sceptical look, one brow raised")``.

    For several sentences, embed the recordings once: ``affect4d.inference.index_recordings(affect4d.load(), scans)``.

    Args:
        scans: A folder of scans or of sequence folders; or several scans and folders of sequences, each a recording.
        sentence: In English.
        model: As in :func:`load`.

    Returns:
        One row a recording, the most similar first: ``rank``, ``recording``, ``file``, ``similarity`` (the cosine,
        −1…1), ``expression``, ``status``, ``reason``; refused ones last, without a rank.

    Raises:
        ValueError: If the sentence is empty.
        FileNotFoundError: If there is no scan at the path.
        affect4d.pretrained_files.PretrainedModelMissingError: If the model's sentence encoder is not installed.
    """
    from affect4d.inference import index_recordings

    predictor = load(model)
    predictor.embed_texts([sentence])  # refuses an empty one before any scan is read
    return index_recordings(predictor, scans).search(sentence)


@lru_cache(maxsize=4)
def _load(folder: Path, written: int) -> "Predictor":
    """Model of a folder, cached until the folder is written anew."""
    from affect4d.inference import Predictor  # torch costs seconds

    return Predictor.load(folder)
