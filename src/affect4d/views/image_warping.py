"""CPU resampling of stored images, in one compiled pass instead of a dozen over the batch.

The same as the tensors of :mod:`affect4d.views.batches`, to the rounding of ``float32``, in a fraction of the time: an
image and its neutral are sampled together, and gain and offset of a level are applied on the way. Locating, gathering
and blending are loops of their own over one image: in one loop the compiler uses no vectors.
"""

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from affect4d.jit import Number, compiled

StoredImageArray = UInt8[np.ndarray, "stored channels height width"]
ImageTransforms = Float32[np.ndarray, "images 2 3"]
ChannelLevels = Float32[np.ndarray, "images channels"]
_ZERO: Number = np.float32(0)
_HALF: Number = np.float32(0.5)
_ONE: Number = np.float32(1)
LEVEL, MOTION = (0, 0xFFFF), (16, -1)
"""Shift and mask of the level and of the motion in a packed number."""


def resample(
    stored: StoredImageArray,
    indices: Int64[np.ndarray, " images"],
    neutral: Int64[np.ndarray, " images"] | None,
    transforms: ImageTransforms,
    levels: tuple[ChannelLevels, ChannelLevels],
    gain: float,
    size: int,
) -> Float32[np.ndarray, "images output size size"]:
    """Sample images, and the motion since their neutrals.

    Args:
        stored: The bank's images, of 2 pixels a side at least.
        neutral: The neutral of each; None without motion.
        transforms: From a pixel to where it is sampled, in ``grid_sample``'s −1…1 coordinates; clamped at
            the border.
        levels: Factor and offset from a stored level, 0…255, to a value.
        size: Of an output image, in pixels.

    Returns:
        All channels, then, with neutrals, the motion of all channels: 0 wherever either image shows background.
    """
    channels, (height, width) = stored.shape[1], stored.shape[2:]
    output = np.empty((len(indices), channels * (1 if neutral is None else 2), size * size), np.float32)
    before = indices if neutral is None else neutral
    flat = stored.reshape(len(stored), channels, height * width)
    _resample(
        flat, indices, before, transforms, *levels, np.float32(gain), neutral is not None, output, height, width, size
    )
    return output.reshape(*output.shape[:2], size, size)


@compiled
def _resample(
    stored: np.ndarray,
    indices: np.ndarray,
    before: np.ndarray,
    transforms: np.ndarray,
    factors: np.ndarray,
    offsets: np.ndarray,
    gain: np.float32,
    moving: bool,
    output: np.ndarray,
    height: int,
    width: int,
    size: int,
) -> None:
    channels = stored.shape[1]
    levels, corner = np.empty(height * width, np.int32), np.empty(size * size, np.int32)
    across, along = np.empty(size * size, np.float32), np.empty(size * size, np.float32)
    first, right = np.empty(size * size, np.int32), np.empty(size * size, np.int32)
    below, last = np.empty(size * size, np.int32), np.empty(size * size, np.int32)
    for image in range(len(indices)):
        _locate(transforms[image], height, width, size, corner, across, along)
        for channel in range(channels):
            _pack(stored[indices[image], channel], stored[before[image], channel], levels)
            _gather(levels, corner, width, first, right, below, last)
            factor, offset = factors[image, channel], offsets[image, channel]
            _blend(first, right, below, last, across, along, LEVEL, factor, offset, output[image, channel])
            if moving:
                moved = output[image, channels + channel]
                _blend(first, right, below, last, across, along, MOTION, factor * gain, _ZERO, moved)


@compiled
def _locate(
    affine: np.ndarray, height: int, width: int, size: int, corner: np.ndarray, across: np.ndarray, along: np.ndarray
) -> None:
    """For every pixel, the upper left of its four source pixels, and how far to the right and down from there."""
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
def _pack(indices: np.ndarray, before: np.ndarray, levels: np.ndarray) -> None:
    """In one number, the level and, above it, its difference to the neutral's: 0 where either is background."""
    for place in range(len(indices)):
        now, then = np.int32(indices[place]), np.int32(before[place])
        levels[place] = ((now - then) * np.int32((now != 0) & (then != 0)) << 16) + now


@compiled
def _gather(
    levels: np.ndarray,
    corner: np.ndarray,
    width: int,
    first: np.ndarray,
    right: np.ndarray,
    below: np.ndarray,
    last: np.ndarray,
) -> None:
    """The four source levels of every pixel; unsigned indices, since signed ones are tested for wrap-around."""
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
    """Blend one of two packed numbers; ``bits``: where it begins, and the mask of the rest."""
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
