"""Pose and landmarks of a scan without landmark files: a face detector on renderings of the scan's depth.

The scan is rendered in several orientations, its own first. Landmarks found in an image are lifted to the surface and
fitted to the mean landmarks, in any scale; the pose is refined on renderings from the front. What is left of their
distances to the mean corrects the rotation by ridge regression: a long nose is told from a bent head. Depths are
smoothed before they are shaded, so that noise, density and topology of the mesh hardly matter.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from affect4d.array_types import Faces, Vertices
from affect4d.scans.alignment.face_landmarker import detect_landmarks
from affect4d.scans.geometry import fit_points
from affect4d.scans.mesh_to_depth_image import depth_image

DetectedPoints = Float64[np.ndarray, "478 3"]
MEAN_LANDMARKS_FILE = Path(__file__).parent / "mean_detected_landmarks.csv"
"""Mean canonical places of the 478 landmarks on synthetic faces, mm, their weights in a fit, and 1000 times the degrees
by which a mm of distance to the mean place, along each axis, turns the face about each; ``scripts/mean_landmarks.py``
makes it."""

SEARCH_SIZE, REFINE_SIZE = 160, 256
"""Side of the renderings in which a face is searched, and from which its pose is refined, pixels."""
HALF_WIDTH = 115.0  # half the side of the refining rendering, mm
TURNING_AXIS = np.array([0.0, -5.0, -40.0])  # middle of the refining renderings, canonical, mm
SIDE_YAWS = (-12.0, 12.0)
"""Directions, in degrees, of the renderings beside the one from the front, where that one leaves doubt."""
CLEAR, STILL = 3.0, 8.0
"""Residual, mm, up to which one rendering from the front suffices, if it turns the face by no more degrees."""
LARGEST_DISTANCE = 12.0  # of a landmark to its mean place along an axis, mm, in the correction of the rotation
SMOOTHING = ((0.12, 1.0), (0.3, 2.0), (np.inf, 3.0))
"""Roughness of a depth image up to which it is smoothed by how much, both in pixels."""
LIGHT = np.array([0.15, 0.35, 0.9]) / np.linalg.norm([0.15, 0.35, 0.9])
SKIN, BACKGROUND, AMBIENT = np.array([224.0, 172.0, 150.0]), 40, 0.25

MIN_VISIBLE = 200  # landmarks on the surface below which no pose is fitted
OUTLIER = 6.0  # distance to the mean landmarks, mm, at which a landmark counts for half
SCALES = 0.3, 3.0  # sizes of a face relative to the mean one's that a refinement may find; others are no faces
SURE, DOUBTFUL = 4.0, 4.7  # residual, mm, below which a pose ends the search; and above which it does not end it
MAX_RENDERINGS = 90  # after which a search ends
BESIDE, MIN_TRIANGLES = 105.0, 300
"""Distance from the nose tip, mm, seen from the front, from which on a second face is searched, if so much is there."""
HALF_CONFIDENCE = 4.9
"""Residual, mm, at which the confidence in a pose is one half: right poses of synthetic heads have up to
4.7, wrong ones from 5.0, and balls with bumps from 6.4."""


@dataclass(frozen=True, slots=True)
class DetectedPose:
    """A scan's pose by detected landmarks: canonical point = ``scale`` · ``rotation`` · point + ``shift``."""

    rotation: Float64[np.ndarray, "3 3"]
    scale: float  # millimetres of the mean face in a unit of the scan
    shift: Float64[np.ndarray, "3"]
    landmarks: DetectedPoints  # canonical, in the mean face's size; NaN where they lie on no surface
    residual: float  # weighted median distance to the mean landmarks, mm

    @property
    def confidence(self) -> float:
        """1 where the landmarks lie on the mean ones, one half at ``HALF_CONFIDENCE``, towards 0 beyond."""
        return 1 / (1 + (self.residual / HALF_CONFIDENCE) ** 6)


@dataclass(frozen=True, slots=True)
class Similarity:
    """A rotation, scale and shift, and how well it brings landmarks onto the mean ones."""

    rotation: np.ndarray
    scale: float
    shift: np.ndarray
    residual: float = 0.0

    def after(self, first: "Similarity") -> "Similarity":
        """This one applied to what the first one gives."""
        shift = self.scale * self.rotation @ first.shift + self.shift
        return Similarity(self.rotation @ first.rotation, self.scale * first.scale, shift, self.residual)

    def apply(self, points: np.ndarray) -> np.ndarray:
        """The points moved, in their own precision."""
        return np.ascontiguousarray(self.scale * points @ self.rotation.T + self.shift, points.dtype)


UNMOVED = Similarity(np.eye(3), 1.0, np.zeros(3))


def detect_upright_pose(vertices: Vertices, faces: Faces) -> DetectedPose | None:
    """The pose of the face in a scan that stands nearly upright and looks roughly to +z; None where none is found.

    Raises:
        PretrainedModelMissingError: If there is no detector.
    """
    rough = _rough_pose(vertices, faces, np.eye(3), _box(vertices))
    return None if rough is None else refine_pose(vertices, faces, rough)


def detect_pose(vertices: Vertices, faces: Faces) -> DetectedPose | None:
    """The pose of the face in a scan of any unit and orientation; None where no face is found.

    After a doubtful pose, the same face the other way up is tried next: detectors take some for upright.

    Raises:
        PretrainedModelMissingError: If there is no detector.
    """
    box = _box(vertices)
    best: DetectedPose | None = None
    queue, renderings, tries_inverted = list(_orientations()), 0, False
    while queue and renderings < MAX_RENDERINGS:
        rotation = queue.pop(0)
        rough = _rough_pose(vertices, faces, rotation, box)
        pose = None if rough is None else refine_pose(vertices, faces, rough)
        renderings += 1 if rough is None else 4
        better = pose is not None and (best is None or pose.residual < best.residual)
        best = pose if better else best
        if best is not None and (best.residual < SURE or (tries_inverted and best.residual < DOUBTFUL)):
            break
        tries_inverted = better
        if pose is not None and better:
            queue.insert(0, np.diag([-1.0, -1.0, 1.0]) @ pose.rotation)
    return best


def _box(vertices: Vertices) -> Float64[np.ndarray, "2 3"]:
    """Least and greatest coordinates of all but the outermost points."""
    low, high = np.percentile(vertices[:: max(1, len(vertices) // 4000)], [0.5, 99.5], axis=0)
    return np.stack([low, high])


def _rough_pose(
    vertices: Vertices, faces: Faces, rotation: Float64[np.ndarray, "3 3"], box: Float64[np.ndarray, "2 3"]
) -> Similarity | None:
    """The pose by one small rendering of all that is in a box, turned by a rotation; None where no face is found."""
    view = 1.0 / float(0.41 * np.linalg.norm(box[1] - box[0]))
    placed = Similarity(rotation, view, -view * rotation @ box.mean(axis=0))
    seen = detect_on_surface(placed.apply(vertices), faces, SEARCH_SIZE, 1.0)
    rough = None if seen is None else fit_similarity(seen, *mean_landmarks())
    return None if rough is None else rough.after(placed)


def second_face(vertices: Vertices, faces: Faces, first: DetectedPose) -> DetectedPose | None:
    """Another face beside a detected one that looks the same way; None where there is none.

    Its pose is relative to the first one's canonical frame.
    """
    placed = Similarity(first.rotation, first.scale, first.shift).apply(vertices)
    beside = np.hypot(placed[:, 0], placed[:, 1]) > BESIDE
    rest = faces[beside[faces].all(axis=1)]
    if len(rest) < MIN_TRIANGLES:
        return None
    rough = _rough_pose(placed, rest, np.eye(3), _box(placed[rest.ravel()]))
    return None if rough is None else refine_pose(placed, rest, rough)


def refine_pose(vertices: Vertices, faces: Faces, start: Similarity = UNMOVED) -> DetectedPose | None:
    """The pose of a face that stands near the mean one: by one rendering, and three more where that leaves doubt."""
    near = _fitted([landmarks_from(start.apply(vertices), faces, 0.0)])
    if near is None or not SCALES[0] < near[0].scale < SCALES[1]:
        return None
    fit, landmarks = near
    pose = fit.after(start)
    if fit.residual > CLEAR or np.degrees(Rotation.from_matrix(fit.rotation).magnitude()) > STILL:
        placed = pose.apply(vertices)
        final = _fitted([landmarks_from(placed, faces, yaw) for yaw in (0.0, *SIDE_YAWS)])
        if final is None:
            return None
        fit, landmarks = final
        pose = fit.after(pose)
    canonical = fit.apply(landmarks)
    correction = rotation_correction(canonical)
    pose = correction.after(pose)
    return DetectedPose(pose.rotation, pose.scale, pose.shift, correction.apply(canonical), fit.residual)


def _fitted(views: list[DetectedPoints | None]) -> tuple[Similarity, DetectedPoints] | None:
    """Mean landmarks of some views and their fit to the mean face; None where they are too few."""
    seen = [view for view in views if view is not None]
    if not seen:
        return None
    landmarks = np.mean(seen, axis=0)  # NaN where a view has no surface
    fit = fit_similarity(landmarks, *mean_landmarks())
    return None if fit is None else (fit, landmarks)


def rotation_correction(canonical: DetectedPoints) -> Similarity:
    """The turn about the middle of the face that fitted landmarks' distances to their mean places foretell."""
    mean, _ = mean_landmarks()
    distances = np.nan_to_num(canonical - mean).clip(-LARGEST_DISTANCE, LARGEST_DISTANCE)
    turn = Rotation.from_rotvec(-np.tensordot(distances, turns_of_distances(), 2), degrees=True).as_matrix()
    middle = mean.mean(axis=0)
    return Similarity(turn, 1.0, middle - turn @ middle)


def landmarks_from(vertices: Vertices, faces: Faces, yaw: float) -> DetectedPoints | None:
    """Landmarks, in the canonical frame, of a canonical face seen from the side by some degrees."""
    turn = Rotation.from_euler("y", yaw, degrees=True).as_matrix()
    turned = np.ascontiguousarray((vertices - TURNING_AXIS) @ turn.T, np.float32)
    seen = detect_on_surface(turned, faces)
    return None if seen is None else seen @ turn + TURNING_AXIS


def detect_on_surface(
    vertices: Vertices, faces: Faces, size: int = REFINE_SIZE, half_width: float = HALF_WIDTH
) -> DetectedPoints | None:
    """Landmarks of the face seen from +z, on the surface, in the frame of the vertices; NaN beside the surface.

    Args:
        size: Side of the rendering, pixels.
        half_width: Half its side, in the unit of the vertices.

    Raises:
        PretrainedModelMissingError: If there is no detector.
    """
    pixels = size / (2 * half_width)
    depths = smooth_depths(depth_image(vertices, faces, size, half_width) * pixels)
    places = detect_landmarks(_shaded(depths))
    return None if places is None else _lifted(places, depths) / pixels


def relief_image(vertices: Vertices, faces: Faces) -> UInt8[np.ndarray, "size size 3"]:
    """The refining rendering of a canonical face (mm): its smoothed depth seen from the front, shaded."""
    pixels = REFINE_SIZE / (2 * HALF_WIDTH)
    return _shaded(smooth_depths(depth_image(vertices, faces, REFINE_SIZE, HALF_WIDTH) * pixels))


def smooth_depths(depths: Float32[np.ndarray, "size size"]) -> Float32[np.ndarray, "size size"]:
    """Depths in pixels, smoothed the more the rougher they are; small holes are filled, the rest is NaN."""
    there = np.isfinite(depths)
    heights = np.where(there, depths, 0).astype(np.float32)

    def blur(width: float) -> tuple[np.ndarray, np.ndarray]:
        weight = gaussian_filter(there.astype(np.float32), width)
        return gaussian_filter(heights, width) / np.maximum(weight, 1e-3), weight

    smooth, weight = blur(1.0)
    inside = there & (weight > 0.999)
    rough = float(np.median(np.abs(heights - smooth)[inside])) if inside.any() else 0.0
    width = next(width for roughness, width in SMOOTHING if rough < roughness)
    if width != 1.0:
        smooth, weight = blur(width)
    return np.where(weight > 0.5, smooth, np.nan).astype(np.float32)


def _shaded(depths: Float32[np.ndarray, "size size"]) -> UInt8[np.ndarray, "size size 3"]:
    """A skin-coloured image of the relief, lit from the upper front."""
    down, across = np.gradient(depths)
    brightness = (-across * LIGHT[0] + down * LIGHT[1] + LIGHT[2]) / np.sqrt(1 + across**2 + down**2)
    lit = SKIN * (AMBIENT + (1 - AMBIENT) * np.nan_to_num(brightness).clip(0, 1)[..., None])
    return np.where(np.isfinite(depths)[..., None], lit, BACKGROUND).astype(np.uint8)


def _lifted(places: Float64[np.ndarray, "478 2"], depths: Float32[np.ndarray, "size size"]) -> DetectedPoints:
    """Landmarks on the surface, in pixels from the middle of the image, +y up; NaN where there is none."""
    size = len(depths)
    columns, rows = np.rint(places * size - 0.5).astype(int).T
    inside = (columns >= 0) & (columns < size) & (rows >= 0) & (rows < size)
    heights = np.where(inside, depths[rows.clip(0, size - 1), columns.clip(0, size - 1)], np.nan)
    points = np.stack([(places[:, 0] - 0.5) * size, (0.5 - places[:, 1]) * size, heights], axis=1)
    points[~np.isfinite(heights)] = np.nan
    return points


def fit_similarity(
    points: DetectedPoints, reference: DetectedPoints, trust: Float64[np.ndarray, "478"]
) -> Similarity | None:
    """The similarity that brings landmarks onto reference ones, by weighted least squares (Umeyama 1991).

    Landmarks far from their place weigh less. None where fewer than ``MIN_VISIBLE`` lie on the surface.
    """
    there = ~np.isnan(points).any(axis=1)
    if there.sum() < MIN_VISIBLE:
        return None
    points, reference, trust = points[there], reference[there], trust[there]
    weights = trust
    for _ in range(6):
        rotation, scale, shift = fit_points(points, reference, weights, scaled=True)
        distances = np.linalg.norm(scale * points @ rotation.T + shift - reference, axis=1)
        weights = trust / (1 + (distances / OUTLIER) ** 2)
    return Similarity(rotation, scale, shift, _weighted_median(distances, trust))


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


@functools.cache
def mean_landmarks() -> tuple[DetectedPoints, Float64[np.ndarray, "478"]]:
    """Mean canonical landmarks, mm, and the weight of each in a fit of the pose."""
    table = _table()
    return table[:, :3], table[:, 3]


@functools.cache
def turns_of_distances() -> Float64[np.ndarray, "478 3 3"]:
    """Degrees about each axis (last) for a mm of each landmark's distance to its mean place along each axis."""
    return _table()[:, 4:].reshape(-1, 3, 3) / 1000


@functools.cache
def _table() -> Float64[np.ndarray, "478 13"]:
    return np.loadtxt(MEAN_LANDMARKS_FILE, delimiter=",", skiprows=1)


@functools.cache
def _orientations() -> tuple[Float64[np.ndarray, "3 3"], ...]:
    """Rotations of a scan's frame: its own, half and quarter turns, then turns between them, the likely ones first."""
    likely = [("z", 0), ("z", 180), ("y", 180), ("x", -90), ("x", 90), ("z", 90), ("z", -90), ("y", 90), ("y", -90)]
    turns = [Rotation.from_euler(axis, angle, degrees=True) for axis, angle in likely]
    turns += list(Rotation.create_group("O"))
    tilts = [("y", 45), ("y", -45), ("x", 35), ("x", -35), ("z", 45)]
    turns += [Rotation.from_euler(axis, angle, degrees=True) * turn for axis, angle in tilts for turn in turns[:]]
    distinct: list[np.ndarray] = []
    for turn in turns:
        matrix = turn.as_matrix()
        if not any(np.allclose(matrix, other) for other in distinct):
            distinct.append(matrix)
    return tuple(distinct)
