"""Which of a sequence's rendered pictures people are shown, and how."""

import numpy as np

from affect4d.arrays import Picture
from affect4d.store.shards import Shard

SHOWN = ("texture", "shading", "normals", "depth")
"""Rendered pictures, the most telling one first."""


def shown_picture(shard: Shard, frame: int, view: int) -> Picture:
    """A frame's colours or, where none were rendered, what there is; uint8, [height, width, 3] or [height, width].

    Args:
        shard: Of the sequence.
        frame: Its place in the sequence.
        view: Its place among the views.
    """
    channel = next(name for name in SHOWN if name in shard.header["channels"])
    picture = shard.picture(channel, frame, view)
    return picture if channel != "depth" else (picture[..., 0] >> 8).astype(np.uint8)
