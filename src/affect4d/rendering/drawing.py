"""What drawing a scan gives, whoever drew it: on the processor, or on a graphics card."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image

from affect4d.arrays import Texture
from affect4d.scans.scan import FaceScan

MISSING_TEXTURE = 128
"""Every texel of a scan without texture."""


class Drawing(NamedTuple):
    """Every view of a scan.

    Attributes:
        drawn: ``"texture"`` and ``"normals"``, what was asked for of them; 0 where no face is.
        face: Where there is one.
        towards: Millimetres in front of the plane through the turning axis, square to the line of sight.
    """

    drawn: Mapping[str, UInt8[np.ndarray, "views height width 3"]]
    face: Bool[np.ndarray, "views height width"]
    towards: Float32[np.ndarray, "views height width"]


class Drawer(Protocol):
    """One who draws: colours unlit and normals as directions, so that a pixel is a measurement."""

    @property
    def name(self) -> str:
        """What draws, as a person may want to know it."""

    def draw(self, scan: FaceScan) -> Drawing:
        """Every view of a scan."""

    def close(self) -> None:
        """Give back what is held."""


def shrink_texture(texture: Texture, side: int) -> UInt8[np.ndarray, "rows columns 3"]:
    """Average whole blocks of texels until the shorter side is just above ``side`` (no aliasing, a quick upload)."""
    factor = min(texture.shape[:2]) // side
    return np.asarray(Image.fromarray(texture).reduce(factor)) if factor > 1 else texture
