"""Alignment of a scan: its unit, its pose in the canonical frame, and the confidence in both."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from affect4d.array_types import Landmarks, Pose
from affect4d.scans.alignment.icp import Points, voxel_downsample
from affect4d.scans.alignment.landmark_alignment import fit_landmarks, swap_sides
from affect4d.scans.alignment.mean_face import MEAN_LANDMARKS, mean_surface
from affect4d.scans.alignment.orientation import UNITS, describe_orientation, relative_size, turned_by, unit_of
from affect4d.scans.alignment.repair import RepairedScan, repair
from affect4d.scans.alignment.shape_alignment import RELIEF_WITHIN, assess_fit, fit_shape
from affect4d.scans.geometry import apply_pose, crop, pose_of, transform, turn_outward
from affect4d.scans.scan import FaceScan

TRUSTED = 0.5
"""Confidence below which a pose is doubted."""
SHAPE_CONFIDENCE = 0.7
"""Confidence of a pose found by shape, at best: its pitch is known to a few degrees only."""
SHAPE_SURE = 0.9 * SHAPE_CONFIDENCE
"""Confidence by shape from which on it replaces landmarks that lie beside the scan."""
NEAR, MIN_NEAR = 4.0, 0.3
"""Distance to a downsampled scan, in mm, and the fraction of landmarks within it below which they are checked: a face
has 0.8 and more, half a face 0.4 to 0.55, nearly all scans with landmarks 60 mm off less (48 scans each of three
recipes)."""
PLAUSIBLE = 0.7, 1.3
"""Sizes relative to the mean face without a finding: the two synthetic heads have 0.86 to 1.11."""
FAR_APART = 40.0
"""Distance between two poses, in mm, above which landmarks are taken to be misplaced. A corpus's residual misalignment
is less: ``open-4dfer`` draws up to 28 mm of it, in 768 takes."""
COMPLETE = 0.75
"""Share of the mean face below which a scan is called incomplete."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """The pose of a scan in the canonical frame, its confidence, and what was found on the estimate.

    Attributes:
        confidence: 0 (a guess) to 1. A wrong unit, position or pose makes it low: the scan then does not lie on the
            mean face. A size 1.5 times a face's does not, where there are no landmarks to tell it.
        method: ``"landmarks"`` or ``"shape"``.
        residual: Root mean square distance of landmarks, or of the surface, to the mean face's, mm.
        seen: Share of the mean face that the scan covers; the rest are holes, or was never scanned.
        unit: Unit of the raw coordinates.
        turned: Degrees between the scan's own frame and the canonical one.
        landmarks: Canonical; None where there are none to trust.
        findings: Problems, code → words, the most serious first: ``mirrored``, ``turned``, ``low-confidence``,
            ``incomplete``, ``size``, ``scaled``, ``landmarks``.
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


def canonical_face(scan: FaceScan, pose: Pose, crop_radius: float) -> RepairedScan:
    """The face in a raw scan: moved by its pose, cropped, its triangles turned outward, repaired.

    A function of its arguments alone: reading the scan again gives the same face.

    Args:
        crop_radius: Radius around the nose tip of what is kept, mm.

    Raises:
        ValueError: If nothing is left after the crop.
    """
    return repair(turn_outward(crop(transform(scan, pose), crop_radius)))


@dataclass(frozen=True, slots=True)
class _PoseEstimate:
    """The pose found by one method, of the scan in mm."""

    method: str
    pose: Pose
    confidence: float
    residual: float
    landmarks: Landmarks | None = None
    mirrored: bool = False
    doubt: str = ""


def align(scan: FaceScan) -> Alignment:
    """The alignment of a scan: by landmarks where enough are tracked and plausible, else by shape.

    Raises:
        ValueError: If it has no face's size in any unit, or if neither way finds a pose.
    """
    unit = unit_of(scan.vertices, scan.landmarks)
    points = voxel_downsample(scan.vertices.astype(np.float64) * UNITS[unit])
    estimate = _estimate(points, scan.landmarks, UNITS[unit])
    rotation, shift = estimate.pose[:3, :3], estimate.pose[:3, 3]
    seen = mean_surface().share_covered(points @ rotation.T + shift, RELIEF_WITHIN)
    orientation = describe_orientation(rotation)
    return Alignment(
        pose=pose_of(rotation * UNITS[unit], shift),
        confidence=estimate.confidence,
        method=estimate.method,
        residual=estimate.residual,
        seen=seen,
        unit=unit,
        turned=turned_by(rotation),
        landmarks=estimate.landmarks,
        findings=dict(_findings(estimate, unit, orientation, seen, relative_size(scan.landmarks, unit))),
    )


def _estimate(points: Points, landmarks: Landmarks | None, scale: float) -> _PoseEstimate:
    """By landmarks, if they are to be trusted; else the more confident of both methods."""
    if landmarks is None:
        return _by_shape(points)
    scaled = landmarks * np.float32(scale)
    try:
        marked = _by_landmarks(scaled)
    except ValueError as error:
        return _by_shape(points, str(error))
    if marked.confidence >= TRUSTED:
        return marked if _landmarks_fit_scan(points, scaled, marked) else _prefer_shape(marked, points)
    try:
        shaped = _by_shape(points, "landmarks lie unlike a face's and are left out")
    except ValueError:
        return marked
    return shaped if shaped.confidence > marked.confidence else marked


def _landmarks_fit_scan(points: Points, landmarks: Landmarks, marked: _PoseEstimate) -> bool:
    """Whether landmarks belong to the scan: by them it lies on the mean face, or some of them lie on the scan.

    Landmarks of another frame, or of the scan before it was moved, are shaped like a face, but lie beside the scan.
    """
    if assess_fit(points, marked.pose).confidence >= TRUSTED:
        return True
    tracked = landmarks[~np.isnan(landmarks).any(axis=1)]
    return float((cKDTree(points).query(tracked)[0] < NEAR).mean()) >= MIN_NEAR


def _prefer_shape(marked: _PoseEstimate, points: Points) -> _PoseEstimate:
    """The pose for landmarks that lie beside the scan: by shape, where that is confident and far from theirs."""
    try:
        shaped = _by_shape(points, "landmarks lie beside the scan and are left out")
    except ValueError:
        return marked
    return (
        shaped
        if shaped.confidence >= SHAPE_SURE and _distance_between(shaped.pose, marked.pose) > FAR_APART
        else marked
    )


def _distance_between(one: Pose, other: Pose) -> float:
    """Mean distance of the mean face's landmarks between two poses, mm."""
    there = apply_pose(MEAN_LANDMARKS, one @ np.linalg.inv(other))
    return float(np.linalg.norm(there - MEAN_LANDMARKS, axis=1).mean())


def _by_landmarks(landmarks: Landmarks) -> _PoseEstimate:
    fit = fit_landmarks(landmarks)
    named = swap_sides(landmarks) if fit.mirrored else landmarks
    return _PoseEstimate("landmarks", fit.pose, fit.confidence, fit.residual, apply_pose(named, fit.pose), fit.mirrored)


def _by_shape(points: Points, doubt: str = "") -> _PoseEstimate:
    fit = fit_shape(points)
    return _PoseEstimate("shape", fit.pose, SHAPE_CONFIDENCE * fit.confidence, fit.residual, doubt=doubt)


def _findings(
    estimate: _PoseEstimate, unit: str, position: str, seen: float, size: float | None
) -> Iterator[tuple[str, str]]:
    """Code and words of everything that is not as it should be, the gravest first."""
    if estimate.mirrored:
        yield "mirrored", "the scan is mirrored, or left and right of its landmarks are exchanged"
    if position:
        yield "turned", f"the face {position} in its file, turned upright"
    if estimate.confidence < TRUSTED:
        yield (
            "low-confidence",
            f"the pose found by {estimate.method} may be wrong (confidence {estimate.confidence:.2f})",
        )
    if seen < COMPLETE:
        yield "incomplete", f"only {seen:.0%} of a face is there"
    if unit != "mm":
        yield "scaled", f"measured in {unit}, scaled to mm"
    if size is not None and not PLAUSIBLE[0] < size < PLAUSIBLE[1]:
        yield "size", f"its landmarks spread {size:.2f} times as wide as a face's: is it measured in {unit}?"
    if estimate.doubt:
        yield "landmarks", estimate.doubt
