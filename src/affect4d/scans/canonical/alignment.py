"""Where a scan stands: its unit, its pose, and how far to trust both."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from affect4d.arrays import Landmarks, Pose
from affect4d.scans.canonical.by_landmarks import exchange_sides, fit_landmarks
from affect4d.scans.canonical.by_shape import RELIEF_WITHIN, fit_shape, judge
from affect4d.scans.canonical.mean_landmarks import MEAN_LANDMARKS
from affect4d.scans.canonical.mean_surface import mean_surface
from affect4d.scans.canonical.orientation import UNITS, posture, relative_size, turned_by, unit_of
from affect4d.scans.canonical.thinning import Points, thinned
from affect4d.scans.geometry import apply_pose, pose_of
from affect4d.scans.scan import FaceScan

TRUSTED = 0.5
"""Confidence below which a pose is doubted."""
SHAPE_CONFIDENCE = 0.7
"""Confidence of a pose found by shape, at best: its pitch is known to a few degrees only."""
SURE = 0.9 * SHAPE_CONFIDENCE
"""Confidence by shape from which on landmarks beside the scan are given up for it."""
NEAR, FEW_NEAR = 4.0, 0.3
"""Distance to a thinned scan, in mm, and the share of landmarks within it below which they are looked into: a face has
0.8 and more, half a face 0.4 to 0.55, nearly all whose landmarks are 60 mm off less (48 scans each of three recipes).
"""
PLAUSIBLE = 0.7, 1.3
"""Sizes, in those of the mean face, between which nothing is said: the two synthetic heads have 0.86 to 1.11."""
ELSEWHERE = 40.0
"""Distance, in mm, from which on landmarks are another place's. What the alignment of a corpus leaves is no reason:
``open-4dfer`` draws up to 28 mm of it, in 768 takes."""
COMPLETE = 0.75
"""Share of the mean face below which a scan is called incomplete."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """How a scan gets to the canonical frame, and how far to trust that.

    Attributes:
        pose: Raw coordinates to canonical ones.
        confidence: 0 (a guess) to 1. A wrong unit, position or pose makes it low: the scan then does not lie on the
            mean face. A size 1.5 times a face's does not, where there are no landmarks to tell it.
        method: ``"landmarks"`` or ``"shape"``.
        residual: Root mean square distance of landmarks, or of the surface, to the mean face's, mm.
        seen: Share of the mean face that the scan covers; the rest are holes, or was never scanned.
        unit: What the scan is measured in.
        turned: Degrees between the scan's own frame and the canonical one.
        landmarks: Canonical; None where there are none to trust.
        findings: What is not as it should be, code → words, the gravest first: ``mirrored``, ``turned``,
            ``low-confidence``, ``incomplete``, ``size``, ``scaled``, ``landmarks``.
    """

    pose: Pose
    confidence: float
    method: str
    residual: float
    seen: float
    unit: str
    turned: float
    landmarks: Landmarks | None
    findings: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Way:
    """A pose as one method found it, of the scan in mm."""

    method: str
    pose: Pose
    confidence: float
    residual: float
    landmarks: Landmarks | None = None
    mirrored: bool = False
    doubt: str = ""


def align(scan: FaceScan) -> Alignment:
    """The pose of a scan: by landmarks where enough are tracked and lie as a face's do, else by its shape.

    Raises:
        ValueError: If it has no face's size in any unit, or if neither way finds a pose.
    """
    unit = unit_of(scan.vertices, scan.landmarks)
    points = thinned(scan.vertices.astype(np.float64) * UNITS[unit])
    way = _way(points, scan.landmarks, UNITS[unit])
    rotation, shift = way.pose[:3, :3], way.pose[:3, 3]
    seen = mean_surface().share_seen(points @ rotation.T + shift, RELIEF_WITHIN)
    return Alignment(
        pose=pose_of(rotation * UNITS[unit], shift),
        confidence=way.confidence,
        method=way.method,
        residual=way.residual,
        seen=seen,
        unit=unit,
        turned=turned_by(rotation),
        landmarks=way.landmarks,
        findings=dict(_findings(way, unit, posture(rotation), seen, relative_size(scan.landmarks, unit))),
    )


def _way(points: Points, landmarks: Landmarks | None, scale: float) -> _Way:
    """By landmarks, if they are to be trusted; else the more confident of both ways."""
    if landmarks is None:
        return _by_shape(points)
    scaled = landmarks * np.float32(scale)
    try:
        marked = _by_landmarks(scaled)
    except ValueError as error:
        return _by_shape(points, str(error))
    if marked.confidence >= TRUSTED:
        return marked if _on_the_scan(points, scaled, marked) else _instead_of(marked, points)
    try:
        shaped = _by_shape(points, "landmarks lie unlike a face's and are left out")
    except ValueError:
        return marked
    return shaped if shaped.confidence > marked.confidence else marked


def _on_the_scan(points: Points, landmarks: Landmarks, marked: _Way) -> bool:
    """Whether landmarks may be the scan's own: by them it lies on the mean face, or some of them lie on the scan.

    Those of another frame, or of the scan before it was moved, lie as a face's do, and beside this one.
    """
    if judge(points, marked.pose).confidence >= TRUSTED:
        return True
    tracked = landmarks[~np.isnan(landmarks).any(axis=1)]
    return float((cKDTree(points).query(tracked)[0] < NEAR).mean()) >= FEW_NEAR


def _instead_of(marked: _Way, points: Points) -> _Way:
    """The pose of a scan beside which its landmarks lie: by shape, where that leaves no doubt and stands elsewhere."""
    try:
        shaped = _by_shape(points, "landmarks lie beside the scan and are left out")
    except ValueError:
        return marked
    return shaped if shaped.confidence >= SURE and _apart(shaped.pose, marked.pose) > ELSEWHERE else marked


def _apart(one: Pose, other: Pose) -> float:
    """How far two poses put the same face from each other, mm: the mean over its landmarks."""
    there = apply_pose(MEAN_LANDMARKS, one @ np.linalg.inv(other))
    return float(np.linalg.norm(there - MEAN_LANDMARKS, axis=1).mean())


def _by_landmarks(landmarks: Landmarks) -> _Way:
    fit = fit_landmarks(landmarks)
    named = exchange_sides(landmarks) if fit.mirrored else landmarks
    return _Way("landmarks", fit.pose, fit.confidence, fit.residual, apply_pose(named, fit.pose), fit.mirrored)


def _by_shape(points: Points, doubt: str = "") -> _Way:
    fit = fit_shape(points)
    return _Way("shape", fit.pose, SHAPE_CONFIDENCE * fit.confidence, fit.residual, doubt=doubt)


def _findings(way: _Way, unit: str, position: str, seen: float, size: float | None) -> Iterator[tuple[str, str]]:
    """Code and words of everything that is not as it should be, the gravest first."""
    if way.mirrored:
        yield "mirrored", "the scan is mirrored, or left and right of its landmarks are exchanged"
    if position:
        yield "turned", f"the face {position} in its file, turned upright"
    if way.confidence < TRUSTED:
        yield "low-confidence", f"the pose found by {way.method} may be wrong (confidence {way.confidence:.2f})"
    if seen < COMPLETE:
        yield "incomplete", f"only {seen:.0%} of a face is there"
    if unit != "mm":
        yield "scaled", f"measured in {unit}, scaled to mm"
    if size is not None and not PLAUSIBLE[0] < size < PLAUSIBLE[1]:
        yield "size", f"its landmarks spread {size:.2f} times as wide as a face's: is it measured in {unit}?"
    if way.doubt:
        yield "landmarks", way.doubt
