"""The models: towers, view fusion and heads of AffectVLM, SMILE-VLM and their cross-entropy peer.

Names are imported when they are asked for: options are needed, and checked, long before torch and open_clip are.
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affect4d.models.affect_vlm import AffectVLM
    from affect4d.models.encoders import JointEmbedding
    from affect4d.models.options import ModelOptions, TowerOptions
    from affect4d.models.registry import MODELS, build_model, load_model, save_model
    from affect4d.models.smile_vlm import SmileVLM
    from affect4d.models.towers import tokenise
    from affect4d.models.view_classifier import ViewClassifier

__all__ = [
    "MODELS",
    "AffectVLM",
    "JointEmbedding",
    "ModelOptions",
    "SmileVLM",
    "TowerOptions",
    "ViewClassifier",
    "build_model",
    "load_model",
    "save_model",
    "tokenise",
]

_HOMES = MappingProxyType(
    {
        "MODELS": "registry",
        "AffectVLM": "affect_vlm",
        "JointEmbedding": "encoders",
        "ModelOptions": "options",
        "SmileVLM": "smile_vlm",
        "TowerOptions": "options",
        "ViewClassifier": "view_classifier",
        "build_model": "registry",
        "load_model": "registry",
        "save_model": "registry",
        "tokenise": "towers",
    }
)


def __getattr__(name: str) -> Any:
    """Import a public name from its module, on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
