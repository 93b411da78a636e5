"""The neutral face of a subject, estimated from single scans without their labels.

A sequence begins with a neutral frame; a single scan does not. Posed collections have each subject show every
expression about equally often: expressions lead away from neutral in different directions, and weak ones, with the
neutral scan, lie close together about it. [ours; decision 18]
"""

import numpy as np
import pandas as pd
from jaxtyping import Float

from affect4d.pseudo_labels.measurements import (
    MOVING_LANDMARKS,
    FaceLandmarks,
    LandmarkTrack,
    is_measurable,
    remove_head_motion,
)
from affect4d.scans.landmark_names import LANDMARK_COUNT

MIN_SCANS = 3
"""Scans of a subject below which a median is one of them, or between two."""
ROUNDS = 5
"""Rounds in which the nearer half is chosen."""


def single_scans(scan_manifest: pd.DataFrame) -> pd.DataFrame:
    """Rows of scans that are alone in their sequence."""
    return scan_manifest[~scan_manifest["sequence"].duplicated(keep=False)]


def neutral_faces(scan_manifest: pd.DataFrame) -> dict[str, FaceLandmarks]:
    """Neutral face of every subject with enough single scans with landmarks; longer sequences are ignored.

    Args:
        scan_manifest: Columns ``sequence``, ``subject``, ``landmarks``.

    Returns:
        By subject; canonical mm, NaN where a landmark was tracked in none of the subject's scans.
    """
    single = single_scans(scan_manifest)
    tracked = single[single["landmarks"].map(is_tracked).astype(bool)]
    return {
        str(subject): neutral_face(np.stack([to_points(one) for one in rows]))
        for subject, rows in tracked.groupby("subject")["landmarks"]
        if len(rows) >= MIN_SCANS
    }


def neutral_face(scans: LandmarkTrack) -> FaceLandmarks:
    """Median of the half of a subject's scans that lie closest together, head motion removed.

    The median, landmark by landmark, over all; then, ``ROUNDS`` times, over the half nearest to it, at least
    ``MIN_SCANS``. Independent of the order of scans.

    Args:
        scans: Landmarks of one subject, mm, one set of 83 a scan; any common frame of reference, +y up.
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
    """Displacement of each landmark of every single scan from its subject's neutral face, head motion removed.

    Args:
        scan_manifest: As for :func:`neutral_faces`.

    Returns:
        One row a single scan that can be aligned with its subject's neutral face (the index: its sequence), one column
        a coordinate of the 83 landmarks, mm; NaN where one was not tracked.
    """
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
    """Median of each landmark over the scans it was tracked in."""
    return pd.DataFrame(scans.reshape(len(scans), -1)).median().to_numpy().reshape(LANDMARK_COUNT, 3)
