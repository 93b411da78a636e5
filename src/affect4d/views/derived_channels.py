"""Channels derived from rendered images, alike for mirrored ones. A new one is an entry of :data:`DERIVED_CHANNELS`."""

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8, UInt16

from affect4d.rendering.channels import DEPTH_MIDDLE, NORMALS_MIDDLE, decode_normals
from affect4d.rendering.options import Light

ChannelPlane = Float32[np.ndarray, "frames views height width"]
FaceMask = Bool[np.ndarray, "frames views height width"]

LEVELS_MIDDLE = 128
CURVATURE_RANGE = 24.0
"""Divergence, in 1 / image height, that takes curvature from mid grey to white (convex) or black (concave)."""
DEPTH_STEPS_PER_LEVEL = 50.0
_LIGHT = np.array(Light().direction, np.float32)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class RenderedFrames:
    """Rendered images of a sequence by channel, and its views' yaws and pitches in degrees."""

    images: Mapping[str, UInt8[np.ndarray, "frames views height width 3"] | UInt16[np.ndarray, "... 1"]]
    angles: Float32[np.ndarray, "2 views"]

    @functools.cached_property
    def face(self) -> FaceMask:
        """Where an image shows the face."""
        return face_mask(self.images["normals"])

    @functools.cached_property
    def normals(self) -> Float32[np.ndarray, "frames views height width 3"]:
        """Unit normals, 0 off the face."""
        return decode_normals(self.images["normals"])


@dataclass(frozen=True, slots=True)
class DerivedChannel:
    """A single-channel image of a view, levels 0…255 derived from rendered channels."""

    rendered: tuple[str, ...]
    derive: Callable[[RenderedFrames], ChannelPlane]
    background: int = 0
    """Level where no face is."""


def needed_images(channels: Sequence[str], rendered: Collection[str]) -> tuple[str, ...]:
    """The rendered channels that some derived channels need; raises ``ValueError`` if one was not rendered."""
    needed = sorted({image for channel in channels for image in DERIVED_CHANNELS[channel].rendered})
    missing = [image for image in needed if image not in rendered]
    if missing:
        raise ValueError(
            f"The channels {list(channels)} need images of {missing}, and only {sorted(rendered)} were rendered: "
            f"add {missing} to render.channels and render again."
        )
    return tuple(needed)


def derive_channels(
    images: Mapping[str, np.ndarray], angles: Sequence[float], channels: Sequence[str], pitches: Sequence[float] = ()
) -> UInt8[np.ndarray, "frames views channels height width"]:
    """Derived channels of every frame and view; a 0 in ``grey``, ``shading`` or ``depth`` is background.

    Args:
        images: ``[frames, views, height, width, components]`` by rendered channel.
        angles: Yaw of every view, in degrees.
        channels: Of :data:`DERIVED_CHANNELS`.
        pitches: Pitch of every view, in degrees; none where all are 0.
    """
    needed_images(channels, images.keys())
    frames = RenderedFrames(images, np.array([angles, pitches or [0.0] * len(angles)], np.float32))
    planes = [DERIVED_CHANNELS[channel].derive(frames) for channel in channels]
    return np.stack([np.rint(plane).astype(np.uint8) for plane in planes], axis=2)


def face_mask(normals: UInt8[np.ndarray, "frames views height width 3"]) -> FaceMask:
    """Where normals show the face."""
    return np.asarray((normals != NORMALS_MIDDLE).any(axis=-1))


def _grey(frames: RenderedFrames) -> ChannelPlane:
    return _within(frames.face, frames.images["texture"] @ _LUMA)


def _shading(frames: RenderedFrames) -> ChannelPlane:
    return _within(frames.face, 255.0 * (frames.normals @ _LIGHT))


def _curvature(frames: RenderedFrames) -> ChannelPlane:
    return np.asarray(LEVELS_MIDDLE + 127.0 * _divergence(frames.normals, frames.face, frames.angles))


def _depth(frames: RenderedFrames) -> ChannelPlane:
    steps = frames.images["depth"][..., 0]
    levels = (steps.astype(np.float32) - DEPTH_MIDDLE) / DEPTH_STEPS_PER_LEVEL + LEVELS_MIDDLE
    return _within(steps > 0, levels)


def _within(face: FaceMask, levels: ChannelPlane) -> ChannelPlane:
    return np.asarray(np.where(face, np.clip(levels, 1.0, 255.0), 0.0))


def _divergence(
    normals: Float32[np.ndarray, "..."], face: FaceMask, angles: Float32[np.ndarray, "2 views"]
) -> ChannelPlane:
    """Smoothed divergence of the normals in the image plane, −1…1; 0 off the face and next to its outline."""
    yaw, pitch = np.radians(angles)[..., None, None]
    across = normals[..., 0] * np.sin(yaw) + normals[..., 2] * np.cos(yaw)
    right = normals[..., 0] * np.cos(yaw) - normals[..., 2] * np.sin(yaw)
    up = normals[..., 1] * np.cos(pitch) - across * np.sin(pitch)
    divergence = _central(_smooth(right), axis=-1) - _central(_smooth(up), axis=-2)
    inside = _erode(face, margin=2)
    return np.asarray(np.clip(divergence * inside * (normals.shape[-2] / CURVATURE_RANGE), -1.0, 1.0))


def _smooth(images: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    for axis in (-1, -2):
        before, after = _shifted(images, axis, 1), _shifted(images, axis, -1)
        images = 0.5 * images + 0.25 * (before + after)
    return images


def _central(images: Float32[np.ndarray, "..."], axis: int) -> Float32[np.ndarray, "..."]:
    return np.asarray(0.5 * (_shifted(images, axis, -1) - _shifted(images, axis, 1)))


def _shifted(images: np.ndarray, axis: int, by: int) -> np.ndarray:
    """Images moved by one pixel along an axis; the edge repeats."""
    moved = np.roll(images, by, axis)
    edge = 0 if by > 0 else -1
    at = (..., edge) if axis == -1 else (..., edge, slice(None))
    moved[at] = images[at]
    return moved


def _erode(mask: np.ndarray, margin: int) -> np.ndarray:
    for _ in range(margin):
        for axis in (-1, -2):
            mask = mask & _shifted(mask, axis, 1) & _shifted(mask, axis, -1)
    return mask


DERIVED_CHANNELS: dict[str, DerivedChannel] = {
    "grey": DerivedChannel(("texture", "normals"), _grey),
    "shading": DerivedChannel(("normals",), _shading),
    "curvature": DerivedChannel(("normals",), _curvature, LEVELS_MIDDLE),
    "depth": DerivedChannel(("depth",), _depth),
}
"""Input channels of a model:

- ``grey``: luma of the texture (Rec. 601).
- ``shading``: the face as matt plaster under one light from above the front, in the plane of symmetry.
- ``curvature``: divergence of the normals in the image plane: bright ridges, dark furrows, mid grey where flat or
  empty. Normals are smoothed first, so that noise does not dominate.
- ``depth``: half a millimetre per level, 128 in the plane through the cameras' turning axis, brighter when nearer.
"""
