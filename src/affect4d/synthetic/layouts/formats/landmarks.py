"""Landmark files: ``.bnd`` (BU), ``.lm2`` and ``.lm3`` (Bosphorus), ``.tbnd`` (BP4D)."""

from collections.abc import Iterable, Mapping

import numpy as np
from scipy.spatial import cKDTree

from affect4d.arrays import Landmarks
from affect4d.scans.scan import FaceScan

LEFT_HANDED = np.array([1.0, 1.0, -1.0])


def landmarks_of(scan: FaceScan) -> Landmarks:
    """The scan's landmarks.

    Raises:
        ValueError: If it has none.
    """
    if scan.landmarks is None:
        raise ValueError("A landmark file needs landmarks, and this scan has none.")
    return scan.landmarks


def bnd_bytes(scan: FaceScan) -> bytes:
    """Landmarks as 83 rows ``vertexIndex x y z``, the vertex being the nearest.

    Raises:
        ValueError: If the scan has no landmarks.
    """
    points = landmarks_of(scan)
    _, nearest = cKDTree(scan.vertices).query(points)
    rows = [f"{index} {x:.4f} {y:.4f} {z:.4f}" for index, (x, y, z) in zip(nearest, points, strict=True)]
    return "\n".join(rows).encode() + b"\n"


def tbnd_bytes(scan: FaceScan, angles: tuple[float, float, float], untracked: Iterable[int] = ()) -> bytes:
    """Landmarks as BP4D's tracker gives them: pitch, yaw and roll in degrees, then 83 points, left-handed.

    Args:
        scan: With landmarks.
        angles: Of the head, degrees.
        untracked: Points written as 0 0 0.

    Raises:
        ValueError: If the scan has no landmarks.
    """
    points = landmarks_of(scan) * LEFT_HANDED
    points[list(untracked)] = 0.0
    rows = [f"{first:.6f} {second:.6f} {third:.6f}" for first, second, third in (angles, *points)]
    return "\n".join(rows).encode() + b"\n"


def lm_bytes(points: Mapping[str, np.ndarray]) -> bytes:
    """Named points as Bosphorus writes them: CRLF text, how many, then a label and its coordinates in turn."""
    lines = [f"{len(points)} landmarks:", ""]
    for label, point in points.items():
        lines += [label, " ".join(f"{number:.4f}" for number in point)]
    return "\r\n".join(lines).encode() + b"\r\n"
