"""Range images to triangles: a grid of points, some of them background, joined where neighbours lie close in depth."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from affect4d.compiled import Number, compiled
from affect4d.scans.readers.polygons import assemble_mesh
from affect4d.scans.scan import FaceScan, ScanError

Planes = Float64[np.ndarray, "5 rows columns"]
"""x, y, z in millimetres and u, v with v **top-down**; row 0 at the bottom of the face."""
Measured = Bool[np.ndarray, "rows columns"]
"""Where a range image has a point, and not background."""
_ZERO, _ONE, _TWO = np.uint64(0), np.uint64(1), np.uint64(2)
MAX_DEPTH_JUMP = 10.0
"""Largest difference in depth, in mm, inside one cell of the grid; beyond it there is an edge, not a surface [ours]."""
MAX_SLOPE = 2.5
"""In a coarse grid, the largest difference in depth as a multiple of the cell's side [ours]."""


def find_measured(planes: Planes, background: float, path: Path) -> Measured:
    """Where a range image has a point: where none of x, y, z is the background number.

    Raises:
        ScanError: If a number of such a point is not finite.
    """
    measured = np.empty(planes.shape[1:], np.bool_)
    x, y, z, u, v = planes.reshape(len(planes), -1)
    if not _flag_measured(x, y, z, u, v, background, measured.reshape(-1)):
        row, column = np.argwhere(measured & ~np.isfinite(planes).all(axis=0))[0]
        raise ScanError("not-finite", path, "a measured point is not finite", f"row {row}, column {column}")
    return measured


def mesh_of_grid(planes: Planes, measured: Measured, path: Path, max_depth_jump: float = MAX_DEPTH_JUMP) -> FaceScan:
    """The surface of a range image: two triangles in each cell whose four corners are measured and close in depth.

    Args:
        planes: The grid.
        measured: Which of its points count.
        path: The file, for errors.
        max_depth_jump: In mm.

    Returns:
        The scan without texture; v bottom-up.

    Raises:
        ScanError: If it is no usable surface.
    """
    count = planes.shape[1] * planes.shape[2]
    vertices, coordinates = np.empty((count, 3), np.float32), np.empty((count, 2), np.float32)
    numbers = np.empty(count, np.int32)
    x, y, z, u, v = planes.reshape(5, count)
    points = _gather(x, y, z, u, v, measured.reshape(count), vertices, coordinates, numbers)
    faces = np.empty((2 * points, 3), np.int32)
    triangles = _join(x, y, z, numbers, planes.shape[2], max_depth_jump, faces)
    vertices.resize((points, 3), refcheck=False)
    coordinates.resize((points, 2), refcheck=False)
    faces.resize((triangles, 3), refcheck=False)
    return assemble_mesh(path, vertices, faces, coordinates, None)


@compiled
def _flag_measured(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, u: np.ndarray, v: np.ndarray, background: float, measured: np.ndarray
) -> Number:
    """Flag the points without a background number; whether all are finite. Many at once: it has no branches."""
    usable = True
    for at in range(len(x)):
        seen = (x[at] != background) & (y[at] != background) & (z[at] != background)
        finite = (abs(x[at]) < np.inf) & (abs(y[at]) < np.inf) & (abs(z[at]) < np.inf)
        measured[at] = seen
        usable &= (not seen) | (finite & (abs(u[at]) < np.inf) & (abs(v[at]) < np.inf))
    return usable


@compiled
def _gather(
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    measured: np.ndarray,
    vertices: np.ndarray,
    coordinates: np.ndarray,
    numbers: np.ndarray,
) -> Number:
    """Write down the measured points; how many they are. ``numbers`` holds each one's own, −1 for none."""
    point = np.uint64(0)
    for place in range(len(x)):
        at = np.uint64(place)
        if not measured[at]:
            numbers[at] = -1
            continue
        vertices[point, _ZERO], vertices[point, _ONE], vertices[point, _TWO] = x[at], y[at], z[at]
        coordinates[point, _ZERO], coordinates[point, _ONE] = u[at], 1 - v[at]
        numbers[at] = np.int32(point)
        point += _ONE
    return np.int64(point)


@compiled
def _join(
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    numbers: np.ndarray,
    columns: int,
    max_depth_jump: float,
    faces: np.ndarray,
) -> Number:
    """Write down the triangles; how many they are."""
    triangle, width = np.uint64(0), np.uint64(columns)
    for row in range(1, len(z) // columns):
        for column in range(1, columns):
            d = np.uint64(row) * width + np.uint64(column)
            c, b, a = d - _ONE, d - width, d - width - _ONE
            if (numbers[a] | numbers[b] | numbers[c] | numbers[d]) < 0:
                continue
            jump = max(z[a], z[b], z[c], z[d]) - min(z[a], z[b], z[c], z[d])
            side = max(abs(x[b] - x[a]), abs(y[c] - y[a]))
            if jump <= max(max_depth_jump, MAX_SLOPE * side):
                for third, second in ((numbers[d], numbers[b]), (numbers[c], numbers[d])):
                    faces[triangle, _ZERO], faces[triangle, _ONE], faces[triangle, _TWO] = numbers[a], second, third
                    triangle += _ONE
    return np.int64(triangle)
