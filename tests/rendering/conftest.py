"""A generated surface to import, and a rasteriser for it."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from affect4d.rendering.cameras import RenderOptions
from affect4d.rendering.rasteriser import Rasteriser

_SPEC = importlib.util.spec_from_file_location("generated_surface", Path(__file__).with_name("generated_surface.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
sys.modules["generated_surface"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sys.modules["generated_surface"])


@pytest.fixture(scope="session")
def draw() -> Callable[..., dict[str, np.ndarray]]:
    """Draw a scan at 64 pixels, front, left and right."""
    return Rasteriser(RenderOptions(size=64)).render
