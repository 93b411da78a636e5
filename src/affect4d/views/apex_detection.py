"""Onset, apex and offset of an expression, detected from how far the face moves: no label, no image, no torch.

The activity is :func:`affect4d.rendering.sequence.frame_activity`. A running median removes what lasts a frame or two
(a blink). The apex is the middle of the plateau of the movement that explains the activity
best: rest, rise, plateau and decay, on a drift, for few heads come back to where they began. Where no such movement
does, it is the middle of what moves most. [ours]
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from scipy.ndimage import median_filter

from affect4d.views.input_options import FrameSampler, sample_frames

Activity = Float64[np.ndarray, " frames"]

WINDOW_SHARE = 0.5
"""A frame whose activity is at least this share of its sequence's greatest is in the window round the apex."""
REST_SHARE = 0.2
"""Below this share of the apex's activity the face counts as at rest."""
MEDIAN_SHARE = 1 / 8
"""Length of the running median, as a share of the sequence; at least three frames."""
SLOPES, PLATEAUS = (0.06, 0.12, 0.2, 0.3), (0.0, 0.1, 0.2, 0.3, 0.4)
"""How long a rise or decay, and an apex, may last: shares of the sequence."""
LARGEST_GRID = 100
"""Moments in time at which movements are compared; longer sequences are looked at so many times, evenly spread."""
LEAST_EXPLAINED = 0.1
"""Share of the activity's variance that a movement must explain, beyond a drift, to be believed."""
LEAST_FRAMES = 8
"""Shorter clips are too short to tell a movement from a drift."""


@dataclass(frozen=True, slots=True)
class ExpressionPhases:
    """Onset, apex and offset: positions in the sequence's list of frames.

    Onset and offset are the last frame at rest before the apex and the first after it (else the first and the last of
    all); the apex is the middle of the plateau.
    """

    onset: int
    apex: int
    offset: int


def detect_apex(activity: Sequence[float] | Activity) -> ExpressionPhases:
    """Onset, apex and offset of one sequence.

    Args:
        activity: How far every frame is from the neutral one, ≥ 0, in order of time.

    Raises:
        ValueError: If there are no frames, or the activity is not finite.
    """
    raw = np.asarray(activity, np.float64)
    if not raw.size or not np.isfinite(raw).all():
        raise ValueError(
            f"Onset, apex and offset need the finite activity of at least one frame; there are {raw.size} frames."
        )
    smooth = _without_blinks(raw)
    return _of_best_movement(smooth) or _of_most_active_run(smooth)


def _of_best_movement(activity: Activity) -> ExpressionPhases | None:
    """Phases of the movement that explains most of the activity, least squares; None where none explains enough."""
    frames = len(activity)
    if frames < LEAST_FRAMES:
        return None
    grid = np.linspace(0, frames - 1, min(frames, LARGEST_GRID))
    seen = np.interp(grid, np.arange(frames), activity)
    movements, timings, drift = _movements(len(grid))
    rest = seen - drift @ (drift.T @ seen)
    explained = np.square(np.maximum(movements @ rest, 0.0))
    best = int(np.argmax(explained))
    if explained[best] <= LEAST_EXPLAINED * np.square(seen - seen.mean()).sum():
        return None
    begin, apex, end = timings[best] * (frames - 1)
    return ExpressionPhases(int(begin), round(apex), min(int(np.ceil(end)), frames - 1))


def _of_most_active_run(activity: Activity) -> ExpressionPhases:
    """The apex is the middle, weighted by activity, of the run that keeps a share of the greatest."""
    first, last = _run_around(activity, int(np.argmax(activity)), WINDOW_SHARE)
    inside = np.arange(first, last + 1)
    above = activity[inside] - WINDOW_SHARE * activity.max()
    apex = round(float(np.average(inside, weights=above))) if above.any() else (first + last) // 2
    onset, offset = _run_around(activity, apex, REST_SHARE)
    return ExpressionPhases(max(onset - 1, 0), apex, min(offset + 1, len(activity) - 1))


@functools.lru_cache(maxsize=16)
def _movements(
    length: int,
) -> tuple[
    Float64[np.ndarray, "movements moments"], Float64[np.ndarray, "movements 3"], Float64[np.ndarray, "moments 2"]
]:
    """Every movement whose apex lies in the sequence, less its drift, of unit length.

    Returns:
        Movements; when each begins, is at its apex and ends, 0…1; an orthonormal basis of drifts: constant and slope.
    """
    times = np.linspace(0.0, 1.0, length)
    shapes = np.array(list(itertools.product(times, SLOPES, PLATEAUS, SLOPES)))
    begin, rise, hold, fall = shapes[shapes[:, 0] + shapes[:, 1] + shapes[:, 2] / 2 <= 1].T[..., None]
    curves = np.clip((times - begin) / rise, 0, 1) - np.clip((times - begin - rise - hold) / fall, 0, 1)
    drift = np.linalg.qr(np.stack([np.ones(length), times], axis=1))[0]
    curves -= (curves @ drift) @ drift.T
    lengths = np.linalg.norm(curves, axis=1)
    told = lengths > 1e-3 * np.sqrt(length)  # a rise that never ends in sight is a drift
    timings = np.concatenate([begin, begin + rise + hold / 2, begin + rise + hold + fall], axis=1)
    return curves[told] / lengths[told, None], timings[told], drift


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
    phases = detect_apex(values)
    first, last = (phases.onset, phases.apex) if sampler.kind == "onset_apex" else (0, len(values) - 1)
    return sample_frames(np.arange(first, last + 1), sampler.frames)


def frame_table(view_manifest: pd.DataFrame, sampler: FrameSampler | None = None) -> pd.DataFrame:
    """One row a frame, in the order of the manifest: ``sequence``, ``frame``, ``in_window`` (the sampler takes it).

    The default sampler takes every frame of the apex window.
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
