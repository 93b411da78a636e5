"""Trained models at work: a bundle holds all that is needed, a predictor goes from raw scans to answers.

Names are imported when they are asked for: what a bundle says can be read long before torch is needed.
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affect4d.inference.bundle import Bundle, BundleError
    from affect4d.inference.calibrated import calibrate_bundle
    from affect4d.inference.packaged import bundle_folder, packaged_models
    from affect4d.inference.predictor import Predictor
    from affect4d.inference.preparation import PreparedScan, PreparedSequence, Preparer
    from affect4d.inference.reading import FrameReading, Prediction
    from affect4d.inference.weights import read_bundle, write_bundle

__all__ = [
    "Bundle",
    "BundleError",
    "FrameReading",
    "Prediction",
    "Predictor",
    "PreparedScan",
    "PreparedSequence",
    "Preparer",
    "bundle_folder",
    "calibrate_bundle",
    "packaged_models",
    "read_bundle",
    "write_bundle",
]

_HOMES = MappingProxyType(
    {
        "Bundle": "bundle",
        "BundleError": "bundle",
        "FrameReading": "reading",
        "Prediction": "reading",
        "Predictor": "predictor",
        "PreparedScan": "preparation",
        "PreparedSequence": "preparation",
        "Preparer": "preparation",
        "bundle_folder": "packaged",
        "calibrate_bundle": "calibrated",
        "packaged_models": "packaged",
        "read_bundle": "weights",
        "write_bundle": "weights",
    }
)


def __getattr__(name: str) -> Any:
    """Import a public name from its module, on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
