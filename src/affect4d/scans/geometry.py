"""From a scan's own coordinates to the canonical pose, and to the part of it that is a face.

The canonical frame is that of a mean face (:data:`TEMPLATE`) whose nose tip is the origin: millimetres, +x to the
subject's left, +y up, +z out of the face. Poses are rigid; they scale only where a scan's extent shows another unit.
"""

from dataclasses import dataclass
from dataclasses import replace as with_changes

import numpy as np
from scipy.spatial.transform import Rotation

from affect4d.arrays import Faces, Landmarks, Pose, Vertices
from affect4d.scans.landmarks import MIRROR, RIGID
from affect4d.scans.scan import FaceScan

MIN_RIGID_LANDMARKS = 4
LANDMARK_RESIDUAL = 12.0
"""Root mean square distance, in mm, of rigid landmarks to the template at which confidence has fallen to one half."""
SEARCH_RADIUS = 70.0
FACE_RADIUS = 80.0
MAX_TILT = 40.0
MAX_ROLL = 24
BLIND_CONFIDENCE = 0.4
"""Confidence of a pose found without landmarks, at best."""

_RIGHT_HALF = {
    **dict(
        zip(
            range(8),
            [
                (-45, 38, -42), (-38, 42, -38), (-30, 43.5, -35.5), (-22, 41, -35),
                (-16, 36.5, -36), (-22, 34, -36), (-30, 32.5, -36), (-38, 33.5, -39),
            ],
            strict=True,
        )
    ),
    **dict(
        zip(
            range(16, 26),
            [
                (-56, 54, -44), (-46, 61, -34), (-36, 62.5, -28), (-25, 60, -24), (-14, 55, -22),
                (-14, 50, -23), (-25, 54, -26), (-36, 56, -30), (-46, 55, -36), (-55, 50, -45),
            ],
            strict=True,
        )
    ),
    **dict(
        zip(
            range(36, 42),
            [(-9, 36, -22), (-12, 16, -20), (-15, 4, -16), (-18, -5, -20), (-9, -10, -14), (0, -13, -17)],
            strict=True,
        )
    ),
    47: (0, 0, 0),
    **dict(zip(range(48, 52), [(-26, -36, -33), (-17, -30, -23), (-7, -26.5, -17), (0, -28, -16)], strict=True)),
    **dict(zip(range(57, 60), [(0, -48, -21), (-8, -47, -21.5), (-17, -43, -25)], strict=True)),
    **dict(zip(range(60, 63), [(-22, -36, -30), (-9, -35, -21), (0, -35.5, -20)], strict=True)),
    **dict(zip(range(66, 68), [(0, -37.5, -20.5), (-9, -37, -21)], strict=True)),
    **dict(
        zip(
            range(68, 76),
            [
                (-72, 30, -95), (-71, 10, -92), (-69, -10, -86), (-65, -30, -76),
                (-57, -50, -62), (-43, -67, -54), (-24, -79, -42), (0, -84, -36),
            ],
            strict=True,
        )
    ),
}  # fmt: skip


def _mirrored_template() -> Landmarks:
    points = np.full((len(MIRROR), 3), np.nan)
    rows = list(_RIGHT_HALF)
    points[rows] = list(_RIGHT_HALF.values())
    points[np.array(MIRROR)[rows]] = np.array(list(_RIGHT_HALF.values())) * (-1, 1, 1)
    return points.astype(np.float32)


TEMPLATE: Landmarks = _mirrored_template()
"""Mean landmarks [83, 3] in mm, nose tip at the origin, mirror-symmetric; plain plausible numbers [ours], of no
person."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """How a scan gets to the canonical frame, and how far to trust that.

    Attributes:
        pose: Raw coordinates to canonical ones.
        confidence: 0 (a guess) to 1 (rigid landmarks lie on the template).
        notes: What was assumed, in words.
    """

    pose: Pose
    confidence: float
    notes: tuple[str, ...] = ()


def unit_scale(vertices: Vertices) -> float:
    """Millimetres in one unit of a scan, told from its largest extent: 1000 (metres), 10 (centimetres) or 1."""
    extent = float(np.ptp(vertices, axis=0).max())
    if extent < 1.5:
        return 1000.0
    return 10.0 if extent < 45 else 1.0


def align_to_template(landmarks: Landmarks, scale: float = 1.0) -> Pose:
    """Rigid pose that brings the rigid landmarks onto the template's in the least-squares sense (Kabsch 1976).

    Args:
        landmarks: [83, 3] in the scan's frame; rows of NaN are ignored.
        scale: Millimetres in one unit of the scan.

    Raises:
        ValueError: If fewer than four rigid landmarks are tracked, or if they lie on one line.
    """
    rigid = np.array(RIGID)
    tracked = rigid[~np.isnan(landmarks[rigid]).any(axis=1)]
    if len(tracked) < MIN_RIGID_LANDMARKS:
        raise ValueError(f"{len(tracked)} rigid landmarks are tracked, at least {MIN_RIGID_LANDMARKS} are needed.")
    points = landmarks[tracked].astype(np.float64) * scale
    targets = TEMPLATE[tracked].astype(np.float64)
    covariance = (points - points.mean(axis=0)).T @ (targets - targets.mean(axis=0))
    left, strengths, right = np.linalg.svd(covariance)
    if strengths[1] <= 1e-9 * max(strengths[0], 1e-300):
        raise ValueError("The rigid landmarks lie on one line: they fix no pose.")
    handedness = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left @ handedness @ right).T
    return pose_of(rotation * scale, targets.mean(axis=0) - rotation @ points.mean(axis=0))


def pose_of(linear: np.ndarray, translation: np.ndarray) -> Pose:
    """The 4 by 4 pose of a linear part and a translation."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = linear, translation
    return pose


def apply_pose(points: Vertices, pose: Pose) -> Vertices:
    """Points moved by a pose; rows of NaN stay so."""
    moved: Vertices = (points.astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]).astype(np.float32)
    return moved


def align(scan: FaceScan) -> Alignment:
    """The pose of a scan: by landmarks where enough are tracked, else by its shape.

    Raises:
        ValueError: If neither way finds a pose.
    """
    scale = unit_scale(scan.vertices)
    unit = (f"unit taken to be {1 / scale:g} per mm",) if scale != 1 else ()
    if scan.landmarks is not None:
        try:
            pose = align_to_template(scan.landmarks, scale)
        except ValueError as error:
            unit = (*unit, str(error))
        else:
            return Alignment(pose, landmark_confidence(apply_pose(scan.landmarks, pose)), unit)
    pose, confidence = align_without_landmarks(scan.vertices)
    return Alignment(pose, confidence, (*unit, "aligned by shape, without landmarks"))


def landmark_confidence(canonical: Landmarks) -> float:
    """1 where the rigid landmarks lie on the template, one half at ``LANDMARK_RESIDUAL`` mm, towards 0 beyond."""
    rigid = list(RIGID)
    squares = np.square(canonical[rigid].astype(np.float64) - TEMPLATE[rigid]).sum(axis=1)
    return float(1 / (1 + np.nanmean(squares) / LANDMARK_RESIDUAL**2))


def align_without_landmarks(vertices: Vertices) -> tuple[Pose, float]:
    """A pose from the shape alone, for a face that stands roughly upright and looks roughly at +z [ours].

    A face seen from behind is turned round; the nose tip is the point that stands out most from a smooth (quadratic)
    surface near the middle; pitch and yaw come from the mean orientation (smallest principal axis) of the surface
    around it, roll from its mirror symmetry.

    Returns:
        The pose, and a confidence of at most ``BLIND_CONFIDENCE``.

    Raises:
        ValueError: If too few points lie around the middle.
    """
    scale = unit_scale(vertices)
    points = vertices.astype(np.float64) * scale
    turned = _curves_away(points)
    rotation = np.diag([-1.0, 1.0, -1.0]) if turned else np.eye(3)
    tip = _nose_tip(points @ rotation.T, np.median(points @ rotation.T, axis=0))
    tilt = 0.0
    for _ in range(3):
        step = _facing(points @ rotation.T - tip)
        rotation = step.as_matrix() @ rotation
        tilt += float(np.degrees(step.magnitude()))
        tip = _nose_tip(points @ rotation.T, step.apply(tip))
    roll = _roll(points @ rotation.T - tip)
    rotation, tip = roll.as_matrix() @ rotation, roll.apply(tip)
    tilt += float(np.degrees(roll.magnitude()))
    confidence = BLIND_CONFIDENCE * max(0.1, 1 - tilt / 90) * (0.5 if turned else 1.0)
    return pose_of(rotation * scale, -tip), confidence


def _curves_away(points: np.ndarray) -> bool:
    """Whether the surface bulges towards −z, so that the face is seen from behind."""
    offset = points - np.median(points, axis=0)
    near = offset[np.hypot(offset[:, 0], offset[:, 1]) < FACE_RADIUS]
    return bool(_quadratic(near)[3:].sum() > 0) if len(near) >= 10 else False


def _quadratic(points: np.ndarray) -> np.ndarray:
    """Coefficients of z on 1, x, y, x², y²."""
    solution: np.ndarray = np.linalg.lstsq(_basis(points), points[:, 2], rcond=None)[0]
    return solution


def _basis(points: np.ndarray) -> np.ndarray:
    x, y = points[:, 0], points[:, 1]
    return np.stack([np.ones_like(x), x, y, x**2, y**2], axis=1)


def _nose_tip(points: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The foremost place near the middle that stands out from a smooth surface: a median of points, not one spike."""
    near = points[np.hypot(points[:, 0] - middle[0], points[:, 1] - middle[1]) < SEARCH_RADIUS]
    if len(near) < 10:
        raise ValueError("Fewer than 10 points lie around the middle of the scan: no nose to align by.")
    height = near[:, 2] - _basis(near - middle) @ _quadratic(near - middle)
    count = max(3, len(near) // 400)
    ridge = np.median(near[np.argpartition(height, -count)[-count:]], axis=0)
    around = near[np.linalg.norm(near - ridge, axis=1) < 25]
    if len(around) < 3:
        return np.asarray(ridge)
    count = max(3, len(around) // 100)
    tip: np.ndarray = np.median(around[np.argpartition(around[:, 2], -count)[-count:]], axis=0)
    return tip


def _facing(centred: np.ndarray) -> Rotation:
    """The rotation that turns the mean surface around the nose towards +z, by at most ``MAX_TILT`` degrees."""
    face = centred[np.linalg.norm(centred, axis=1) < FACE_RADIUS]
    if len(face) < 10:
        raise ValueError("Fewer than 10 points lie around the nose: no face to align by.")
    normal = np.linalg.svd(np.cov(face.T))[0][:, 2]
    normal = normal * np.sign(normal[2] or 1.0)
    axis = np.cross(normal, [0, 0, 1])
    sine = float(np.linalg.norm(axis))
    angle = min(float(np.arctan2(sine, normal[2])), np.radians(MAX_TILT))
    return Rotation.from_rotvec(axis / sine * angle) if sine > 1e-9 else Rotation.identity()


def _roll(centred: np.ndarray) -> Rotation:
    """The turn in the picture plane, by at most ``MAX_ROLL`` degrees, after which left and right are most alike."""
    face = centred[np.hypot(centred[:, 0], centred[:, 1]) < SEARCH_RADIUS]
    face = face[:: max(1, len(face) // 6000)]
    coarse = np.arange(-MAX_ROLL, MAX_ROLL + 1, 2.0)
    best = coarse[np.argmin([_asymmetry(face, angle) for angle in coarse])]
    fine = best + np.arange(-2, 2.1, 0.5)
    return Rotation.from_euler("z", fine[np.argmin([_asymmetry(face, angle) for angle in fine])], degrees=True)


def _asymmetry(points: np.ndarray, angle: float) -> float:
    """Mean difference, in mm, of the depths left and right after a turn in the picture plane, in cells of 5 mm."""
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    cells = int(2 * SEARCH_RADIUS // 5)
    column = (cosine * points[:, 0] - sine * points[:, 1] + SEARCH_RADIUS) // 5
    row = (sine * points[:, 0] + cosine * points[:, 1] + SEARCH_RADIUS) // 5
    cell = (row * cells + column).astype(np.int64).clip(0, cells**2 - 1)
    counts = np.bincount(cell, minlength=cells**2).reshape(cells, cells)
    depths = np.bincount(cell, points[:, 2], minlength=cells**2).reshape(cells, cells) / np.maximum(counts, 1)
    both = (counts > 0) & (counts[:, ::-1] > 0)
    return float(np.abs(depths - depths[:, ::-1])[both].mean()) if both.any() else np.inf


def transform(scan: FaceScan, pose: Pose) -> FaceScan:
    """The scan with vertices and landmarks moved by a pose."""
    landmarks = None if scan.landmarks is None else apply_pose(scan.landmarks, pose)
    return with_changes(scan, vertices=apply_pose(scan.vertices, pose), landmarks=landmarks)


def crop(scan: FaceScan, radius: float) -> FaceScan:
    """The triangles wholly within a radius (mm) of the origin, the nose tip; vertices that none uses are dropped.

    Raises:
        ValueError: If no triangle is left.
    """
    inside = np.einsum("ij,ij->i", scan.vertices, scan.vertices) <= radius**2
    faces = scan.faces[inside[scan.faces].all(axis=1)]
    if len(faces) == 0:
        raise ValueError(f"No triangle lies within {radius:g} mm of the nose tip.")
    used = np.zeros(len(scan.vertices), dtype=bool)
    used[faces] = True
    renumbered = (np.cumsum(used) - 1).astype(np.int32)
    coordinates = None if scan.texture_coordinates is None else scan.texture_coordinates[used]
    return with_changes(scan, vertices=scan.vertices[used], faces=renumbered[faces], texture_coordinates=coordinates)


def turn_outward(scan: FaceScan) -> FaceScan:
    """The scan with its triangles counter-clockwise seen from +z, where most of them are not."""
    if _double_areas(scan.vertices, scan.faces)[:, 2].sum() >= 0:
        return scan
    return with_changes(
        scan, faces=np.ascontiguousarray(scan.faces[:, ::-1]), repairs=(*scan.repairs, "triangles turned outward")
    )


def vertex_normals(vertices: Vertices, faces: Faces) -> Vertices:
    """Unit normals at the vertices, each the area-weighted mean of its triangles'.

    Returns:
        ``float32`` [vertices, 3]; a vertex without area has the normal (0, 0, 1).
    """
    areas = _double_areas(vertices, faces)
    corners = faces.ravel()
    sums = np.stack(
        [np.bincount(corners, np.repeat(areas[:, axis], 3), minlength=len(vertices)) for axis in range(3)], axis=1
    )
    lengths = np.linalg.norm(sums, axis=1)
    sums[lengths < 1e-12], lengths[lengths < 1e-12] = (0, 0, 1), 1
    normals: Vertices = (sums / lengths[:, None]).astype(np.float32)
    return normals


def _double_areas(vertices: Vertices, faces: Faces) -> np.ndarray:
    """Normals of the triangles, as long as twice their area."""
    first, second, third = (vertices[faces[:, corner]] for corner in range(3))
    return np.cross(second - first, third - first)
