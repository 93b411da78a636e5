"""Single-channel pictures derived from what the rasteriser drew: grey, fixed-light shading, curvature.

Each is symmetric: flipping the pictures a channel is derived from gives the flipped channel.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from affect4d.views.inputs import ChannelName

NormalPictures = UInt8[np.ndarray, "frames views height width 3"]
Plane = Float32[np.ndarray, "frames views height width"]
Mask = Bool[np.ndarray, "frames views height width"]

NORMALS_MIDDLE = 128
"""Encoded 0 of a normal's component; (128, 128, 128) is background."""
CURVATURE_MIDDLE = 128
CURVATURE_RANGE = 24.0
"""Divergence, in 1 / picture height, that takes curvature from mid grey to white (convex) or black (concave)."""
LIGHT_ELEVATION = math.radians(35.0)
_LIGHT = np.array([0.0, math.sin(LIGHT_ELEVATION), math.cos(LIGHT_ELEVATION)], np.float32)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def derive_channels(
    texture: NormalPictures, normals: NormalPictures, angles: Sequence[float], channels: Sequence[ChannelName]
) -> UInt8[np.ndarray, "frames views channels height width"]:
    """The chosen single-channel pictures of every frame and view.

    - ``grey``: luma of the texture (Rec. 601).
    - ``shading``: the face as matt plaster under one light from above the front, in the plane of symmetry.
    - ``curvature``: divergence of the normals in the picture's plane: bright ridges, dark furrows, mid grey where flat
      or empty. Normals are smoothed first, so that noise does not dominate.

    On the face every value is at least 1: a 0 in ``grey`` or ``shading`` is background.

    Args:
        texture: Rendered textures.
        normals: Rendered canonical-frame normals, background 128.
        angles: Yaw of every view, in degrees.
        channels: Which, in which order.
    """
    face = face_mask(normals)
    decoded = (normals.astype(np.float32) - NORMALS_MIDDLE) / np.float32(127.0)
    derive: Mapping[ChannelName, Callable[[], Plane]] = {
        "grey": lambda: _within(face, texture @ _LUMA),
        "shading": lambda: _within(face, 255.0 * (decoded @ _LIGHT)),
        "curvature": lambda: CURVATURE_MIDDLE + 127.0 * _divergence(decoded, face, angles),
    }
    return np.stack([np.rint(derive[channel]()).astype(np.uint8) for channel in channels], axis=2)


def face_mask(normals: NormalPictures) -> Mask:
    """Where a picture shows the face."""
    return np.asarray((normals != NORMALS_MIDDLE).any(axis=-1))


def _within(face: Mask, levels: Plane) -> Plane:
    """Levels at 1…255 on the face, 0 off it."""
    return np.asarray(np.where(face, np.clip(levels, 1.0, 255.0), 0.0))


def _divergence(normals: Float32[np.ndarray, "..."], face: Mask, angles: Sequence[float]) -> Plane:
    """Smoothed divergence of the normals in the picture's plane, −1…1; 0 off the face and next to its outline."""
    turns = np.radians(np.asarray(angles, np.float32))[:, None, None]
    right = normals[..., 0] * np.cos(turns) - normals[..., 2] * np.sin(turns)
    divergence = _central(_smooth(right), axis=-1) - _central(_smooth(normals[..., 1]), axis=-2)
    inside = _erode(face, margin=2)
    return np.asarray(np.clip(divergence * inside * (normals.shape[-2] / CURVATURE_RANGE), -1.0, 1.0))


def _smooth(pictures: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """Binomial 3 × 3 average of the last two axes, edges repeated."""
    for axis in (-1, -2):
        before, after = _shifted(pictures, axis, 1), _shifted(pictures, axis, -1)
        pictures = 0.5 * pictures + 0.25 * (before + after)
    return pictures


def _central(pictures: Float32[np.ndarray, "..."], axis: int) -> Float32[np.ndarray, "..."]:
    """Central difference per pixel along an axis, edges repeated."""
    return np.asarray(0.5 * (_shifted(pictures, axis, -1) - _shifted(pictures, axis, 1)))


def _shifted(pictures: np.ndarray, axis: int, by: int) -> np.ndarray:
    """Pictures moved by one pixel along an axis; the edge repeats."""
    moved = np.roll(pictures, by, axis)
    edge = 0 if by > 0 else -1
    at = (..., edge) if axis == -1 else (..., edge, slice(None))
    moved[at] = pictures[at]
    return moved


def _erode(mask: np.ndarray, margin: int) -> np.ndarray:
    """Where every pixel up to ``margin`` away (in rows and columns) is set."""
    for _ in range(margin):
        for axis in (-1, -2):
            mask = mask & _shifted(mask, axis, 1) & _shifted(mask, axis, -1)
    return mask
