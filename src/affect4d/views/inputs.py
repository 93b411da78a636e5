"""What a model sees of a view."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ChannelName = Literal["grey", "shading", "curvature"]
"""A single-channel picture of a view; see :mod:`affect4d.views.channels`."""


class InputOptions(BaseModel):
    """What a model sees.

    Attributes:
        channels: Single-channel pictures, in order.
        motion: Difference to the sequence's neutral frame: none, as further channels, or as further views.
        size: Pictures are ``size`` × ``size`` pixels when they reach the model.
        motion_gain: Factor on that difference (expressions move little).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: tuple[ChannelName, ...] = Field(default=("grey", "shading", "curvature"), min_length=1, max_length=3)
    motion: Literal["none", "stacked", "views"] = "stacked"
    size: int = Field(default=64, ge=16, le=512)
    motion_gain: float = Field(default=2.0, gt=0.0, le=20.0)

    def input_shape(self, views: int) -> tuple[int, int]:
        """Numbers of (views, channels) the model gets of that many rendered views."""
        channels = len(self.channels)
        if self.motion == "stacked":
            return views, 2 * channels
        return (2 * views, channels) if self.motion == "views" else (views, channels)
