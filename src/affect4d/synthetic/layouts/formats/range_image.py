"""A mesh resampled on a regular grid seen from the front: what a structured-light scanner delivers."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float64

from affect4d.scans.scan import FaceScan

Planes = Float64[np.ndarray, "rows columns 5"]


def range_image(scan: FaceScan, rows: int, columns: int) -> tuple[Planes, Bool[np.ndarray, "rows columns"]]:
    """Nearest surface to the camera over a grid of x and y that spans the scan; row 0 at the bottom.

    Args:
        scan: With texture coordinates.
        rows: Of the grid.
        columns: Of the grid.

    Returns:
        x, y, z (mm), u, v at each place, and where the surface is. Elsewhere z is 0; u and v run with column and row.

    Raises:
        ValueError: If the scan has no texture coordinates.
    """
    if scan.texture_coordinates is None:
        raise ValueError("A range image needs texture coordinates, and this scan has none.")
    flat = scan.vertices[:, :2].astype(np.float64)
    low, step = flat.min(axis=0), np.ptp(flat, axis=0) / (np.array([columns, rows]) - 1)
    places = (flat - low) / step
    carried = np.column_stack([scan.vertices[:, 2], scan.texture_coordinates]).astype(np.float64)
    y, x = np.mgrid[0:rows, 0:columns]
    nearest = np.dstack([np.full((rows, columns), -np.inf), x / (columns - 1), y / (rows - 1)])
    for cells, values in _covered(places, scan.faces, carried):
        _keep_nearer(nearest, cells, values)
    seen = np.isfinite(nearest[..., 0])
    nearest[~seen, 0] = 0.0
    return np.dstack([low[0] + x * step[0], low[1] + y * step[1], nearest]), seen


def _keep_nearer(nearest: np.ndarray, cells: np.ndarray, values: np.ndarray) -> None:
    """Put values where they are nearer to the camera than what is there; of several in one place, the nearest."""
    order = np.argsort(values[:, 0], kind="stable")
    order = order[values[order, 0] > nearest[cells[order, 1], cells[order, 0], 0]]
    nearest[cells[order, 1], cells[order, 0]] = values[order]


def _covered(places: np.ndarray, faces: np.ndarray, carried: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Grid places under each triangle, one offset from its lower corner at a time, with what it carries there."""
    corners = places[faces]
    first = np.ceil(corners.min(axis=1)).astype(np.int64)
    last = np.floor(corners.max(axis=1)).astype(np.int64)
    spans = last - first
    for dy in range(int(spans[:, 1].max()) + 1):
        for dx in range(int(spans[:, 0].max()) + 1):
            chosen = np.flatnonzero((spans[:, 0] >= dx) & (spans[:, 1] >= dy))
            cells = first[chosen] + (dx, dy)
            shares = _shares(corners[chosen], cells)
            inside = (shares >= -1e-9).all(axis=1)
            values = np.einsum("tc,tcv->tv", shares[inside], carried[faces[chosen[inside]]])
            yield cells[inside], values


def _shares(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Barycentric coordinates of one point a triangle; NaN, which is outside, where the triangle is edge on."""
    a, b, c = (corners[:, corner] for corner in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        area = _cross(b - a, c - a)
        second, third = _cross(points - a, c - a) / area, _cross(b - a, points - a) / area
    return np.stack([1.0 - second - third, second, third], axis=1)


def _cross(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.asarray(left[:, 0] * right[:, 1] - left[:, 1] * right[:, 0])
