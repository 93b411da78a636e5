"""Where an alignment by shape starts: places that stand out as a nose does, in any position of the scan."""

import functools
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from scipy.ndimage import maximum_filter, uniform_filter
from scipy.spatial.transform import Rotation

from affect4d.scans.canonical.thinning import Points

Rotations = Float64[np.ndarray, "starts 3 3"]
Shifts = Float64[np.ndarray, "starts 3"]

CELL = 6.0
TIP, SURROUNDINGS = 3, 11
"""Sides, in cells, of the squares whose mean heights are compared."""
APART = 7
"""Side, in cells, of the square in which only the best place counts."""
LEAST_SEEN = 0.35
"""Share of the surroundings that the scan must cover."""
FACE_RADIUS = 60.0
LEAST_POINTS = 30
NOSE_DEPTH = -4.0
"""Where the mean face's nose stands, mm."""


def starts(points: Points, positions: Sequence[Float64[np.ndarray, "3 3"]], most: int) -> tuple[Rotations, Shifts]:
    """Rotations and shifts that bring each candidate onto the mean face's nose, the surface around it facing +z.

    Args:
        points: A thinned scan, mm.
        positions: Rotations in which a nose is looked for.
        most: Candidates a position.
    """
    rotations, shifts = [], []
    for position in positions:
        turned = points @ position.T
        for nose in stand_outs(turned, most):
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


def stand_outs(points: Points, most: int) -> Points:
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
    height = np.where(seen & (density > LEAST_SEEN), tip - around, -np.inf)
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
    if len(face) < LEAST_POINTS:
        return np.eye(3)
    normal = np.linalg.eigh(np.cov(face.T))[1][:, 0]
    normal = normal * np.sign(normal[2] or 1.0)
    axis = np.cross(normal, [0, 0, 1])
    length = float(np.linalg.norm(axis))
    angle = min(float(np.arctan2(length, normal[2])), np.pi / 4)
    turn: np.ndarray = Rotation.from_rotvec(axis / max(length, 1e-9) * angle).as_matrix()
    return turn
