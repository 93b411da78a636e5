"""A generated surface to import, and a renderer for it."""

import contextlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect4d.rendering.cameras_and_render_backends import Renderer, RenderError
from affect4d.rendering.options import RenderOptions
from affect4d.scans.scan import FaceScan

_SPEC = importlib.util.spec_from_file_location("generated_surface", Path(__file__).with_name("generated_surface.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
sys.modules["generated_surface"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sys.modules["generated_surface"])


@pytest.fixture(scope="session", params=["cpu", -1], ids=["processor", "driver"])
def device(request: pytest.FixtureRequest) -> str | int:
    """Everything that draws here: the processor, and the OpenGL driver where there is one."""
    if request.param == -1:
        try:
            Renderer(RenderOptions(size=16, device=-1)).close()
        except RenderError as error:
            pytest.skip(str(error))
    return request.param


@pytest.fixture(scope="session")
def draw(device: str | int) -> Callable[..., dict[str, np.ndarray]]:
    """Draw a scan at 64 pixels, front, left and right."""
    return Renderer(RenderOptions(size=64, device=device)).render


@pytest.fixture
def drawn(device: str | int) -> Callable[..., dict[str, np.ndarray]]:
    """Draw a scan at 64 pixels, with options."""

    def draw_once(scan: FaceScan, **options: Any) -> dict[str, np.ndarray]:
        with contextlib.closing(Renderer(RenderOptions(**{"size": 64, "device": device, **options}))) as renderer:
            return renderer.render(scan)

    return draw_once
