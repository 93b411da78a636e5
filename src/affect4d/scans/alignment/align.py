"""Alignment of a scan: its unit, its pose in the canonical frame by landmarks or by shape, and the confidence.

Given landmarks tell where the face is; where the detector finds it there as well, its pose is taken. Landmark trackers
err by some degrees from take to take, which the pictures would show.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import replace as with_changes

import numpy as np
from jaxtyping import Float32, Float64
from scipy.spatial import cKDTree

from affect4d.array_types import Landmarks, Pose, Vertices
from affect4d.pretrained_files import PretrainedModelMissingError
from affect4d.scans.alignment.icp_alignment import RELIEF_WITHIN, Points, assess_fit, fit_shape, voxel_downsample
from affect4d.scans.alignment.landmark_network import find_landmarks
from affect4d.scans.alignment.mean_face import LANDMARK_TRUST, MEAN_LANDMARKS, mean_surface
from affect4d.scans.alignment.pose_by_landmark_detection import (
    DetectedPose,
    detect_pose,
    detect_upright_pose,
    second_face,
)
from affect4d.scans.alignment.repair import RepairedScan, repair
from affect4d.scans.geometry import apply_pose, crop, fit_points, pose_of, transform, turn_outward
from affect4d.scans.landmark_names import MIRROR
from affect4d.scans.scan import FaceScan

UNITS: Mapping[str, float] = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
"""Units a scan may be measured in, and how many millimetres each has."""
MIN_EXTENT, MAX_EXTENT = 65.0, 1500.0
"""Largest extents, in mm, of what is taken for a scan of a face: from half a face to head and shoulders."""
PLAUSIBLE_SIZE = 1.6  # factor between a person's landmarks and the mean face's within which a unit is believed
SAMPLE = 4000
TURNED = 60.0  # angle, in degrees, between a scan and the canonical frame from which on it counts as turned


def unit_of(vertices: Vertices, landmarks: Landmarks | None = None) -> str:
    """The unit of a scan, by its landmarks [83, 3] or its extent; a ValueError if it has a face's size in none."""
    unit = None if landmarks is None else _unit_of_landmarks(landmarks)
    if unit is not None:
        return unit
    extent = _extent(vertices)
    for unit, scale in UNITS.items():
        if MIN_EXTENT <= extent * scale < MAX_EXTENT:
            return unit
    raise ValueError(
        f"The scan is {extent:.3g} units long: no face in {', '.join(UNITS)}. Scale it to millimetres before ingest."
    )


def _unit_of_landmarks(landmarks: Landmarks) -> str | None:
    """The unit in which tracked landmarks spread as the mean face's do; None where there is none, or too few."""
    sizes = {unit: relative_size(landmarks, unit) for unit in UNITS}
    fitting = (unit for unit, size in sizes.items() if size is not None and 1 / PLAUSIBLE_SIZE < size < PLAUSIBLE_SIZE)
    return next(fitting, None)


def relative_size(landmarks: Landmarks | None, unit: str) -> float | None:
    """How far tracked landmarks in that unit spread, in spreads of the mean face's; None where fewer than two are."""
    if landmarks is None:
        return None
    tracked = ~np.isnan(landmarks).any(axis=1)
    if tracked.sum() < 2:
        return None
    spread, mean_spread = (float(points[tracked].std(axis=0).sum()) for points in (landmarks, MEAN_LANDMARKS))
    return spread * UNITS[unit] / mean_spread


def _extent(vertices: Vertices) -> float:
    """The longest side of the box of all but the outermost points."""
    sample = vertices[:: max(1, len(vertices) // SAMPLE)]
    low, high = np.percentile(sample, [0.5, 99.5], axis=0)
    return float((high - low).max())


def turned_by(rotation: Float64[np.ndarray, "3 3"]) -> float:
    """Degrees between a scan's own frame and the canonical one."""
    cosine = (np.trace(rotation) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def describe_orientation(rotation: Float64[np.ndarray, "3 3"]) -> str:
    """The orientation of a scan in its file, in words; empty where it is upright and faces roughly +z."""
    if turned_by(rotation) < TURNED:
        return ""
    up, forward = rotation[1], rotation[2]  # the face's own axes, as its file has them
    if forward[2] < -np.cos(np.radians(TURNED)):
        return "looks away, at −z" if up[1] > 0 else "stands upside down and looks away, at −z"
    if forward[2] < np.cos(np.radians(TURNED)):
        return f"looks along {_axis(forward)}"
    return "stands upside down" if up[1] < -np.cos(np.radians(TURNED)) else "lies on its side"


def _axis(direction: Float64[np.ndarray, "3"]) -> str:
    largest = int(np.abs(direction).argmax())
    return ("−" if direction[largest] < 0 else "+") + "xyz"[largest]


MIN_LANDMARKS = 4
MIN_TRUST = 2.0
"""Sum of :data:`LANDMARK_TRUST` below which landmarks fix no pose: two corners of the eyes and little else."""
GROSS_ERROR = 40.0
"""Distance from the mean face, in mm, at which a landmark counts for a quarter: subjects differ by less."""
HALF_CONFIDENCE = 15.0
"""Root mean square distance of landmarks to the mean face, in mm, at which confidence has fallen to one half."""
ROUNDS = 4


@dataclass(frozen=True, slots=True)
class LandmarkFit:
    """How landmarks lie on the mean face: a scan's pose and their weighted root mean square distance, in mm."""

    pose: Pose
    residual: float
    mirrored: bool = False

    @property
    def confidence(self) -> float:
        """1 where the landmarks lie on the mean face, one half at ``HALF_CONFIDENCE``, towards 0 beyond."""
        return 1 / (1 + (self.residual / HALF_CONFIDENCE) ** 2)


def fit_landmarks(landmarks: Landmarks) -> LandmarkFit:
    """The rigid pose that brings landmarks onto the mean face, least squares of trusted ones (Kabsch 1976).

    Landmarks whose left and right are exchanged lie better on the mean face when they are exchanged back: the scan is
    mirrored, or its landmarks are named from the other side. It is left as it is and marked ``mirrored``.

    Raises:
        ValueError: If too few of the 83 (mm; NaN where not tracked) fix a pose, or if they lie on one line.
    """
    fit = _fit(landmarks)
    if fit.residual < HALF_CONFIDENCE:
        return fit
    exchanged = _fit(swap_sides(landmarks))
    return with_changes(exchanged, mirrored=True) if 2 * exchanged.residual < fit.residual else fit


def _fit(landmarks: Landmarks) -> LandmarkFit:
    tracked = ~np.isnan(landmarks).any(axis=1)
    trust = LANDMARK_TRUST[tracked]
    if len(trust) < MIN_LANDMARKS or trust.sum() < MIN_TRUST:
        raise ValueError(f"{len(trust)} landmarks are tracked: too few, or of too little trust, to fix a pose.")
    points = landmarks[tracked].astype(np.float64)
    targets = MEAN_LANDMARKS[tracked].astype(np.float64)
    weights = trust
    for _ in range(ROUNDS):
        rotation, _, shift = fit_points(points, targets, weights)
        squares = np.square(points @ rotation.T + shift - targets).sum(axis=1)
        weights = trust / (1 + squares / GROSS_ERROR**2) ** 2
    residual = float(np.sqrt((trust * squares).sum() / trust.sum()))
    return LandmarkFit(pose_of(rotation, shift), residual)


def swap_sides(landmarks: Landmarks) -> Landmarks:
    """The same points under the names of the other side."""
    return landmarks[list(MIRROR)]


TRUSTED = 0.5
"""Confidence below which a pose is doubted."""
SHAPE_CONFIDENCE = 0.7  # confidence of a pose found by shape, at best: its pitch is known to a few degrees only
UNSEEN_CONFIDENCE = 0.45  # the same where the detector finds no face, or a doubtful one: not trusted
SHAPE_SURE = 0.9 * SHAPE_CONFIDENCE  # confidence by shape from which on it replaces landmarks that lie beside the scan
NEAR, MIN_NEAR = 4.0, 0.3
"""Distance to a downsampled scan, in mm, and the fraction of landmarks within it below which they are checked."""
PLAUSIBLE = 0.7, 1.3  # sizes relative to the mean face without a finding: the two synthetic heads have 0.86 to 1.11
AGREED_ANGLE, AGREED_DISTANCE = 15.0, 25.0
"""Degrees and mm between the poses by given and by detected landmarks from which on they disagree."""
FAR_APART = 40.0
"""Distance between two poses, mm, above which landmarks are misplaced; a corpus's own misalignment is below 28 mm."""
COMPLETE = 0.75  # share of the mean face below which a scan is called incomplete


@dataclass(frozen=True, slots=True)
class Alignment:
    """The pose of a scan in the canonical frame, its confidence, and what was found on the estimate."""

    pose: Pose
    confidence: float  # 0 (a guess) to 1; low where the scan does not lie on the mean face
    method: str  # ``"landmarks"``, ``"detection"``, ``"tracking"`` or ``"shape"``
    residual: float  # RMS distance of landmarks, or of the surface, to the mean face's, mm
    seen: float  # share of the mean face that the scan covers
    unit: str
    turned: float  # degrees between the scan's own frame and the canonical one
    landmarks: Landmarks | None  # canonical, given or found; None: none to trust
    findings: dict[str, str]  # problems, code → words, the most serious first
    uncertainty: Float32[np.ndarray, "83"] | None = None  # expected error of found landmarks, mm; None: given or none

    @property
    def landmark_source(self) -> str | None:
        """``"given"``, ``"found"``, or None where there are none."""
        if self.landmarks is None:
            return None
        return "given" if self.uncertainty is None else "found"

    @property
    def landmark_uncertainty(self) -> float | None:
        """Median expected error of found landmarks, mm; None where they are given, or none."""
        return None if self.uncertainty is None else float(np.median(self.uncertainty))

    def moved_to(self, pose: Pose, method: str, confidence: float, residual: float) -> "Alignment":
        """The same scan at a pose near by, its landmarks carried along."""
        landmarks = None if self.landmarks is None else apply_pose(self.landmarks, pose @ np.linalg.inv(self.pose))
        return with_changes(
            self, pose=pose, method=method, confidence=confidence, residual=residual, landmarks=landmarks
        )

    def agrees_with(self, pose: Pose) -> bool:
        """Whether another pose differs by fewer degrees and mm than poses by landmarks and by detection may."""
        millimetres = pose_of(np.eye(3) / UNITS[self.unit], np.zeros(3))
        angle, distance = _difference(pose @ millimetres, self.pose @ millimetres)
        return angle < AGREED_ANGLE and distance < AGREED_DISTANCE


def canonical_face(scan: FaceScan, pose: Pose, crop_radius: float) -> RepairedScan:
    """The face in a raw scan: moved by its pose, cropped at a radius (mm) around the nose tip, and repaired.

    Raises:
        ValueError: If nothing is left after the crop.
    """
    return repair(turn_outward(crop(transform(scan, pose), crop_radius)))


@dataclass(frozen=True, slots=True)
class _PoseEstimate:
    method: str
    pose: Pose  # of the scan in mm
    confidence: float
    residual: float
    unit: str
    landmarks: Landmarks | None = None
    size: float | None = None  # of the face, relative to the mean one's
    mirrored: bool = False
    doubt: str = ""


def align(scan: FaceScan, *, detect: bool = True, find_landmarks: bool = True) -> Alignment:
    """The alignment of a scan: by its landmarks where they are plausible, else by detected ones, else by shape.

    Args:
        detect: Whether the face is also detected where landmarks are plausible, which costs a rendering and a
            detection. The pose is then the detected one, if the two agree; if not, the finding says so.
        find_landmarks: Whether landmarks are looked for on a scan that has none.

    Raises:
        ValueError: If it has no face's size in any unit, if it shows two faces, or if no way finds a pose.
    """
    estimate = _without_landmarks(scan) if scan.landmarks is None else _by_given_landmarks(scan, scan.landmarks)
    detect = detect and estimate.method == "landmarks" and not estimate.doubt
    found = _detected_near(scan, estimate) if detect else None
    if found is None:
        return _alignment(scan, estimate, find_landmarks)
    alignment = _alignment(scan, estimate, find_landmarks)
    pose = pose_of(found.pose[:3, :3] * UNITS[estimate.unit], found.pose[:3, 3])
    if alignment.agrees_with(pose):
        return alignment.moved_to(pose, "detection", found.confidence, found.residual)
    angle, distance = _difference(found.pose, estimate.pose)
    doubt = f"landmarks put the face {angle:.0f}° and {distance:.0f} mm from where the detector finds it"
    return _alignment(scan, with_changes(estimate, doubt=doubt), find_landmarks)


def aligned_at(
    scan: FaceScan,
    pose: Pose,
    method: str,
    unit: str,
    confidence: float,
    residual: float,
    *,
    find_landmarks: bool,
) -> Alignment:
    """The alignment of a scan whose pose, raw to canonical, was found by another method."""
    rotation = pose[:3, :3] / UNITS[unit]
    placed = pose_of(rotation, pose[:3, 3])
    return _alignment(scan, _PoseEstimate(method, placed, confidence, residual, unit), find_landmarks)


def _alignment(scan: FaceScan, estimate: _PoseEstimate, find: bool) -> Alignment:
    rotation, shift = estimate.pose[:3, :3], estimate.pose[:3, 3]
    points = _points(scan, estimate.unit)
    seen = mean_surface().share_covered(points @ rotation.T + shift, RELIEF_WITHIN)
    pose = pose_of(rotation * UNITS[estimate.unit], shift)
    found = None
    if find and estimate.landmarks is None and estimate.confidence >= TRUSTED:
        found = find_landmarks(apply_pose(scan.vertices, pose), scan.faces)
    return Alignment(
        pose=pose,
        confidence=estimate.confidence,
        method=estimate.method,
        residual=estimate.residual,
        seen=seen,
        unit=estimate.unit,
        turned=turned_by(rotation),
        landmarks=estimate.landmarks if found is None else found.points,
        uncertainty=None if found is None else found.uncertainty,
        findings=dict(_findings(estimate, describe_orientation(rotation), seen)),
    )


def _points(scan: FaceScan, unit: str) -> Points:
    return voxel_downsample(scan.vertices.astype(np.float64) * UNITS[unit])


def _by_given_landmarks(scan: FaceScan, landmarks: Landmarks) -> _PoseEstimate:
    """By landmarks that lie like a face's and on the scan; else by another method, where that is the surer one."""
    unit = unit_of(scan.vertices, landmarks)
    scaled = landmarks * np.float32(UNITS[unit])
    try:
        given = _by_landmarks(scaled, unit, relative_size(landmarks, unit))
    except ValueError as error:
        return _without_landmarks(scan, str(error))
    plausible = given.confidence >= TRUSTED
    if plausible and _landmarks_fit_scan(_points(scan, unit), scaled, given):
        return given
    where = "lie beside the scan" if plausible else "lie unlike a face's"
    try:
        other = _without_landmarks(scan, f"landmarks {where} and are left out")
    except ValueError:
        return given
    if not plausible:
        return other if other.confidence > given.confidence else given
    sure = other.confidence >= (SHAPE_SURE if other.method == "shape" else TRUSTED)
    return other if sure and _difference(other.pose, given.pose)[1] > FAR_APART else given


def _without_landmarks(scan: FaceScan, doubt: str = "") -> _PoseEstimate:
    """By detected landmarks where they are trusted; else the more confident of that pose and the one by shape."""
    try:
        (detected, note), most = _by_detection(scan), UNSEEN_CONFIDENCE
    except PretrainedModelMissingError as error:
        detected, note, most = None, f"aligned by shape: {error}", SHAPE_CONFIDENCE
    if detected is not None and detected.confidence >= TRUSTED:
        return with_changes(detected, doubt=doubt)
    try:
        unit = detected.unit if detected is not None else unit_of(scan.vertices)
        shaped = _by_shape(_points(scan, unit), unit, most, "; ".join(filter(None, (doubt, note))))
    except ValueError:
        if detected is None:
            raise
        return with_changes(detected, doubt=doubt)
    if detected is None or shaped.confidence > detected.confidence:
        return shaped
    return with_changes(detected, doubt=doubt)


def _by_detection(scan: FaceScan) -> tuple[_PoseEstimate | None, str]:
    """The pose by detected landmarks; None and why, where the detector finds no face."""
    found = detect_pose(scan.vertices, scan.faces)
    if found is None:
        return None, "aligned by shape: the detector finds no face"
    unit = min(UNITS, key=lambda name: abs(np.log(UNITS[name] / found.scale)))
    size = UNITS[unit] / found.scale
    if not 1 / PLAUSIBLE_SIZE < size < PLAUSIBLE_SIZE:
        if found.confidence < TRUSTED:
            return None, "aligned by shape: the detector finds no face of a face's size"
        raise ValueError(
            f"The face is {size:.2g} times as large as one in {unit}. Scale it to millimetres before ingest."
        )
    if found.confidence >= TRUSTED:
        _refuse_second_face(scan, found)
    pose = pose_of(found.rotation, _rigid_shift(found, size))
    note = "" if found.confidence >= TRUSTED else "aligned by shape: the detected face is doubtful"
    return _PoseEstimate("detection", pose, found.confidence, found.residual, unit, size=size), note


def _refuse_second_face(scan: FaceScan, first: DetectedPose) -> None:
    second = second_face(scan.vertices, scan.faces, first)
    if second is None or second.confidence < TRUSTED or not 1 / PLAUSIBLE_SIZE < second.scale < PLAUSIBLE_SIZE:
        return
    away = np.linalg.norm(second.rotation.T @ second.shift) / second.scale
    raise ValueError(f"The scan shows two faces, some {away:.0f} mm apart. Cut it to one of them before ingest.")


def _detected_near(scan: FaceScan, given: _PoseEstimate) -> _PoseEstimate | None:
    """The pose by detection, searched where landmarks put the face; None where no face is found or trusted."""
    placed = apply_pose(scan.vertices, pose_of(given.pose[:3, :3] * UNITS[given.unit], given.pose[:3, 3]))
    try:
        found = detect_upright_pose(placed, scan.faces)
    except PretrainedModelMissingError:
        return None
    if found is None or found.confidence < TRUSTED:
        return None
    turn = pose_of(found.rotation, _rigid_shift(found, 1 / found.scale))
    return _PoseEstimate("detection", turn @ given.pose, found.confidence, found.residual, given.unit)


def _rigid_shift(found: DetectedPose, size: float) -> Float64[np.ndarray, "3"]:
    """The shift that keeps the middle of detected landmarks where it is, when their scale is left out."""
    middle = np.nanmean(found.landmarks, axis=0)
    return np.asarray(middle + size * (found.shift - middle))


def _landmarks_fit_scan(points: Points, landmarks: Landmarks, marked: _PoseEstimate) -> bool:
    """Whether by its landmarks the scan lies on the mean face, or some lie on it; those of another frame do neither."""
    if assess_fit(points, marked.pose).confidence >= TRUSTED:
        return True
    tracked = landmarks[~np.isnan(landmarks).any(axis=1)]
    return float((cKDTree(points).query(tracked)[0] < NEAR).mean()) >= MIN_NEAR


def _difference(one: Pose, other: Pose) -> tuple[float, float]:
    """Degrees between two poses, and the mean distance of the mean face's landmarks between them, mm."""
    between = one @ np.linalg.inv(other)
    there = apply_pose(MEAN_LANDMARKS, between)
    return turned_by(between[:3, :3]), float(np.linalg.norm(there - MEAN_LANDMARKS, axis=1).mean())


def _by_landmarks(landmarks: Landmarks, unit: str, size: float | None) -> _PoseEstimate:
    fit = fit_landmarks(landmarks)
    named = apply_pose(swap_sides(landmarks) if fit.mirrored else landmarks, fit.pose)
    return _PoseEstimate("landmarks", fit.pose, fit.confidence, fit.residual, unit, named, size, fit.mirrored)


def _by_shape(points: Points, unit: str, most: float, doubt: str) -> _PoseEstimate:
    fit = fit_shape(points)
    return _PoseEstimate("shape", fit.pose, most * fit.confidence, fit.residual, unit, doubt=doubt)


def _findings(estimate: _PoseEstimate, position: str, seen: float) -> Iterator[tuple[str, str]]:
    unit, size = estimate.unit, estimate.size
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
