"""Facial movement, measured from landmarks since the neutral face.

Head motion is removed first, by aligning the rigid landmarks of every frame with those of the neutral frame; lengths
are fractions of the distance between the outer eye corners, so that faces of any size, in any unit, compare.

A sequence begins with a neutral frame; a single scan does not. Posed collections have each subject show every
expression about equally often: expressions lead away from neutral in different directions, and weak ones, with the
neutral scan, lie close together about it. [ours; decision 18]
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from affect4d.scans.landmark_names import LANDMARK_COUNT, MIRROR, NAMED, RIGID

FaceLandmarks = Float[np.ndarray, "83 3"]
LandmarkTrack = Float[np.ndarray, "frames 83 3"]
"""Landmarks of a sequence, frame by frame; NaN where one was not tracked."""
FrameValues = Float[np.ndarray, "frames"]

APEX_FRACTION = 0.6  # an apex frame has moved at least this fraction of the sequence's second largest movement


def _both_sides(*rows: int) -> tuple[int, ...]:
    """Rows of the right half and their mirror images; a row on the midline occurs once."""
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
MOVING_LANDMARKS = tuple(row for row in range(68) if row not in RIGID)  # all but the rigid ones and the contour

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
"""Each is positive for the movement that it is named after, negative for the opposite."""


def measure_frames(landmarks: LandmarkTrack) -> pd.DataFrame:
    """Movement of every frame since the first, per distance between the outer eye corners; columns ``MEASUREMENTS``.

    Independent of head motion, size and unit; +y is up. An untracked landmark is left out of its mean; a measurement
    without any tracked landmark is NaN.

    Raises:
        ValueError: If the neutral frame lacks an outer eye corner, or a frame has fewer than three rigid landmarks.
    """
    lengths = _lengths(remove_head_motion(landmarks))
    eye_distance = _eye_distance(landmarks[0])
    return pd.DataFrame({name: (lengths[name] - lengths[name][0]) / eye_distance for name in MEASUREMENTS})


def measure_apex(landmarks: LandmarkTrack) -> pd.Series:
    """Median of each measurement over the apex frames of a sequence; robust to a blink."""
    return measure_frames(landmarks)[apex_frames(landmarks)].median()


def apex_frames(landmarks: LandmarkTrack) -> np.ndarray:
    """Mask of the frames that moved at least ``APEX_FRACTION`` of the second largest movement.

    The second, since a blink may make one frame the largest by far; of two frames, the only one.
    """
    movement = movement_profile(landmarks)
    largest = np.sort(movement[1:])[-2:]
    return np.asarray(movement >= APEX_FRACTION * largest[0])


def movement_profile(landmarks: LandmarkTrack) -> FrameValues:
    """Distance of each frame from neutral: root mean square over the moving landmarks, mm, head motion removed."""
    moved = remove_head_motion(landmarks)[:, MOVING_LANDMARKS] - landmarks[0, MOVING_LANDMARKS]
    return np.asarray(np.sqrt(_mean_tracked(np.square(moved).sum(axis=2), otherwise=0.0)))


def remove_head_motion(landmarks: LandmarkTrack) -> LandmarkTrack:
    """Align every frame rigidly with the first (Kabsch 1976); ValueError if fewer than three landmarks are in both."""
    return np.stack([_align(frame, landmarks[0]) for frame in landmarks])


def is_measurable(frame: np.ndarray, neutral: np.ndarray) -> bool:
    """Whether a frame [83, 3] shares three rigid landmarks with a neutral one that has its eye corners."""
    eye_corners = neutral[[NAMED["right_eye_outer"], NAMED["left_eye_outer"]]]
    return len(_rigid_in_both(frame, neutral)) >= 3 and bool(np.isfinite(eye_corners).all())


def _rigid_in_both(frame: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    rigid = np.array(RIGID)
    return np.asarray(rigid[np.isfinite(frame[rigid] + neutral[rigid]).all(axis=1)])


def _align(frame: np.ndarray, neutral: np.ndarray) -> np.ndarray:
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


def _mean_tracked(values: np.ndarray, otherwise: float = np.nan) -> FrameValues:
    """Mean of each row over its finite entries; ``otherwise`` where it has none."""
    tracked = np.isfinite(values)
    mean = np.where(tracked, values, 0.0).sum(axis=1) / np.maximum(tracked.sum(axis=1), 1)
    return np.asarray(np.where(tracked.any(axis=1), mean, otherwise))


def _lengths(points: LandmarkTrack) -> Mapping[str, FrameValues]:
    """The measurements before those of the neutral frame are subtracted, mm."""

    def height(rows: tuple[int, ...]) -> FrameValues:
        return _mean_tracked(points[:, rows, 1])

    def depth(rows: tuple[int, ...]) -> FrameValues:
        return _mean_tracked(points[:, rows, 2])

    def width(*rows: int) -> FrameValues:
        left = [MIRROR[row] for row in rows]
        return np.asarray(_mean_tracked(points[:, left, 0]) - _mean_tracked(points[:, rows, 0]))

    return {
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


MIN_SCANS = 3
"""Scans of a subject below which a median is one of them, or between two."""
ROUNDS = 5  # rounds in which the nearer half is chosen


def single_scans(scan_manifest: pd.DataFrame) -> pd.DataFrame:
    """Rows of scans that are alone in their sequence."""
    return scan_manifest[~scan_manifest["sequence"].duplicated(keep=False)]


def neutral_faces(scan_manifest: pd.DataFrame) -> dict[str, FaceLandmarks]:
    """Neutral face of every subject with enough single scans: canonical mm, NaN where never tracked."""
    single = single_scans(scan_manifest)
    tracked = single[single["landmarks"].map(is_tracked).astype(bool)]
    return {
        str(subject): neutral_face(np.stack([to_points(one) for one in rows]))
        for subject, rows in tracked.groupby("subject")["landmarks"]
        if len(rows) >= MIN_SCANS
    }


def neutral_face(scans: LandmarkTrack) -> FaceLandmarks:
    """Median of the half of a subject's scans (mm, +y up) that lie closest together, head motion removed.

    The median, landmark by landmark, over all; then, ``ROUNDS`` times, over the half nearest to it, at least
    ``MIN_SCANS``. Independent of the order of scans.
    """
    centre = _median(scans)
    usable = [scan for scan in scans if is_measurable(scan, centre)]
    if not usable:
        return centre
    aligned = remove_head_motion(np.stack([centre, *usable]))[1:]
    neutral = overall = _median(aligned)
    for _ in range(ROUNDS):
        nearest = np.argsort(_distances(aligned, neutral), kind="stable")[: max(len(aligned) // 2, MIN_SCANS)]
        found = _median(aligned[nearest])
        neutral = np.where(np.isnan(found), overall, found)
    return neutral


def displacements_from_neutral(scan_manifest: pd.DataFrame) -> pd.DataFrame:
    """Displacement (mm; NaN: untracked) of each single scan's landmarks from its subject's aligned neutral face."""
    neutral_of = neutral_faces(scan_manifest)
    moved = {}
    for row in single_scans(scan_manifest).itertuples():
        neutral = neutral_of.get(str(row.subject))
        if neutral is not None and is_tracked(row.landmarks) and is_measurable(to_points(row.landmarks), neutral):
            aligned = remove_head_motion(np.stack([neutral, to_points(row.landmarks)]))[1]
            moved[row.sequence] = (aligned - neutral).ravel()
    return pd.DataFrame.from_dict(moved, orient="index", columns=list(range(3 * LANDMARK_COUNT)))


def is_tracked(landmarks: object) -> bool:
    """Whether a cell of a scan manifest holds landmarks."""
    return isinstance(landmarks, list | tuple | np.ndarray) and len(landmarks) > 0


def to_points(landmarks: object) -> FaceLandmarks:
    """Landmarks of a cell of a scan manifest."""
    return np.asarray(landmarks, float).reshape(LANDMARK_COUNT, 3)


def _distances(scans: LandmarkTrack, face: FaceLandmarks) -> Float[np.ndarray, " scans"]:
    """Mean squared distance of each scan's moving landmarks, where tracked, from those of a face, mm²."""
    squares = np.square(scans[:, MOVING_LANDMARKS] - face[list(MOVING_LANDMARKS)]).sum(axis=2)
    return pd.DataFrame(squares).mean(axis=1).fillna(np.inf).to_numpy()


def _median(scans: LandmarkTrack) -> FaceLandmarks:
    return pd.DataFrame(scans.reshape(len(scans), -1)).median().to_numpy().reshape(LANDMARK_COUNT, 3)
