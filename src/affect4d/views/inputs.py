"""What a model sees of a view."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from affect4d.views.sampling import FrameSampler

ChannelName = Literal["grey", "shading", "curvature", "depth"]
"""A single-channel picture of a view; see :mod:`affect4d.views.channels`."""


class InputOptions(BaseModel):
    """What a model sees.

    Attributes:
        channels: Single-channel pictures, in order.
        motion: What has moved. Nothing; the difference to the sequence's neutral frame, as further channels
            (``stacked``) or as further ``views``; or, as further channels, the ``dynamic`` image of the sequence up to
            the frame (:mod:`affect4d.views.dynamics`).
        frames: Which frames of a sequence are drawn for training and looked at in evaluation.
        size: Pictures are ``size`` × ``size`` pixels when they reach the model.
        motion_gain: Factor on what has moved (expressions move little).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: tuple[ChannelName, ...] = Field(default=("grey", "shading", "curvature"), min_length=1, max_length=3)
    motion: Literal["none", "stacked", "views", "dynamic"] = "stacked"
    frames: FrameSampler = FrameSampler()
    size: int = Field(default=64, ge=16, le=512)
    motion_gain: float = Field(default=2.0, gt=0.0, le=20.0)

    def input_shape(self, views: int) -> tuple[int, int]:
        """Numbers of (views, channels) the model gets of that many rendered views."""
        channels = len(self.channels)
        if self.motion in ("stacked", "dynamic"):
            return views, 2 * channels
        return (2 * views, channels) if self.motion == "views" else (views, channels)
