"""Single-channel pictures derived from what the rasteriser drew: grey, fixed-light shading, curvature, depth.

Each is symmetric: flipping the pictures a channel is derived from gives the flipped channel.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float32, UInt8, UInt16

from affect4d.views.inputs import ChannelName

NormalPictures = UInt8[np.ndarray, "frames views height width 3"]
Drawn = Mapping[str, NormalPictures | UInt16[np.ndarray, "frames views height width 1"]]
"""Pictures by the name of the rasteriser's channel."""
Plane = Float32[np.ndarray, "frames views height width"]
Mask = Bool[np.ndarray, "frames views height width"]

NORMALS_MIDDLE = 128
"""Encoded 0 of a normal's component; (128, 128, 128) is background."""
CURVATURE_MIDDLE = 128
CURVATURE_RANGE = 24.0
"""Divergence, in 1 / picture height, that takes curvature from mid grey to white (convex) or black (concave)."""
DEPTH_MIDDLE, DEPTH_STEPS_A_LEVEL, LEVELS_MIDDLE = 32768, 50.0, 128
"""How the rasteriser encodes depth (:mod:`affect4d.rendering.pictures`), and how a model sees it."""
LIGHT_ELEVATION = math.radians(35.0)
_LIGHT = np.array([0.0, math.sin(LIGHT_ELEVATION), math.cos(LIGHT_ELEVATION)], np.float32)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


NEEDED: Mapping[ChannelName, tuple[str, ...]] = {
    "grey": ("texture", "normals"),
    "shading": ("normals",),
    "curvature": ("normals",),
    "depth": ("depth",),
}
"""What the rasteriser must have drawn for a channel."""


def needed_pictures(channels: Sequence[ChannelName], drawn: Collection[str]) -> tuple[str, ...]:
    """Which of the pictures that were drawn some channels are derived from.

    Raises:
        ValueError: If one of them was not drawn; says what to render.
    """
    needed = sorted({picture for channel in channels for picture in NEEDED[channel]})
    missing = [picture for picture in needed if picture not in drawn]
    if missing:
        raise ValueError(
            f"The channels {list(channels)} need pictures of {missing}, and only {sorted(drawn)} were rendered: "
            f"add {missing} to render.channels and render again."
        )
    return tuple(needed)


def derive_channels(
    drawn: Drawn, angles: Sequence[float], channels: Sequence[ChannelName], pitches: Sequence[float] = ()
) -> UInt8[np.ndarray, "frames views channels height width"]:
    """The chosen single-channel pictures of every frame and view.

    - ``grey``: luma of the texture (Rec. 601).
    - ``shading``: the face as matt plaster under one light from above the front, in the plane of symmetry.
    - ``curvature``: divergence of the normals in the picture's plane: bright ridges, dark furrows, mid grey where flat
      or empty. Normals are smoothed first, so that noise does not dominate.
    - ``depth``: half a millimetre a level, 128 in the plane through the cameras' turning axis, brighter when nearer.

    On the face every value is at least 1: a 0 in ``grey``, ``shading`` or ``depth`` is background.

    Args:
        drawn: The rasteriser's pictures that the channels need; others are not looked at.
        angles: Yaw of every view, in degrees.
        channels: Which, in which order.
        pitches: Pitch of every view, in degrees; none where all are level.

    Raises:
        ValueError: If a picture that a channel needs is missing.
    """
    needed = needed_pictures(channels, drawn.keys())
    turned = np.array([angles, pitches or [0.0] * len(angles)], np.float32)
    derived = dict(_from_normals(drawn, turned, channels)) if "normals" in needed else {}
    if "depth" in channels:
        derived["depth"] = _depth_levels(drawn["depth"][..., 0])
    return np.stack([np.rint(derived[channel]).astype(np.uint8) for channel in channels], axis=2)


def _from_normals(
    drawn: Drawn, turned: Float32[np.ndarray, "2 views"], channels: Sequence[ChannelName]
) -> Iterator[tuple[ChannelName, Plane]]:
    face = face_mask(drawn["normals"])
    decoded = (drawn["normals"].astype(np.float32) - NORMALS_MIDDLE) / np.float32(127.0)
    if "grey" in channels:
        yield "grey", _within(face, drawn["texture"] @ _LUMA)
    if "shading" in channels:
        yield "shading", _within(face, 255.0 * (decoded @ _LIGHT))
    if "curvature" in channels:
        yield "curvature", CURVATURE_MIDDLE + 127.0 * _divergence(decoded, face, turned)


def _depth_levels(depth: UInt16[np.ndarray, "frames views height width"]) -> Plane:
    """Encoded depth (hundredths of a millimetre round 32768, 0 off the face) as half millimetres round 128."""
    return _within(depth > 0, (depth.astype(np.float32) - DEPTH_MIDDLE) / DEPTH_STEPS_A_LEVEL + LEVELS_MIDDLE)


def face_mask(normals: NormalPictures) -> Mask:
    """Where a picture shows the face."""
    return np.asarray((normals != NORMALS_MIDDLE).any(axis=-1))


def _within(face: Mask, levels: Plane) -> Plane:
    """Levels at 1…255 on the face, 0 off it."""
    return np.asarray(np.where(face, np.clip(levels, 1.0, 255.0), 0.0))


def _divergence(normals: Float32[np.ndarray, "..."], face: Mask, turned: Float32[np.ndarray, "2 views"]) -> Plane:
    """Smoothed divergence of the normals in the picture's plane, −1…1; 0 off the face and next to its outline."""
    yaw, pitch = np.radians(turned)[..., None, None]
    across = normals[..., 0] * np.sin(yaw) + normals[..., 2] * np.cos(yaw)
    right = normals[..., 0] * np.cos(yaw) - normals[..., 2] * np.sin(yaw)
    up = normals[..., 1] * np.cos(pitch) - across * np.sin(pitch)
    divergence = _central(_smooth(right), axis=-1) - _central(_smooth(up), axis=-2)
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
