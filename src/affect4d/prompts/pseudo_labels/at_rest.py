"""What a person's face is at rest, found among single scans without asking what they show.

A sequence begins at rest; a scan by itself does not. But posed collections have each person show every expression about
equally often: expressions lead away from the face at rest in different directions, and weak ones, with the neutral
face, lie close together about it. [ours; decision 18]
"""

import numpy as np
import pandas as pd
from jaxtyping import Float

from affect4d.prompts.action_measurement import SEEN, Track, can_compare, hold_still
from affect4d.scans.landmarks import LANDMARK_COUNT

FEWEST_SCANS = 3
"""Scans of a person below which a median is one of them, or between two."""

ROUNDS = 5
"""How often the nearer half is chosen anew."""

Points = Float[np.ndarray, "83 3"]


def single_scans(scan_manifest: pd.DataFrame) -> pd.DataFrame:
    """The rows of scans that are alone in their sequence: nothing in it says where the face rests."""
    return scan_manifest[~scan_manifest["sequence"].duplicated(keep=False)]


def faces_at_rest(scan_manifest: pd.DataFrame) -> dict[str, Points]:
    """The face at rest of every person who has enough single scans with landmarks.

    Args:
        scan_manifest: Columns ``sequence``, ``subject``, ``landmarks``; longer sequences are not looked at, their
            neutral frame is their own.

    Returns:
        By subject; canonical mm, NaN where a landmark was tracked in none of the person's scans.
    """
    single = single_scans(scan_manifest)
    tracked = single[single["landmarks"].map(is_tracked).astype(bool)]
    return {
        str(subject): face_at_rest(np.stack([points_of(one) for one in rows]))
        for subject, rows in tracked.groupby("subject")["landmarks"]
        if len(rows) >= FEWEST_SCANS
    }


def face_at_rest(scans: Track) -> Points:
    """The middle of the half of a person's scans that lie closest together, heads laid on one another.

    The median, landmark by landmark, over all; then, ``ROUNDS`` times, over the half nearest to it, at least
    ``FEWEST_SCANS``. Free of the order of scans.

    Args:
        scans: Landmarks of one person, mm, one set of 83 a scan; any frame of reference common to them, +y up.
    """
    middle = _median(scans)
    usable = [scan for scan in scans if can_compare(scan, middle)]
    if not usable:
        return middle
    still = hold_still(np.stack([middle, *usable]))[1:]
    rest = whole = _median(still)
    for _ in range(ROUNDS):
        nearest = np.argsort(_distances(still, rest), kind="stable")[: max(len(still) // 2, FEWEST_SCANS)]
        found = _median(still[nearest])
        rest = np.where(np.isnan(found), whole, found)
    return rest


def displacements_from_rest(scan_manifest: pd.DataFrame) -> pd.DataFrame:
    """How far each landmark of every single scan is from that person's face at rest, head held still.

    Args:
        scan_manifest: As for :func:`faces_at_rest`.

    Returns:
        One row a single scan that can be laid on its person's face (the index: its sequence), one column a coordinate
        of the 83 landmarks, mm; NaN where one was not tracked.
    """
    at_rest = faces_at_rest(scan_manifest)
    moved = {}
    for row in single_scans(scan_manifest).itertuples():
        rest = at_rest.get(str(row.subject))
        if rest is not None and is_tracked(row.landmarks) and can_compare(points_of(row.landmarks), rest):
            moved[row.sequence] = (hold_still(np.stack([rest, points_of(row.landmarks)]))[1] - rest).ravel()
    return pd.DataFrame.from_dict(moved, orient="index", columns=list(range(3 * LANDMARK_COUNT)))


def is_tracked(landmarks: object) -> bool:
    """Whether a cell of a scan manifest holds landmarks."""
    return isinstance(landmarks, list | tuple | np.ndarray) and len(landmarks) > 0


def points_of(landmarks: object) -> Points:
    """A cell of a scan manifest as points."""
    return np.asarray(landmarks, float).reshape(LANDMARK_COUNT, 3)


def _distances(scans: Track, face: Points) -> Float[np.ndarray, " scans"]:
    """Mean squared distance of each scan's moving landmarks, where tracked, from those of a face, mm²."""
    squares = np.square(scans[:, SEEN] - face[list(SEEN)]).sum(axis=2)
    return pd.DataFrame(squares).mean(axis=1).fillna(np.inf).to_numpy()


def _median(scans: Track) -> Points:
    """Landmark by landmark, over the scans it was tracked in."""
    return pd.DataFrame(scans.reshape(len(scans), -1)).median().to_numpy().reshape(LANDMARK_COUNT, 3)
