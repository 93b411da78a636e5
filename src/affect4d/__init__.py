"""Affect4D: vision-language models that read facial expressions from 3D scans and 4D sequences."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from affect4d.inference import Prediction, Predictor
    from affect4d.inference.preparation import Scan

__version__ = "0.1.0"
__all__ = ["load", "predict"]


def load(model: "str | Path" = "affect_vlm") -> "Predictor":
    """A trained model, ready to answer.

    Args:
        model: ``"affect_vlm"`` or ``"smile_vlm"``, which come with the package, or the folder of a bundle of your own.

    Raises:
        affect4d.inference.BundleError: If there is no such model, or its folder is damaged.
    """
    from affect4d.inference.packaged import bundle_folder, last_written

    folder = bundle_folder(model)
    return _load(folder, last_written(folder))


def predict(
    scan: "Scan | Sequence[Scan]", model: "str | Path" = "affect_vlm", *, neutral: "Scan | None" = None
) -> "Prediction":
    """The expression of a face: ``affect4d.predict("smile.ply", neutral="at_rest.ply").expression``.

    Args:
        scan: A scan (its file, or read already); several, as the frames of one sequence; or a folder of them.
        model: As in :func:`load`.
        neutral: The same face at rest, which the model tells movement from; by default, a sequence's first frame. A
            single scan without one is read little better than by chance.

    Raises:
        affect4d.scans.scan.ScanError: If no scan is usable; names the file and what is wrong with it.
    """
    return load(model).predict(scan, neutral=neutral)


@lru_cache(maxsize=4)
def _load(folder: Path, written: int) -> "Predictor":
    """The model of a folder, kept until the folder is written anew."""
    from affect4d.inference import Predictor  # torch costs seconds

    return Predictor.load(folder)
