"""A look at canonical scans: texture from the front and shaded geometry from three sides, side by side.

Whoever sees it knows at once whether a face stands as it should.
"""

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from affect4d.arrays import Picture
from affect4d.rendering.cameras import RenderOptions
from affect4d.rendering.canary import as_text, checked_rasteriser
from affect4d.rendering.lights import Light
from affect4d.rendering.pictures import RenderError
from affect4d.rendering.rasteriser import Rasteriser
from affect4d.scans.ingest import load_canonical_scan
from affect4d.scans.scan import ScanError
from affect4d.scans.source import ScanSource

Row = Mapping[str, Any]

SIDES = {"front": 0.0, "left": -60.0, "right": 60.0}
BACKDROP = (38, 43, 47)
LIGHTS = (
    Light(direction=(-0.5, 0.7, 0.6), intensity=0.7),
    Light(direction=(0.9, 0.1, 0.5), intensity=0.3, colour=(0.8, 0.9, 1.0)),
)
"""A strong one from above, a weak bluish one from the other side."""


def preview_options(size: int) -> RenderOptions:
    """What a preview of that many pixels a side shows: the window of the pictures models see."""
    return RenderOptions(
        size=size, angles=SIDES, channels=("texture", "shading"), background=BACKDROP, lights=LIGHTS, ambient=0.08
    )


def draw_previews(where: Path | ScanSource, rows: Sequence[Row], size: int = 168) -> list[Image.Image | str]:
    """Draw scans, each in one picture four views wide; of one that cannot be drawn, say why.

    They are drawn in a process of their own: a graphics driver brings a compiler (LLVM) that ends a process which later
    loads another one, as torchvision does; and a driver that dies takes nothing with it.

    Args:
        where: Folder their paths are relative to, or another source of raw scans.
        rows: Of the scan manifest.
        size: Height of a picture, in pixels.

    Returns:
        One a row: its picture, or the reason why there is none.

    Raises:
        RenderError: If nothing can be drawn on this machine.
    """
    if not rows:
        return []
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            drawn = pool.submit(_draw, where, rows, size).result()
        except BrokenProcessPool as error:
            raise RenderError("The process that draws ended: its graphics driver may be at fault.") from error
    return [one if isinstance(one, str) else Image.fromarray(one) for one in drawn]


def _draw(where: Path | ScanSource, rows: Sequence[Row], size: int) -> list[Picture | str]:
    rasteriser = checked_rasteriser(as_text(preview_options(size)))
    return [_draw_one(rasteriser, where, row) for row in rows]


def _draw_one(rasteriser: Rasteriser, where: Path | ScanSource, row: Row) -> Picture | str:
    try:
        pictures = rasteriser.render(load_canonical_scan(where, row, rasteriser.texels))
    except ScanError as error:
        return error.detail
    except RenderError as error:
        return str(error)
    return np.concatenate([pictures["texture"][0], *pictures["shading"]], axis=1)
