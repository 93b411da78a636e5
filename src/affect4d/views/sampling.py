"""Which frames of a sequence are drawn for training and looked at in evaluation."""

from typing import Literal

import numpy as np
from jaxtyping import Int64
from pydantic import BaseModel, ConfigDict, Field

Positions = Int64[np.ndarray, " frames"]


class FrameSampler(BaseModel):
    """Which frames of a sequence count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["uniform", "apex_window", "onset_apex"] = Field(
        default="apex_window",
        description="Over the whole sequence, where the face moves most, or from the onset of movement to its apex.",
    )
    frames: int = Field(default=0, ge=0, le=10_000, description="How many, evenly spread; 0 means all there are.")


def sample_frames(candidates: Positions, count: int) -> Positions:
    """Evenly spread members of a list, its ends included; the middle one where one is asked for.

    >>> sample_frames(np.arange(10), 4).tolist()
    [0, 3, 6, 9]

    Args:
        candidates: In order.
        count: How many; 0, or more than there are, means all.
    """
    if not count or count >= len(candidates):
        return candidates
    places = np.linspace(0, len(candidates) - 1, count) if count > 1 else np.array([(len(candidates) - 1) / 2])
    return np.asarray(candidates[np.rint(places).astype(np.int64)])
