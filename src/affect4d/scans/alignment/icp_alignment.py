"""Alignment by shape alone: ICP of the scan onto the mean face from several nose candidates; the best fit stays.

A point's plane is looked up in a grid, so that a step costs no search.

Neck, hair and shoulders lie beside the mean face or far from it, and weigh nothing. Every fit is tried upside down as
well, and a scan that fits neither way is tried in the other rotations of a cube.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_changes

import numpy as np
from jaxtyping import Float64
from scipy.ndimage import maximum_filter, uniform_filter
from scipy.spatial.transform import Rotation

from affect4d.array_types import Pose
from affect4d.jit import Array, Number, compiled
from affect4d.scans.alignment.mean_face import FAR, DepthSurface, mean_surface
from affect4d.scans.geometry import pose_of

Points = Float64[np.ndarray, "points 3"]

CUBE = 6.0  # side of the cubes, in mm, for all that is measured on a downsampled scan
MAX_SAMPLE = 12_000
MAX_EXTENT_FROM_MEDIAN = 450.0
"""Points farther than this from the middle of the scan along any axis, in mm, are left out."""


def voxel_downsample(points: Points, side: float = CUBE) -> Points:
    """Means of the points in every cube of that side, in mm; strays far from the middle are left out."""
    axes = np.ascontiguousarray(points[:: max(1, -(-len(points) // MAX_SAMPLE))].T)
    if axes.size:
        axes = axes[:, (np.abs(axes - np.median(axes, axis=1)[:, None]) < MAX_EXTENT_FROM_MEDIAN).all(axis=0)]
    if axes.size == 0:
        return np.empty((0, 3))
    cube = ((axes - axes.min(axis=1)[:, None]) / side).astype(np.int64)
    sizes = cube.max(axis=1) + 1
    _, place, counts = np.unique(
        (cube[0] * sizes[1] + cube[1]) * sizes[2] + cube[2], return_inverse=True, return_counts=True
    )
    sums = np.stack([np.bincount(place, axis) for axis in axes], axis=1)
    return np.asarray(sums / counts[:, None])


Rotations = Float64[np.ndarray, "starts 3 3"]
Shifts = Float64[np.ndarray, "starts 3"]

STIFFNESS = (10.0, 10.0, 10.0, 0.1, 0.1, 0.1)
"""Added to the equations of a step (three turns, in mm², three shifts): it stays put where nothing is seen."""
MAX_TURN = 0.3  # of one step and axis, radians


def point_to_plane_icp(
    points: Points,
    rotations: Rotations,
    shifts: Shifts,
    tolerances: Sequence[float],
    surface: DepthSurface | None = None,
) -> tuple[Rotations, Shifts]:
    """Move every start towards a surface, by default the mean one.

    A step's tolerance is the mm at which a point weighs a quarter.
    """
    surface = surface or mean_surface()
    grid = surface.planes, surface.columns, surface.rows, *surface.corner, surface.spacing
    starts = zip(np.ascontiguousarray(rotations), np.ascontiguousarray(shifts), strict=True)
    ends = [_registered(points, *start, np.array(tolerances), np.array(STIFFNESS), *grid) for start in starts]
    moved, shifted = zip(*ends, strict=True) if ends else ((), ())
    return np.array(moved).reshape(-1, 3, 3), np.array(shifted).reshape(-1, 3)


@compiled
def _registered(
    points: Array,
    rotation: Array,
    shift: Array,
    tolerances: Array,
    stiffness: Array,
    planes: Array,
    columns: Number,
    rows: Number,
    least_x: Number,
    least_y: Number,
    spacing: Number,
) -> tuple[Array, Array]:
    """Rotation and shift after one Gauss-Newton step for every tolerance."""
    slope = np.empty(6)
    for tolerance in tolerances:
        matrix, side = np.diag(stiffness), np.zeros(6)
        for number in range(len(points)):
            p, q, r = points[number, 0], points[number, 1], points[number, 2]
            x = rotation[0, 0] * p + rotation[0, 1] * q + rotation[0, 2] * r + shift[0]
            y = rotation[1, 0] * p + rotation[1, 1] * q + rotation[1, 2] * r + shift[1]
            z = rotation[2, 0] * p + rotation[2, 1] * q + rotation[2, 2] * r + shift[2]
            column = int(min(max(0.0, (x - least_x) / spacing), columns - 1.0))  # 0 of NaN
            row = int(min(max(0.0, (y - least_y) / spacing), rows - 1.0))
            cell = row * columns + column
            a, b, c = planes[cell, 0], planes[cell, 1], planes[cell, 2]
            distance = a * x + b * y + c * z + planes[cell, 3]
            weight = 1.0 / (1.0 + (distance / tolerance) ** 2) ** 2
            slope[0], slope[1], slope[2] = y * c - z * b, z * a - x * c, x * b - y * a
            slope[3], slope[4], slope[5] = a, b, c
            for i in range(6):
                weighted = weight * slope[i]
                side[i] -= weighted * distance
                for j in range(6):
                    matrix[i, j] += weighted * slope[j]
        step = np.linalg.solve(matrix, side)
        turn = _rotation_of(np.minimum(np.maximum(step[:3], -MAX_TURN), MAX_TURN))
        rotation, shift = turn @ rotation, turn @ shift + step[3:]
    return rotation, shift


@compiled
def _rotation_of(vector: Array) -> Array:
    """The rotation by a vector's length in radians, about its direction (Rodrigues)."""
    angle = max(np.sqrt((vector * vector).sum()), 1e-12)
    x, y, z = vector[0] / angle, vector[1] / angle, vector[2] / angle
    across = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * across + (1.0 - np.cos(angle)) * (across @ across)


def coverage(points: Points, rotations: Rotations, shifts: Shifts, tolerance: float) -> Float64[np.ndarray, " starts"]:
    """How many points lie on the mean face from each start, each by its weight at that tolerance."""
    _, distances = plane_distances(points @ rotations.transpose(0, 2, 1) + shifts[:, None])
    return np.asarray(weights(distances, tolerance).sum(axis=1))


def plane_distances(
    moved: Float64[np.ndarray, "*starts points 3"], surface: DepthSurface | None = None
) -> tuple[Float64[np.ndarray, "*starts points 3"], Float64[np.ndarray, "*starts points"]]:
    """Normals of the planes that canonical points lie over, and their distances to them (huge beside the face)."""
    surface = surface or mean_surface()
    planes = surface.planes[surface.cells(moved)]
    normals = planes[..., :3]
    return normals, np.einsum("...i,...i->...", normals, moved) + planes[..., 3]


def weights(distances: np.ndarray, tolerance: float) -> np.ndarray:
    """Geman-McClure weights: 1 on the surface, a quarter at the tolerance, next to nothing far away."""
    return np.asarray(1 / np.square(1 + np.square(distances / tolerance)))


CELL = 6.0
TIP, SURROUNDINGS = 3, 11  # sides, in cells, of the squares whose mean heights are compared
APART = 7  # side, in cells, of the square in which only the best place counts
MIN_COVERED = 0.35  # share of the surroundings that the scan must cover
FACE_RADIUS = 60.0
MIN_POINTS = 30
NOSE_DEPTH = -4.0  # depth of the mean face's nose in its surroundings, mm


def initial_poses(
    points: Points, positions: Sequence[Float64[np.ndarray, "3 3"]], most: int
) -> tuple[Rotations, Shifts]:
    """Rotations and shifts that bring each candidate onto the mean face's nose, the surface around it facing +z."""
    rotations, shifts = [], []
    for position in positions:
        turned = points @ position.T
        for nose in nose_candidates(turned, most):
            rotation = _facing(turned, nose)
            rotations.append(rotation @ position)
            shifts.append(np.array([0.0, 0.0, NOSE_DEPTH]) - rotation @ nose)
    return np.array(rotations).reshape(-1, 3, 3), np.array(shifts).reshape(-1, 3)


@functools.cache
def cube_positions() -> tuple[Float64[np.ndarray, "3 3"], ...]:
    """The 23 rotations other than none that take the axes to the axes."""
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            rotation = np.eye(3)[list(order)] * np.array(signs)[:, None]
            if np.linalg.det(rotation) > 0 and not np.array_equal(rotation, np.eye(3)):
                found.append(rotation)
    return tuple(found)


def nose_candidates(points: Points, most: int) -> Points:
    """Places that stand out most from the surface around them, seen from +z; the best first."""
    low = points[:, :2].min(axis=0)
    cell = ((points[:, :2] - low) / CELL).astype(np.int64)
    columns, rows = cell.max(axis=0) + 1
    heights = np.full(columns * rows, -np.inf)
    np.maximum.at(heights, cell[:, 0] * rows + cell[:, 1], points[:, 2])
    seen = np.isfinite(heights).reshape(columns, rows)
    front = np.where(seen, heights.reshape(columns, rows), 0.0)
    tip, _ = _means(front, seen, TIP)
    around, density = _means(front, seen, SURROUNDINGS)
    height = np.where(seen & (density > MIN_COVERED), tip - around, -np.inf)
    peaks = np.flatnonzero((height == maximum_filter(height, APART)) & np.isfinite(height))
    peaks = peaks[np.argsort(-height.ravel()[peaks], kind="stable")[:most]]
    column, row = np.divmod(peaks, rows)
    return np.stack([low[0] + (column + 0.5) * CELL, low[1] + (row + 0.5) * CELL, tip.ravel()[peaks]], axis=1)


def _means(front: np.ndarray, seen: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the seen cells of a square around every cell, and their share in it."""
    density = uniform_filter(seen.astype(np.float64), width, mode="constant")
    return uniform_filter(front, width, mode="constant") / np.maximum(density, 1e-9), density


def _facing(points: Points, nose: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    """The rotation that turns the surface around a nose towards +z, by at most 45 degrees."""
    face = points[np.square(points - nose).sum(axis=1) < FACE_RADIUS**2]
    if len(face) < MIN_POINTS:
        return np.eye(3)
    normal = np.linalg.eigh(np.cov(face.T))[1][:, 0]
    normal = normal * np.sign(normal[2] or 1.0)
    axis = np.cross(normal, [0, 0, 1])
    length = float(np.linalg.norm(axis))
    angle = min(float(np.arctan2(length, normal[2])), np.pi / 4)
    turn: np.ndarray = Rotation.from_rotvec(axis / max(length, 1e-9) * angle).as_matrix()
    return turn


COARSE_CUBE = 12.0  # side, in mm, of the cubes of downsampling for the first steps
COARSE_TOLERANCES = (25.0, 15.0, 10.0, 8.0)
FINE_TOLERANCES = (8.0,) * 8
CLOSE = 4.0  # tolerance, in mm, at which outcomes are compared
HEAD_RADIUS = 130.0  # points farther from the nose than this, in mm, take no part in the last steps
UPSIDE_DOWN = np.diag([-1.0, -1.0, 1.0])
UPRIGHT_BONUS = 1.3  # how much better another position must fit than the scan's own
LIKELY = 0.5  # confidence from which on the other positions of a cube are not tried
SEEN_WITHIN = 6.0  # distance to the mean face, in mm, within which a scan covers it
RELIEF_WITHIN = 20.0
RELIEF_HALF_WIDTH, RELIEF_BOTTOM, RELIEF_TOP = 45.0, -60.0, 60.0
"""Part of the face, in mm round the nose tip, whose relief is compared."""


@dataclass(frozen=True, slots=True)
class ShapeFit:
    """How a scan in mm lies on the mean face."""

    pose: Pose
    residual: float  # weighted root mean square distance to the mean surface, mm
    seen: float  # share of the mean face on which the scan lies
    likeness: float  # correlation of reliefs less their quadratic part: 0 for a ball, 0.35 to 0.8 for a face

    @property
    def quality(self) -> float:
        """What fits of one scan are compared by."""
        return max(self.likeness, 0.0) * self.seen**2

    @property
    def confidence(self) -> float:
        """0 (no face there) to 1 (all of it, near the surface, with its relief) [ours, set on tuning subjects]."""
        there, near, alike = (self.seen - 0.6) / 0.25, 3.5 - self.residual, (self.likeness - 0.2) / 0.25
        return float(np.prod(np.clip((there, near, alike), 0.0, 1.0)))


def fit_shape(points: Points) -> ShapeFit:
    """The rigid pose that lays a scan in mm onto the mean face; ValueError if nothing stands out as a nose does."""
    if len(points) < MIN_POINTS:
        raise ValueError(f"Only {len(points)} places are left of the scan after downsampling: too few to align by.")
    middle = np.median(points, axis=0)
    fits = _fits(points - middle, (np.eye(3),), noses=8, finalists=2)
    if not fits or fits[0].confidence < LIKELY:
        fits += _fits(points - middle, cube_positions(), noses=2, finalists=6)
    if not fits:
        raise ValueError("Nothing on the scan stands out as a nose does: no face to align by.")
    best = max(fits, key=_upright_first)
    rotation, shift = best.pose[:3, :3], best.pose[:3, 3]
    return with_changes(best, pose=pose_of(rotation, shift - rotation @ middle))


def assess_fit(points: Points, pose: Pose) -> ShapeFit:
    """Fit of downsampled points to the mean face after a pose."""
    moved = points @ pose[:3, :3].T + pose[:3, 3]
    normals, distances = plane_distances(moved)
    trust = weights(distances, CLOSE)
    squares = np.square(np.minimum(np.abs(distances), FAR))
    return ShapeFit(
        pose=pose,
        residual=float(np.sqrt((trust * squares).sum() / max(trust.sum(), 1e-9))),
        seen=mean_surface().share_covered(moved, SEEN_WITHIN),
        likeness=_relief_correlation(moved, normals, distances),
    )


def _fits(
    points: Points, positions: Sequence[Float64[np.ndarray, "3 3"]], noses: int, finalists: int
) -> list[ShapeFit]:
    """Fits from the most promising noses of all positions, each also upside down; the best first."""
    rotations, shifts = initial_poses(points, positions, noses)
    if len(rotations) == 0:
        return []
    coarse = voxel_downsample(points, COARSE_CUBE)
    rotations, shifts = point_to_plane_icp(coarse, rotations, shifts, COARSE_TOLERANCES)
    promising = np.argsort(-coverage(coarse, rotations, shifts, CLOSE), kind="stable")[:finalists]
    fits = [fit for start in promising for fit in _refine(points, rotations[start], shifts[start])]
    return sorted(fits, key=_upright_first, reverse=True)


def _refine(
    points: Points, rotation: Float64[np.ndarray, "3 3"], shift: Float64[np.ndarray, "3"]
) -> Iterator[ShapeFit]:
    """The last steps from one place, and from the same place upside down."""
    head = points[np.square(points @ rotation.T + shift).sum(axis=1) < HEAD_RADIUS**2]
    both_ways = np.stack([np.eye(3), UPSIDE_DOWN])
    for place in zip(*point_to_plane_icp(head, both_ways @ rotation, both_ways @ shift, FINE_TOLERANCES), strict=True):
        yield assess_fit(head, pose_of(*place))


def _upright_first(fit: ShapeFit) -> float:
    return fit.quality * (UPRIGHT_BONUS if min(fit.pose[1, 1], fit.pose[2, 2]) > 0 else 1.0)


def _relief_correlation(
    moved: Points, normals: Float64[np.ndarray, "points 3"], distances: Float64[np.ndarray, " points"]
) -> float:
    """Correlation of reliefs, the quadratic part of both taken out by least squares."""
    x, y, z = moved.T
    inside = (np.abs(x) < RELIEF_HALF_WIDTH) & (y > RELIEF_BOTTOM) & (y < RELIEF_TOP)
    inside &= np.abs(distances) < RELIEF_WITHIN
    if inside.sum() < MIN_POINTS:
        return 0.0
    x, y, z = x[inside], y[inside], z[inside]
    depths = np.stack([z, z - distances[inside] / normals[inside, 2]], axis=1)
    smooth = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    reliefs = depths - smooth @ np.linalg.lstsq(smooth, depths, rcond=None)[0]
    lengths = np.linalg.norm(reliefs, axis=0)
    return float(reliefs[:, 0] @ reliefs[:, 1] / max(lengths.prod(), 1e-12))
