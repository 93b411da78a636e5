"""How much a face moves, from the pictures alone: no labels, one frame at a time."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32, Float64, Shaped

ACTIVITY_BLOCKS = 12
FRAMES_THAT_SHOW_NOISE = 4
TELLING = ("normals", "depth", "shading", "texture")
"""Channels by how well they show movement, and nothing but movement."""

BlockMeans = Float32[np.ndarray, "views rows columns components"]


def block_means(pictures: Mapping[str, Shaped[np.ndarray, "views height width components"]]) -> BlockMeans:
    """One frame's most telling channel, 0…1, averaged over ``ACTIVITY_BLOCKS`` × ``ACTIVITY_BLOCKS`` blocks.

    A remainder at the lower and right edge is left out.
    """
    channel = next(pictures[name] for name in TELLING if name in pictures)
    views, size = channel.shape[:2]
    block = size // ACTIVITY_BLOCKS
    inside = block * ACTIVITY_BLOCKS
    rows = channel[:, :inside, :inside].reshape(views, ACTIVITY_BLOCKS, block, -1)
    sums = rows.sum(axis=2, dtype=np.uint32).reshape(views, ACTIVITY_BLOCKS, ACTIVITY_BLOCKS, block, -1).sum(axis=3)
    return np.asarray(sums / (block**2 * np.iinfo(channel.dtype).max), np.float32)


def frame_activity(means: Sequence[BlockMeans]) -> Float64[np.ndarray, " frames"]:
    """How far the face has moved since the first frame: root mean square difference, 0…1.

    [ours] Pictures are averaged over blocks first, so that local noise goes and movement stays. What is left of the
    noise is what two successive frames differ by at least; its square is subtracted (from four frames on).

    Args:
        means: :func:`block_means` of every frame.
    """
    frames = np.stack(list(means))
    since_first = np.square(frames - frames[:1]).mean(axis=(1, 2, 3, 4))
    between = np.square(np.diff(frames, axis=0)).mean(axis=(1, 2, 3, 4))
    noise = between.min() if len(frames) >= FRAMES_THAT_SHOW_NOISE else 0.0
    return np.asarray(np.sqrt(np.maximum(since_first - noise, 0.0)), np.float64)
