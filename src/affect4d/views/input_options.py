"""Options of a model's input: channels, motion, frames, size."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field, field_validator

from affect4d.views.derived_channels import DERIVED_CHANNELS

MOTION = "motion"


class FrameSampler(BaseModel, frozen=True, extra="forbid"):
    """Frames of a sequence that are used."""

    kind: Literal["uniform", "apex_window", "onset_apex"] = Field(
        default="apex_window",
        description="Over the whole sequence, where the face moves most, or from the onset of movement to its apex.",
    )
    frames: int = Field(default=0, ge=0, le=10_000, description="Number of frames, evenly spread; 0: all.")


class InputOptions(BaseModel, frozen=True, extra="forbid"):
    """Options of a model's input."""

    channels: tuple[str, ...] = Field(default=("grey", "shading", "curvature"), min_length=1, max_length=3)
    motion: Literal["none", "stacked", "views"] = Field(
        default="stacked",
        description="The difference to the sequence's neutral frame, as further channels (stacked) or further views.",
    )
    frames: FrameSampler = Field(default=FrameSampler(), description="Frames used in training and evaluation.")
    size: int = Field(default=64, ge=16, le=512, description="Pixels a side when images reach the model.")
    motion_gain: float = Field(default=2.0, gt=0.0, le=20.0, description="Factor on motion; expressions move little.")

    @field_validator("channels")
    @classmethod
    def _channels_exist(cls, channels: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(channels) - set(DERIVED_CHANNELS))
        if unknown:
            raise ValueError(f"The channels {unknown} do not exist; there are {', '.join(DERIVED_CHANNELS)}.")
        return channels

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Channels of the model's images, motion channels included."""
        motion = (f"{channel} {MOTION}" for channel in self.channels) if self.motion == "stacked" else ()
        return (*self.channels, *motion)

    def view_names(self, rendered: Sequence[str]) -> tuple[str, ...]:
        """The model's names of its views: the rendered ones, and their motion where it enters as further views."""
        return (*rendered, *(f"{view} {MOTION}" for view in rendered)) if self.motion == "views" else tuple(rendered)

    def input_shape(self, views: int) -> tuple[int, int]:
        """Numbers of (views, channels) of the model's input for a number of rendered views."""
        channels = len(self.channels)
        if self.motion == "stacked":
            return views, 2 * channels
        return (2 * views, channels) if self.motion == "views" else (views, channels)
