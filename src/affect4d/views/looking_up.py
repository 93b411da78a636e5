"""Stored pictures to what a model sees of them, on the processor: one compiled pass instead of a dozen over the batch.

The same as the tensors of :mod:`affect4d.views.assembly`, to the rounding of ``float32``, in a quarter of the time:
bytes are looked up where they lie, once for a picture and its neutral, and what is a factor and an offset of a level
is applied on the way.
"""

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from affect4d.compiled import Number, compiled

Stored = UInt8[np.ndarray, "stored channels height width"]
Maps = Float32[np.ndarray, "pictures 2 3"]
Levels = Float32[np.ndarray, "pictures channels"]
_ZERO: Number = np.float32(0)
_HALF: Number = np.float32(0.5)
_ONE: Number = np.float32(1)


def look_up(
    stored: Stored,
    shown: Int64[np.ndarray, " pictures"],
    neutral: Int64[np.ndarray, " pictures"] | None,
    maps: Maps,
    levels: tuple[Levels, Levels],
    gain: float,
    size: int,
) -> Float32[np.ndarray, "pictures seen size size"]:
    """Look pictures up, and the motion since their neutrals.

    Args:
        stored: The bank's, row by row and view by view.
        shown: Which of them.
        neutral: The neutral of each; None where motion is not asked for.
        maps: From where a pixel goes to where it is taken from, in ``grid_sample``'s −1…1 coordinates; what lies
            beyond the border is taken from the border.
        levels: Factor and offset from a stored level, 0…255, to a value.
        gain: Factor on the motion.
        size: Of a picture seen, in pixels.

    Returns:
        All channels, then, where asked for, the motion of all channels: 0 wherever either picture shows background.
    """
    channels, (height, width) = stored.shape[1], stored.shape[2:]
    seen = np.empty((len(shown), channels * (1 if neutral is None else 2), size * size), np.float32)
    before = shown if neutral is None else neutral
    flat = stored.reshape(len(stored), channels, height * width)
    _look_up(flat, shown, before, maps, *levels, np.float32(gain), neutral is not None, seen, height, width, size)
    return seen.reshape(*seen.shape[:2], size, size)


@compiled
def _look_up(
    stored: np.ndarray,
    shown: np.ndarray,
    before: np.ndarray,
    maps: np.ndarray,
    factors: np.ndarray,
    offsets: np.ndarray,
    gain: np.float32,
    moving: bool,
    seen: np.ndarray,
    height: int,
    width: int,
    size: int,
) -> None:
    channels = stored.shape[1]
    levels = np.empty((height * width, 2), np.float32)
    corner, step = np.empty(size * size, np.int32), np.empty((size * size, 2), np.int32)
    share = np.empty((size * size, 4), np.float32)
    for picture in range(len(shown)):
        _find_places(maps[picture], height, width, size, corner, step, share)
        for channel in range(channels):
            _levels_of(stored[shown[picture], channel], stored[before[picture], channel], levels)
            factor, offset = factors[picture, channel], offsets[picture, channel]
            if moving:
                moved = seen[picture, channels + channel]
                _blend_both(levels, corner, step, share, factor, offset, gain, seen[picture, channel], moved)
            else:
                _blend(levels, corner, step, share, factor, offset, seen[picture, channel])


@compiled
def _find_places(
    affine: np.ndarray,
    height: int,
    width: int,
    size: int,
    corner: np.ndarray,
    step: np.ndarray,
    share: np.ndarray,
) -> None:
    """Of every pixel, the upper left of the four it is taken from, the way to the others, and the share of each."""
    zero, half, one = _ZERO, _HALF, _ONE
    far_x: Number = np.float32(width - 1)
    far_y: Number = np.float32(height - 1)
    for row in range(size):
        v = np.float32(2 * row + 1) / np.float32(size) - one
        for column in range(size):
            u = np.float32(2 * column + 1) / np.float32(size) - one
            x: Number = ((affine[0, 0] * u + affine[0, 1] * v + affine[0, 2] + one) * np.float32(width) - one) * half
            y: Number = ((affine[1, 0] * u + affine[1, 1] * v + affine[1, 2] + one) * np.float32(height) - one) * half
            across: Number = min(max(x, zero), far_x)
            along: Number = min(max(y, zero), far_y)
            left: Number = np.int32(across)
            up: Number = np.int32(along)
            x, y = across - np.float32(left), along - np.float32(up)
            pixel = row * size + column
            corner[pixel] = up * width + left
            step[pixel, 0] = min(left + 1, width - 1) - left
            step[pixel, 1] = (min(up + 1, height - 1) - up) * width
            share[pixel, 0], share[pixel, 1] = (one - x) * (one - y), x * (one - y)
            share[pixel, 2], share[pixel, 3] = (one - x) * y, x * y


@compiled
def _levels_of(shown: np.ndarray, before: np.ndarray, levels: np.ndarray) -> None:
    """Beside each other, the level shown, and what it is above the neutral's: 0 where either is background."""
    for place in range(len(shown)):
        now, then = np.int32(shown[place]), np.int32(before[place])
        levels[place, 0] = np.float32(now)
        levels[place, 1] = np.float32((now - then) * np.int32((now != 0) & (then != 0)))


@compiled
def _blend(
    levels: np.ndarray,
    corner: np.ndarray,
    step: np.ndarray,
    share: np.ndarray,
    factor: np.float32,
    offset: np.float32,
    seen: np.ndarray,
) -> None:
    for pixel in range(len(corner)):
        first, right, below, last = _four(corner[pixel], step[pixel, 0], step[pixel, 1])
        level = share[pixel, 0] * levels[first, 0] + share[pixel, 1] * levels[right, 0]
        level += share[pixel, 2] * levels[below, 0] + share[pixel, 3] * levels[last, 0]
        seen[pixel] = level * factor + offset


@compiled
def _blend_both(
    levels: np.ndarray,
    corner: np.ndarray,
    step: np.ndarray,
    share: np.ndarray,
    factor: np.float32,
    offset: np.float32,
    gain: np.float32,
    seen: np.ndarray,
    moved: np.ndarray,
) -> None:
    """In one loop, because finding the four takes as long as blending them."""
    for pixel in range(len(corner)):
        first, right, below, last = _four(corner[pixel], step[pixel, 0], step[pixel, 1])
        level = share[pixel, 0] * levels[first, 0] + share[pixel, 1] * levels[right, 0]
        level += share[pixel, 2] * levels[below, 0] + share[pixel, 3] * levels[last, 0]
        seen[pixel] = level * factor + offset
        level = share[pixel, 0] * levels[first, 1] + share[pixel, 1] * levels[right, 1]
        level += share[pixel, 2] * levels[below, 1] + share[pixel, 3] * levels[last, 1]
        moved[pixel] = level * factor * gain


@compiled
def _four(first: Number, across: Number, along: Number) -> tuple[Number, Number, Number, Number]:
    return first, first + across, first + along, first + across + along
