"""What every rendered picture has in common; free of VTK, so that a run that finds its pictures need not load it."""

from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt16

PictureChannel = Literal["texture", "shading", "normals", "depth"]
"""What the rasteriser can draw of a view:

- ``texture``: the face's own colours, unlit; mid grey where the scan has no texture. uint8, 3 components.
- ``shading``: the face as white plaster under fixed lights. uint8, 3 components.
- ``normals``: the canonical-frame normal of what a pixel shows, (x, y, z) from −1…1 to 1…255. uint8, 3 components;
  background (128, 128, 128), which no surface has.
- ``depth``: how far in front of the turning axis' plane the surface is, see :func:`depth_in_mm`. uint16, 1 component.
"""

NORMALS_BACKGROUND = 128
"""Every channel of a normals picture where no face is; also the encoding of 0."""

DEPTH_BACKGROUND = 0
"""A depth picture where no face is."""
DEPTH_MIDDLE = 32768
"""Encoded depth of what lies in the plane through the turning axis, square to the line of sight."""
DEPTH_STEP = 0.01
"""Millimetres that one step of an encoded depth stands for: ±327 mm fit, a scanner's noise is ten times as coarse."""


class RenderError(RuntimeError):
    """Pictures cannot be drawn; says why and what to do."""


def encode_depth(towards_camera: Float32[np.ndarray, "*pictures"]) -> UInt16[np.ndarray, "*pictures"]:
    """Millimetres towards the camera, 0 in the plane through the turning axis, as whole hundredths round 32768."""
    steps = np.rint(towards_camera / np.float32(DEPTH_STEP)) + DEPTH_MIDDLE
    return np.asarray(np.clip(steps, DEPTH_BACKGROUND + 1, 65535), np.uint16)


def depth_in_mm(depth: UInt16[np.ndarray, "*pictures"]) -> Float32[np.ndarray, "*pictures"]:
    """A depth picture in millimetres towards the camera, NaN where no face is.

    >>> depth_in_mm(np.array([0, 32768, 33768], np.uint16))
    array([nan,  0., 10.], dtype=float32)
    """
    steps = np.where(depth == DEPTH_BACKGROUND, np.nan, depth.astype(np.float32) - DEPTH_MIDDLE)
    return np.asarray(steps * DEPTH_STEP, np.float32)
