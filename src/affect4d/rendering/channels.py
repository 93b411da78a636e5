"""Rendered channels and their encoding. A new channel is one entry of :data:`RENDERED_CHANNELS`."""

import functools
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Shaped, UInt8, UInt16

if TYPE_CHECKING:
    from affect4d.rendering.options import RenderOptions

NORMALS_MIDDLE = 128
"""Encoding of 0 in a normal's component; (128, 128, 128), which no surface has, is the background."""
NORMALS_SCALE = 127.0
MISSING_TEXTURE = 128
"""Every texel of a scan without texture."""
DEPTH_BACKGROUND = 0
DEPTH_MIDDLE = 32768
"""Encoded depth of the plane through the turning axis, perpendicular to the line of sight."""
DEPTH_STEP = 0.01  # millimetres per step of an encoded depth: ±327 mm fit, a scanner's noise is ten times as coarse


AttributeImages = UInt8[np.ndarray, "views height width 3"]


class RenderBuffers(NamedTuple):
    """Unlit ``"texture"`` and ``"normals"`` (−1…1 as 1…255), 0 off the face; depth, mm in front of the turning axis."""

    attributes: Mapping[str, AttributeImages]
    face: Bool[np.ndarray, "views height width"]
    depth: Float32[np.ndarray, "views height width"]


@dataclass(frozen=True, slots=True)
class RenderedChannel:
    """One kind of image of a view, encoded from surface attributes; no ``background`` means the options' own."""

    attributes: tuple[str, ...]
    encode: Callable[[RenderBuffers, "RenderOptions"], np.ndarray]
    background: tuple[int, ...] | None = None


def needed_attributes(channels: Iterable[str]) -> tuple[str, ...]:
    """Surface attributes that some channels are encoded from."""
    needed = {attribute for channel in channels for attribute in RENDERED_CHANNELS[channel].attributes}
    return tuple(attribute for attribute in ("texture", "normals") if attribute in needed)


def shows_face(
    images: Mapping[str, Shaped[np.ndarray, "views height width components"]], options: "RenderOptions"
) -> Bool[np.ndarray, "views height width"]:
    """Where rendered images show a face, by their most geometric channel."""
    channel = most_geometric(images)
    background = RENDERED_CHANNELS[channel].background or options.background
    differs = np.moveaxis(images[channel] != np.asarray(background), -1, 0)
    return np.asarray(functools.reduce(np.logical_or, differs))  # five times as fast as any()


def most_photographic(channels: Collection[str]) -> str:
    """The channel closest to a photograph: colours or, where none were rendered, the next best."""
    return next(name for name in RENDERED_CHANNELS if name in channels)


def most_geometric(channels: Collection[str]) -> str:
    """The channel that changes with the shape alone."""
    return next(name for name in reversed(RENDERED_CHANNELS) if name in channels)


def encode_depth(towards_camera: Float32[np.ndarray, "*images"]) -> UInt16[np.ndarray, "*images"]:
    """Millimetres towards the camera, 0 in the plane through the turning axis, as hundredths round 32768."""
    steps = np.rint(towards_camera / np.float32(DEPTH_STEP)) + DEPTH_MIDDLE
    return np.asarray(np.clip(steps, DEPTH_BACKGROUND + 1, 65535), np.uint16)


def depth_in_mm(depth: UInt16[np.ndarray, "*images"]) -> Float32[np.ndarray, "*images"]:
    """Encoded depth in millimetres towards the camera, NaN where no face is."""
    steps = np.where(depth == DEPTH_BACKGROUND, np.nan, depth.astype(np.float32) - DEPTH_MIDDLE)
    return np.asarray(steps * DEPTH_STEP, np.float32)


def decode_normals(normals: UInt8[np.ndarray, "*images 3"]) -> Float32[np.ndarray, "*images 3"]:
    """Encoded normals as vectors, −1…1; 0 off the face."""
    return (normals.astype(np.float32) - NORMALS_MIDDLE) / np.float32(NORMALS_SCALE)


def shade(
    normals: UInt8[np.ndarray, "*images 3"], face: Bool[np.ndarray, "*images"], options: "RenderOptions"
) -> UInt8[np.ndarray, "*images 3"]:
    """White plaster under distant lights (Lambert): ambient + Σ intensity · colour · max(0, normal · direction)."""
    shaded = np.empty_like(normals)
    shaded[:] = options.background
    directions = np.array([light.direction for light in options.lights], np.float32).reshape(-1, 3)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    colours = np.array([[light.intensity * part for part in light.colour] for light in options.lights], np.float32)
    received = np.maximum(decode_normals(normals[face]) @ directions.T, 0.0) @ colours.reshape(-1, 3)
    received += np.float32(options.ambient)
    shaded[face] = np.rint(255.0 * np.clip(received, 0.0, 1.0)).astype(np.uint8)
    return shaded


def _on_background(
    rendered: AttributeImages, face: Bool[np.ndarray, "views height width"], background: tuple[int, ...]
) -> AttributeImages:
    complete = np.empty_like(rendered)
    elsewhere = ~face * np.uint8(255)  # what was rendered there is 0
    for component, level in enumerate(background):
        np.bitwise_or(rendered[..., component], elsewhere & np.uint8(level), out=complete[..., component])
    return complete


def _texture(buffers: RenderBuffers, options: "RenderOptions") -> AttributeImages:
    return _on_background(buffers.attributes["texture"], buffers.face, options.background)


def _shading(buffers: RenderBuffers, options: "RenderOptions") -> AttributeImages:
    return shade(buffers.attributes["normals"], buffers.face, options)


def _depth(buffers: RenderBuffers, options: "RenderOptions") -> UInt16[np.ndarray, "views height width 1"]:
    return np.where(buffers.face, encode_depth(buffers.depth), np.uint16(DEPTH_BACKGROUND))[..., None]


def _normals(buffers: RenderBuffers, options: "RenderOptions") -> AttributeImages:
    return _on_background(buffers.attributes["normals"], buffers.face, (NORMALS_MIDDLE,) * 3)


RENDERED_CHANNELS: dict[str, RenderedChannel] = {
    "texture": RenderedChannel(("texture",), _texture),
    "shading": RenderedChannel(("normals",), _shading),
    "depth": RenderedChannel((), _depth, (DEPTH_BACKGROUND,)),
    "normals": RenderedChannel(("normals",), _normals, (NORMALS_MIDDLE,) * 3),
}
"""What can be rendered of a view, from the most photographic to the most geometric:

- ``texture``: the face's own colours, unlit; mid grey where the scan has no texture. uint8, 3 components.
- ``shading``: the face as white plaster under fixed lights. uint8, 3 components.
- ``depth``: how far the surface is in front of the plane through the turning axis, see :func:`depth_in_mm`. uint16, 1.
- ``normals``: the canonical-frame normal, (x, y, z) from −1…1 to 1…255. uint8, 3 components.
"""
