"""Facial actions as distances between landmarks: how far a frame has moved from its sequence's own neutral frame.

Head movement is taken out first, by laying the rigid landmarks of every frame on those of the neutral frame; lengths
are shares of the distance between the outer eye corners, so a child and an adult, or two scanners' units, compare.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
from jaxtyping import Float

from affect4d.scans.landmarks import MIRROR, NAMED, RIGID

Track = Float[np.ndarray, "frames 83 3"]
"""Landmarks of a sequence, frame by frame; NaN where one was not tracked."""
Profile = Float[np.ndarray, "frames"]

APEX_SHARE = 0.6
"""A frame belongs to the apex when it has moved at least this share of the sequence's second largest movement."""


def _both_sides(*rows: int) -> tuple[int, ...]:
    """Rows of the right half and their mirror images; a row on the midline once."""
    return tuple(dict.fromkeys((*rows, *(MIRROR[row] for row in rows))))


INNER_BROWS = _both_sides(19, 20, 21, 22)
OUTER_BROWS = _both_sides(16, 17, 24, 25)
UPPER_LIDS = _both_sides(1, 2, 3)
LOWER_LIDS = _both_sides(5, 6, 7)
NOSE_WINGS = _both_sides(38, 39)
UPPER_LIP = (50, 51, 52)
UPPER_LIP_INNER = (61, 62, 63)
LOWER_LIP = (56, 57, 58)
LOWER_LIP_INNER = (65, 66, 67)
MOUTH_CORNERS = _both_sides(48, 60)
CHIN = (74, 75, 76)
SEEN = tuple(row for row in range(68) if row not in RIGID)
"""Landmarks that show movement: all but the rigid ones and the contour."""

MEASUREMENTS: tuple[str, ...] = (
    "inner_brow_raise",
    "outer_brow_raise",
    "brow_gathering",
    "upper_lid_raise",
    "lower_lid_raise",
    "eye_opening",
    "nose_wing_raise",
    "nose_widening",
    "upper_lip_raise",
    "lip_corner_raise",
    "lip_corner_pull_back",
    "mouth_widening",
    "lip_parting",
    "upper_lip_thinning",
    "lower_lip_thinning",
    "lower_lip_lowering",
    "lip_protrusion",
    "jaw_drop",
)
"""Each is positive when the face does what its name says, negative when it does the opposite."""


def action_measurements(landmarks: Track) -> pd.DataFrame:
    """What every frame does that the first does not, in shares of the distance between the outer eye corners.

    Free of head movement and of size. An untracked landmark is left out of the mean it belongs to; a measurement all of
    whose landmarks are untracked is NaN.

    Args:
        landmarks: Millimetres, one set of 83 a frame, neutral first; any frame of reference in which +y is up.

    Returns:
        One row a frame, one column a name of ``MEASUREMENTS``; the first row is 0.

    Raises:
        ValueError: If the neutral frame lacks an outer eye corner, or a frame has fewer than three rigid landmarks.
    """
    still = hold_still(landmarks)
    lengths = _lengths(still)
    eye_distance = _eye_distance(landmarks[0])
    return pd.DataFrame({name: (lengths[name] - lengths[name][0]) / eye_distance for name in MEASUREMENTS})


def apex_measurements(landmarks: Track) -> pd.Series:
    """One value a measurement for a whole sequence: the median over its apex frames, which a blink does not move."""
    return action_measurements(landmarks)[apex_frames(landmarks)].median()


def apex_frames(landmarks: Track) -> np.ndarray:
    """Which frames belong to the apex: those that moved at least ``APEX_SHARE`` of the second largest movement (bool).

    The second, because a blink may make one frame the largest by far; the only one where there are two frames.
    """
    movement = movement_profile(landmarks)
    largest = np.sort(movement[1:])[-2:]
    return np.asarray(movement >= APEX_SHARE * largest[0])


def movement_profile(landmarks: Track) -> Profile:
    """How far each frame is from neutral: root mean square over brows, eyes, nose and mouth, mm, head held still."""
    moved = hold_still(landmarks)[:, SEEN] - landmarks[0, SEEN]
    return np.asarray(np.sqrt(_mean_tracked(np.square(moved).sum(axis=2), otherwise=0.0)))


def hold_still(landmarks: Track) -> Track:
    """Undo head movement: rotate and shift every frame so that its rigid landmarks lie on those of the first.

    Kabsch (1976), over the rigid landmarks tracked in both frames.

    Raises:
        ValueError: If a frame shares fewer than three rigid landmarks with the first.
    """
    return np.stack([_lay_on(frame, landmarks[0]) for frame in landmarks])


def can_compare(frame: np.ndarray, neutral: np.ndarray) -> bool:
    """Whether a frame [83, 3] can be measured against a neutral one: three rigid landmarks in both, and eye corners."""
    eye_corners = neutral[[NAMED["right_eye_outer"], NAMED["left_eye_outer"]]]
    return len(_rigid_in_both(frame, neutral)) >= 3 and bool(np.isfinite(eye_corners).all())


def _rigid_in_both(frame: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    rigid = np.array(RIGID)
    return np.asarray(rigid[np.isfinite(frame[rigid] + neutral[rigid]).all(axis=1)])


def _lay_on(frame: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    rigid = _rigid_in_both(frame, neutral)
    if len(rigid) < 3:
        raise ValueError(f"A frame shares {len(rigid)} rigid landmarks with its neutral frame; it takes three.")
    centre, goal = frame[rigid].mean(axis=0), neutral[rigid].mean(axis=0)
    left, _, right = np.linalg.svd((frame[rigid] - centre).T @ (neutral[rigid] - goal))
    handed = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    return np.asarray((frame - centre) @ (left @ handed @ right) + goal)


def _eye_distance(neutral: np.ndarray) -> float:
    distance = float(np.linalg.norm(neutral[NAMED["right_eye_outer"]] - neutral[NAMED["left_eye_outer"]]))
    if not np.isfinite(distance) or distance == 0:
        raise ValueError("The neutral frame lacks an outer eye corner, the measure of all lengths.")
    return distance


def _mean_tracked(values: np.ndarray, otherwise: float = np.nan) -> Profile:
    """Mean of each row over its finite entries; ``otherwise`` where it has none."""
    tracked = np.isfinite(values)
    mean = np.where(tracked, values, 0.0).sum(axis=1) / np.maximum(tracked.sum(axis=1), 1)
    return np.asarray(np.where(tracked.any(axis=1), mean, otherwise))


def _lengths(points: Track) -> Mapping[str, Profile]:
    """The measurements before the neutral frame is taken off, mm."""

    def height(rows: tuple[int, ...]) -> Profile:
        return _mean_tracked(points[:, rows, 1])

    def depth(rows: tuple[int, ...]) -> Profile:
        return _mean_tracked(points[:, rows, 2])

    def width(*rows: int) -> Profile:
        left = [MIRROR[row] for row in rows]
        return np.asarray(_mean_tracked(points[:, left, 0]) - _mean_tracked(points[:, rows, 0]))

    return MappingProxyType(
        {
            "inner_brow_raise": height(INNER_BROWS),
            "outer_brow_raise": height(OUTER_BROWS),
            "brow_gathering": -width(19, 20, 21, 22),
            "upper_lid_raise": height(UPPER_LIDS),
            "lower_lid_raise": height(LOWER_LIDS),
            "eye_opening": height(UPPER_LIDS) - height(LOWER_LIDS),
            "nose_wing_raise": height(NOSE_WINGS),
            "nose_widening": width(38, 39, 40),
            "upper_lip_raise": height(UPPER_LIP),
            "lip_corner_raise": height(MOUTH_CORNERS),
            "lip_corner_pull_back": -depth(MOUTH_CORNERS),
            "mouth_widening": width(48, 60),
            "lip_parting": height(UPPER_LIP_INNER) - height(LOWER_LIP_INNER),
            "upper_lip_thinning": height(UPPER_LIP_INNER) - height(UPPER_LIP),
            "lower_lip_thinning": height(LOWER_LIP) - height(LOWER_LIP_INNER),
            "lower_lip_lowering": -height(LOWER_LIP),
            "lip_protrusion": depth((*UPPER_LIP, *LOWER_LIP)),
            "jaw_drop": -height(CHIN),
        }
    )
