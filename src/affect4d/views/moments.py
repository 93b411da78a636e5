"""Which frames of a sequence matter, found from how far the face moves: no label, no picture, no torch.

Onset, apex and offset are read off the activity (see :mod:`affect4d.rendering.activity`). A running median takes out
what lasts a frame or two (a blink); the apex is the middle of the movement, not its noisiest frame. [ours]
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from scipy.ndimage import median_filter

from affect4d.views.sampling import FrameSampler, sample_frames

Activity = Float64[np.ndarray, " frames"]

WINDOW_SHARE = 0.5
"""A frame whose activity is at least this share of its sequence's greatest is in the window round the apex."""
REST_SHARE = 0.2
"""Below this share of the apex's activity the face counts as at rest."""
MEDIAN_SHARE = 1 / 8
"""Length of the running median, as a share of the sequence; at least three frames."""


@dataclass(frozen=True, slots=True)
class Moments:
    """When a face begins to move, moves most, and has come to rest again: positions in the sequence's list of frames.

    Attributes:
        onset: The last frame at rest before the apex; 0 where the sequence begins in movement.
        apex: The middle of the movement.
        offset: The first frame at rest after the apex; the last one where the sequence ends in movement.
    """

    onset: int
    apex: int
    offset: int


def locate(activity: Sequence[float] | Activity) -> Moments:
    """Onset, apex and offset of one sequence.

    Args:
        activity: How far every frame is from the neutral one, ≥ 0, in order of time.

    Raises:
        ValueError: If there are no frames, or the activity is not finite.
    """
    raw = np.asarray(activity, np.float64)
    if not raw.size or not np.isfinite(raw).all():
        raise ValueError(f"Moments need the finite activity of at least one frame; there are {raw.size} frames.")
    smooth = _without_blinks(raw)
    first, last = _run_around(smooth, int(np.argmax(smooth)), WINDOW_SHARE)
    inside = np.arange(first, last + 1)
    above = smooth[inside] - WINDOW_SHARE * smooth.max()
    apex = round(float(np.average(inside, weights=above))) if above.any() else (first + last) // 2
    onset, offset = _run_around(smooth, apex, REST_SHARE)
    return Moments(max(onset - 1, 0), apex, min(offset + 1, len(raw) - 1))


def _without_blinks(activity: Activity) -> Activity:
    """Running median over an odd number of frames; two frames are left as they are."""
    width = max(3, int(MEDIAN_SHARE * len(activity)) | 1)
    return activity if len(activity) < 3 else np.asarray(median_filter(activity, width, mode="mirror"))


def _run_around(activity: Activity, middle: int, share: float) -> tuple[int, int]:
    """First and last frame of the unbroken run round ``middle`` that keeps a share of the greatest activity."""
    quiet = np.flatnonzero(activity < share * activity.max())
    before, after = quiet[quiet < middle], quiet[quiet > middle]
    return int(before[-1]) + 1 if before.size else 0, int(after[0]) - 1 if after.size else len(activity) - 1


def chosen_frames(activity: Sequence[float] | Activity, sampler: FrameSampler) -> Int64[np.ndarray, " chosen"]:
    """Positions of the frames a sampler takes of one sequence, in order of time."""
    values = np.asarray(activity, np.float64)
    if sampler.kind == "apex_window":
        return sample_frames(np.flatnonzero(values >= WINDOW_SHARE * values.max()), sampler.frames)
    moments = locate(values)
    first, last = (moments.onset, moments.apex) if sampler.kind == "onset_apex" else (0, len(values) - 1)
    return sample_frames(np.arange(first, last + 1), sampler.frames)


def find_moments(view_manifest: pd.DataFrame, sampler: FrameSampler | None = None) -> pd.DataFrame:
    """Every frame of every sequence, in the order of the manifest; all a mixing plan needs.

    Args:
        view_manifest: Columns ``sequence``, ``frames`` and ``activity`` (lists of equal length).
        sampler: Which frames are drawn; by default every frame of the apex window.

    Returns:
        One row a frame: ``sequence``, ``frame``, ``in_window`` (whether the sampler takes it).
    """
    counts = view_manifest["frames"].map(len).to_numpy()
    window = [_marked(activity, sampler or FrameSampler()) for activity in view_manifest["activity"]]
    return pd.DataFrame(
        {
            "sequence": np.repeat(view_manifest["sequence"].to_numpy(dtype=object), counts),
            "frame": np.concatenate([np.asarray(frames, np.int64) for frames in view_manifest["frames"]]),
            "in_window": np.concatenate(window),
        }
    )


def _marked(activity: Sequence[float], sampler: FrameSampler) -> np.ndarray:
    taken = np.zeros(len(activity), bool)
    taken[chosen_frames(activity, sampler)] = True
    return taken
