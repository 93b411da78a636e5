"""Single-channel pictures derived from what the rasteriser drew: grey, fixed-light shading, curvature.

Each is symmetric: flipping the pictures a channel is derived from gives the flipped channel.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8

ChannelName = Literal["grey", "shading", "curvature"]
NormalPictures = UInt8[np.ndarray, "frames views height width 3"]
ChannelPictures = UInt8[np.ndarray, "frames views height width"]

NORMALS_MIDDLE = 128
"""Encoded 0 of a normal's component; (128, 128, 128) is background."""
CURVATURE_MIDDLE = 128
CURVATURE_RANGE = 16.0
"""Divergence, in 1 / picture height, that takes curvature from mid grey to white (convex) or black (concave)."""
LIGHT_ELEVATION = math.radians(35.0)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def derive_channels(
    texture: NormalPictures, normals: NormalPictures, angles: Sequence[float], channels: Sequence[ChannelName]
) -> UInt8[np.ndarray, "frames views channels height width"]:
    """The chosen single-channel pictures of every frame and view.

    Args:
        texture: Rendered textures.
        normals: Rendered canonical-frame normals, background 128.
        angles: Yaw of every view, in degrees.
        channels: Which, in which order.
    """
    decoded = _decode(normals) if set(channels) & {"shading", "curvature"} else None
    derived = []
    for channel in channels:
        if channel == "grey" or decoded is None:
            derived.append(grey(texture))
        elif channel == "shading":
            derived.append(_shading(decoded))
        else:
            derived.append(_curvature(decoded, angles))
    return np.stack(derived, axis=2)


def grey(texture: NormalPictures) -> ChannelPictures:
    """Luma of the texture (Rec. 601); background 0."""
    return np.rint(texture @ _LUMA).astype(np.uint8)


def shading(normals: NormalPictures) -> ChannelPictures:
    """The face as matt plaster under one light from above the front, in the plane of symmetry; background 0."""
    return _shading(_decode(normals))


def curvature(normals: NormalPictures, angles: Sequence[float]) -> ChannelPictures:
    """Divergence of the normals in the picture's plane: bright ridges, dark furrows, mid grey where flat or empty.

    Normals are smoothed first, so that the scanner's noise does not dominate; pixels next to the background stay mid grey.
    """
    return _curvature(_decode(normals), angles)


def _decode(normals: NormalPictures) -> Float32[np.ndarray, "frames views height width 3"]:
    return (normals.astype(np.float32) - NORMALS_MIDDLE) / np.float32(127.0)


def _shading(normals: Float32[np.ndarray, "..."]) -> ChannelPictures:
    light = np.array([0.0, math.sin(LIGHT_ELEVATION), math.cos(LIGHT_ELEVATION)], np.float32)
    return np.rint(255.0 * np.clip(normals @ light, 0.0, 1.0)).astype(np.uint8)


def _curvature(normals: Float32[np.ndarray, "..."], angles: Sequence[float]) -> ChannelPictures:
    turns = np.radians(np.asarray(angles, np.float32))[:, None, None]
    right = normals[..., 0] * np.cos(turns) - normals[..., 2] * np.sin(turns)
    divergence = _central(_smooth(right), axis=-1) - _central(_smooth(normals[..., 1]), axis=-2)
    inside = _erode((normals != 0).any(axis=-1), margin=2)
    height = normals.shape[-2]
    scaled = np.clip(divergence * inside * (height / CURVATURE_RANGE), -1.0, 1.0)
    return (np.rint(127.0 * scaled) + CURVATURE_MIDDLE).astype(np.uint8)


def _smooth(pictures: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """Binomial 3 × 3 average of the last two axes, edges repeated."""
    for axis in (-1, -2):
        before, after = _shifted(pictures, axis, 1), _shifted(pictures, axis, -1)
        pictures = 0.5 * pictures + 0.25 * (before + after)
    return pictures


def _central(pictures: Float32[np.ndarray, "..."], axis: int) -> Float32[np.ndarray, "..."]:
    """Central difference per pixel along an axis, edges repeated."""
    return 0.5 * (_shifted(pictures, axis, -1) - _shifted(pictures, axis, 1))


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
