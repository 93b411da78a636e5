"""Previews of canonical scans: texture from the front and shaded geometry from three sides, side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from affect4d.rendering.options import Light, RenderOptions
from affect4d.rendering.renderer import Renderer, RenderError, shared_renderer
from affect4d.scans.ingest import load_canonical_scan
from affect4d.scans.scan import ScanError
from affect4d.scans.scan_source import ScanSource

SIDES = {"front": 0.0, "left": -60.0, "right": 60.0}
BACKDROP = (38, 43, 47)
LIGHTS = (
    Light(direction=(-0.5, 0.7, 0.6), intensity=0.7),
    Light(direction=(0.9, 0.1, 0.5), intensity=0.3, colour=(0.8, 0.9, 1.0)),
)
"""A strong light from above, a weak bluish one from the other side."""


def preview_options(size: int) -> RenderOptions:
    """Options of a preview of ``size`` pixels; the window is that of the models' images."""
    return RenderOptions(
        size=size, angles=SIDES, channels=("texture", "shading"), background=BACKDROP, lights=LIGHTS, ambient=0.08
    )


def render_previews(source: ScanSource, rows: Sequence[Mapping[str, Any]], size: int = 168) -> list[Image.Image | str]:
    """Render scans of the manifest, each as one image four views wide, or the reason why it cannot be rendered."""
    renderer = shared_renderer(preview_options(size))
    return [_render_one(renderer, source, row) for row in rows]


def _render_one(renderer: Renderer, source: ScanSource, row: Mapping[str, Any]) -> Image.Image | str:
    try:
        images = renderer.render(load_canonical_scan(source, row, renderer.texels))
    except ScanError as error:
        return error.detail
    except RenderError as error:
        return str(error)
    return Image.fromarray(np.concatenate([images["texture"][0], *images["shading"]], axis=1))
