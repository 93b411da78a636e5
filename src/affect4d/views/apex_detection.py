"""Onset, apex and offset of an expression, detected from the activity of its frames without labels [ours].

The activity is :func:`affect4d.rendering.render_sequence.frame_activity`. A running median removes blinks. The apex is
the middle of the plateau of the best-fitting movement: rest, rise, plateau and decay on a linear drift. Where none
fits, it is the middle of the most active run of frames.
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from scipy.ndimage import median_filter

from affect4d.views.input_options import FrameSampler

Activity = Float64[np.ndarray, " frames"]

WINDOW_FRACTION = 0.5
"""A frame with at least this fraction of its sequence's greatest activity is in the window round the apex."""
REST_FRACTION = 0.2  # below this fraction of the apex's activity the face is at rest
MEDIAN_FRACTION = 1 / 8  # length of the running median, as a fraction of the sequence; at least three frames
SLOPES, PLATEAUS = (0.06, 0.12, 0.2, 0.3), (0.0, 0.1, 0.2, 0.3, 0.4)
"""Durations of a rise or decay, and of an apex, as fractions of the sequence."""
LARGEST_GRID = 100  # most points in time at which movements are compared; longer sequences are sampled evenly
LEAST_EXPLAINED = 0.1  # fraction of the activity's variance that a movement must explain beyond a drift
LEAST_FRAMES = 8  # in shorter clips a movement cannot be distinguished from a drift


@dataclass(frozen=True, slots=True)
class ExpressionPhases:
    """Onset, apex and offset: positions in the sequence's list of frames.

    Onset and offset are the last frame at rest before the apex and the first after it, else the first and last of all.
    """

    onset: int
    apex: int
    offset: int


def detect_apex(activity: Sequence[float] | Activity) -> ExpressionPhases:
    """Onset, apex and offset of one sequence from the activity (finite, ≥ 0) of its frames in order of time."""
    raw = np.asarray(activity, np.float64)
    if not raw.size or not np.isfinite(raw).all():
        raise ValueError(f"Apex detection needs at least one frame and finite activity; there are {raw.size} frames.")
    smooth = _without_blinks(raw)
    return _of_best_movement(smooth) or _of_most_active_run(smooth)


def _of_best_movement(activity: Activity) -> ExpressionPhases | None:
    """Phases of the movement that fits the activity best by least squares; None where none fits well enough."""
    frames = len(activity)
    if frames < LEAST_FRAMES:
        return None
    grid = np.linspace(0, frames - 1, min(frames, LARGEST_GRID))
    sampled = np.interp(grid, np.arange(frames), activity)
    movements, timings, drift = _movements(len(grid))
    without_drift = sampled - drift @ (drift.T @ sampled)
    explained = np.square(np.maximum(movements @ without_drift, 0.0))
    best = int(np.argmax(explained))
    if explained[best] <= LEAST_EXPLAINED * np.square(sampled - sampled.mean()).sum():
        return None
    begin, apex, end = timings[best] * (frames - 1)
    return ExpressionPhases(int(begin), round(apex), min(int(np.ceil(end)), frames - 1))


def _of_most_active_run(activity: Activity) -> ExpressionPhases:
    """Phases whose apex is the activity-weighted middle of the most active run."""
    first, last = _run_around(activity, int(np.argmax(activity)), WINDOW_FRACTION)
    inside = np.arange(first, last + 1)
    above = activity[inside] - WINDOW_FRACTION * activity.max()
    apex = round(float(np.average(inside, weights=above))) if above.any() else (first + last) // 2
    onset, offset = _run_around(activity, apex, REST_FRACTION)
    return ExpressionPhases(max(onset - 1, 0), apex, min(offset + 1, len(activity) - 1))


@functools.lru_cache(maxsize=16)
def _movements(
    length: int,
) -> tuple[
    Float64[np.ndarray, "movements moments"], Float64[np.ndarray, "movements 3"], Float64[np.ndarray, "moments 2"]
]:
    """Unit movements with an apex, without drift; their onset, apex and offset, 0…1; an orthonormal basis of drifts."""
    times = np.linspace(0.0, 1.0, length)
    shapes = np.array(list(itertools.product(times, SLOPES, PLATEAUS, SLOPES)))
    begin, rise, hold, fall = shapes[shapes[:, 0] + shapes[:, 1] + shapes[:, 2] / 2 <= 1].T[..., None]
    curves = np.clip((times - begin) / rise, 0, 1) - np.clip((times - begin - rise - hold) / fall, 0, 1)
    drift = np.linalg.qr(np.stack([np.ones(length), times], axis=1))[0]
    curves -= (curves @ drift) @ drift.T
    lengths = np.linalg.norm(curves, axis=1)
    distinct = lengths > 1e-3 * np.sqrt(length)  # a rise that does not end within the sequence is a drift
    timings = np.concatenate([begin, begin + rise + hold / 2, begin + rise + hold + fall], axis=1)
    return curves[distinct] / lengths[distinct, None], timings[distinct], drift


def _without_blinks(activity: Activity) -> Activity:
    """Running median over an odd number of frames."""
    width = max(3, int(MEDIAN_FRACTION * len(activity)) | 1)
    return activity if len(activity) < 3 else np.asarray(median_filter(activity, width, mode="mirror"))


def _run_around(activity: Activity, middle: int, fraction: float) -> tuple[int, int]:
    """First and last frame of the unbroken run round ``middle`` above a fraction of the greatest activity."""
    quiet = np.flatnonzero(activity < fraction * activity.max())
    before, after = quiet[quiet < middle], quiet[quiet > middle]
    return int(before[-1]) + 1 if before.size else 0, int(after[0]) - 1 if after.size else len(activity) - 1


def chosen_frames(activity: Sequence[float] | Activity, sampler: FrameSampler) -> Int64[np.ndarray, " chosen"]:
    """Positions of the frames that a sampler chooses from one sequence, in order of time."""
    values = np.asarray(activity, np.float64)
    if sampler.kind == "apex_window":
        return sample_frames(np.flatnonzero(values >= WINDOW_FRACTION * values.max()), sampler.frames)
    phases = detect_apex(values)
    first, last = (phases.onset, phases.apex) if sampler.kind == "onset_apex" else (0, len(values) - 1)
    return sample_frames(np.arange(first, last + 1), sampler.frames)


def sample_frames(candidates: Int64[np.ndarray, " frames"], count: int) -> Int64[np.ndarray, " frames"]:
    """Evenly spread candidates, both ends included; the middle one for a count of 1, all for 0."""
    if not count or count >= len(candidates):
        return candidates
    places = np.linspace(0, len(candidates) - 1, count) if count > 1 else np.array([(len(candidates) - 1) / 2])
    return np.asarray(candidates[np.rint(places).astype(np.int64)])


def frame_table(view_manifest: pd.DataFrame, sampler: FrameSampler | None = None) -> pd.DataFrame:
    """One row per frame of a view manifest: ``sequence``, ``frame``, ``in_window`` (whether the sampler chooses it)."""
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
