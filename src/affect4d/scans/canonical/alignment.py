"""Where a scan stands: its unit, its pose, and how far to trust both."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from affect4d.arrays import Landmarks, Pose
from affect4d.scans.canonical.by_landmarks import exchange_sides, fit_landmarks
from affect4d.scans.canonical.by_shape import RELIEF_WITHIN, fit_shape
from affect4d.scans.canonical.mean_surface import mean_surface
from affect4d.scans.canonical.orientation import UNITS, posture, turned_by, unit_of
from affect4d.scans.canonical.thinning import Points, thinned
from affect4d.scans.geometry import apply_pose, pose_of
from affect4d.scans.scan import FaceScan

TRUSTED = 0.5
"""Confidence below which a pose is doubted."""
SHAPE_CONFIDENCE = 0.7
"""Confidence of a pose found by shape, at best: its pitch is known to a few degrees only."""
COMPLETE = 0.75
"""Share of the mean face below which a scan is called incomplete."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """How a scan gets to the canonical frame, and how far to trust that.

    Attributes:
        pose: Raw coordinates to canonical ones.
        confidence: 0 (a guess) to 1. A wrong unit, position or pose makes it low: the scan then does not lie on the
            mean face.
        method: ``"landmarks"`` or ``"shape"``.
        residual: Root mean square distance of landmarks, or of the surface, to the mean face's, mm.
        seen: Share of the mean face that the scan covers; the rest are holes, or was never scanned.
        unit: What the scan is measured in.
        turned: Degrees between the scan's own frame and the canonical one.
        landmarks: Canonical; None where there are none to trust.
        findings: What is not as it should be, code → words, the gravest first: ``mirrored``, ``turned``,
            ``low-confidence``, ``incomplete``, ``scaled``, ``landmarks``.
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
        findings=dict(_findings(way, unit, posture(rotation), seen)),
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
        return marked
    try:
        shaped = _by_shape(points, "landmarks lie unlike a face's and are left out")
    except ValueError:
        return marked
    return shaped if shaped.confidence > marked.confidence else marked


def _by_landmarks(landmarks: Landmarks) -> _Way:
    fit = fit_landmarks(landmarks)
    named = exchange_sides(landmarks) if fit.mirrored else landmarks
    return _Way("landmarks", fit.pose, fit.confidence, fit.residual, apply_pose(named, fit.pose), fit.mirrored)


def _by_shape(points: Points, doubt: str = "") -> _Way:
    fit = fit_shape(points)
    return _Way("shape", fit.pose, SHAPE_CONFIDENCE * fit.confidence, fit.residual, doubt=doubt)


def _findings(way: _Way, unit: str, position: str, seen: float) -> Iterator[tuple[str, str]]:
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
    if way.doubt:
        yield "landmarks", way.doubt
