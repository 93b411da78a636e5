"""Stored pictures to what a model sees of them, on the processor: one compiled pass instead of a dozen over the batch.

The same as the tensors of :mod:`affect4d.views.assembly`, to the rounding of ``float32``, in a fraction of the time:
a picture and its neutral are looked up together, and what is a factor and an offset of a level is applied on the way.
Finding, taking and blending are loops of their own over one picture: in one loop the compiler uses no vectors.
"""

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from affect4d.jit import Number, compiled

Stored = UInt8[np.ndarray, "stored channels height width"]
Maps = Float32[np.ndarray, "pictures 2 3"]
Levels = Float32[np.ndarray, "pictures channels"]
_ZERO: Number = np.float32(0)
_HALF: Number = np.float32(0.5)
_ONE: Number = np.float32(1)
LEVEL, MOTION = (0, 0xFFFF), (16, -1)
"""Where in a packed number the level and the motion lie: after how many bits, and which of the rest."""


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
        stored: The bank's, row by row and view by view, of 2 pixels a side at least.
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
    levels, corner = np.empty(height * width, np.int32), np.empty(size * size, np.int32)
    across, along = np.empty(size * size, np.float32), np.empty(size * size, np.float32)
    first, right = np.empty(size * size, np.int32), np.empty(size * size, np.int32)
    below, last = np.empty(size * size, np.int32), np.empty(size * size, np.int32)
    for picture in range(len(shown)):
        _find_places(maps[picture], height, width, size, corner, across, along)
        for channel in range(channels):
            _pack(stored[shown[picture], channel], stored[before[picture], channel], levels)
            _take(levels, corner, width, first, right, below, last)
            factor, offset = factors[picture, channel], offsets[picture, channel]
            _blend(first, right, below, last, across, along, LEVEL, factor, offset, seen[picture, channel])
            if moving:
                moved = seen[picture, channels + channel]
                _blend(first, right, below, last, across, along, MOTION, factor * gain, _ZERO, moved)


@compiled
def _find_places(
    affine: np.ndarray, height: int, width: int, size: int, corner: np.ndarray, across: np.ndarray, along: np.ndarray
) -> None:
    """Of every pixel, the upper left of the four it is taken from, and how far to the right and down from there."""
    zero, half, one = _ZERO, _HALF, _ONE
    wide: Number = np.float32(width)
    high: Number = np.float32(height)
    last_left: Number = np.int32(width - 2)
    last_up: Number = np.int32(height - 2)
    for row in range(size):
        v = np.float32(2 * row + 1) / np.float32(size) - one
        for column in range(size):
            u = np.float32(2 * column + 1) / np.float32(size) - one
            x: Number = ((affine[0, 0] * u + affine[0, 1] * v + affine[0, 2] + one) * wide - one) * half
            y: Number = ((affine[1, 0] * u + affine[1, 1] * v + affine[1, 2] + one) * high - one) * half
            x, y = min(max(x, zero), wide - one), min(max(y, zero), high - one)
            left, up = min(np.int32(x), last_left), min(np.int32(y), last_up)
            pixel = row * size + column
            corner[pixel] = up * np.int32(width) + left
            across[pixel] = x - np.float32(left)
            along[pixel] = y - np.float32(up)


@compiled
def _pack(shown: np.ndarray, before: np.ndarray, levels: np.ndarray) -> None:
    """In one number, the level shown and, above it, what it is above the neutral's: 0 where either is background."""
    for place in range(len(shown)):
        now, then = np.int32(shown[place]), np.int32(before[place])
        levels[place] = ((now - then) * np.int32((now != 0) & (then != 0)) << 16) + now


@compiled
def _take(
    levels: np.ndarray,
    corner: np.ndarray,
    width: int,
    first: np.ndarray,
    right: np.ndarray,
    below: np.ndarray,
    last: np.ndarray,
) -> None:
    """The four of every pixel; unsigned, because the compiler asks of signed places whether they count from the end."""
    one, line = np.uint64(1), np.uint64(width)
    for pixel in range(len(corner)):
        place = np.uint64(corner[pixel])
        first[pixel], right[pixel] = levels[place], levels[place + one]
        below[pixel], last[pixel] = levels[place + line], levels[place + line + one]


@compiled
def _blend(
    first: np.ndarray,
    right: np.ndarray,
    below: np.ndarray,
    last: np.ndarray,
    across: np.ndarray,
    along: np.ndarray,
    bits: tuple[int, int],
    factor: np.float32,
    offset: np.float32,
    blended: np.ndarray,
) -> None:
    """Blend one of the two numbers packed in one: after how many bits it begins, and which of the rest are its own."""
    shift, mask = bits
    for pixel in range(len(blended)):
        one, two = np.float32(first[pixel] >> shift & mask), np.float32(right[pixel] >> shift & mask)
        three, four = np.float32(below[pixel] >> shift & mask), np.float32(last[pixel] >> shift & mask)
        blended[pixel] = _between(one, two, three, four, across[pixel], along[pixel]) * factor + offset


@compiled
def _between(one: Number, two: Number, three: Number, four: Number, across: Number, along: Number) -> Number:
    upper = one + across * (two - one)
    lower = three + across * (four - three)
    return upper + along * (lower - upper)
