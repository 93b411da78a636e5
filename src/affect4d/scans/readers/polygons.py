"""Polygons to triangles, and two index lists (position, texture) to one."""

from pathlib import Path

import numpy as np

from affect4d.arrays import Faces, TextureCoordinates, Vertices
from affect4d.scans.readers.limits import check_faces, check_indices, check_texture_coordinates, check_vertices
from affect4d.scans.scan import FaceScan, ScanError


def fan_triangles(corners: np.ndarray, lengths: np.ndarray) -> Faces:
    """Triangle fans of consecutive polygons.

    Args:
        corners: Indices of all corners in a row.
        lengths: Corners of each polygon; those below 3 give no triangle.

    Returns:
        Indices [triangles, 3].
    """
    if (lengths == 3).all():
        return np.asarray(corners.reshape(-1, 3))
    starts = np.cumsum(lengths)
    starts -= lengths  # in place: there may be as many polygons without a corner as the file has bytes
    kept = lengths >= 3
    starts, fans = starts[kept], lengths[kept] - 2
    first = np.repeat(starts, fans)
    step = np.arange(len(first)) - np.repeat(np.cumsum(fans) - fans, fans)
    triangles: Faces = corners[np.stack([first, first + step + 1, first + step + 2], axis=1)]
    return triangles


def assemble_mesh(
    path: Path,
    vertices: Vertices,
    faces: Faces,
    coordinates: TextureCoordinates | None,
    texture_faces: Faces | None,
    repairs: tuple[str, ...] = (),
) -> FaceScan:
    """A checked scan from what a file lists.

    Args:
        path: The file, for errors.
        vertices: Points [vertices, 3].
        faces: Triangles into the points.
        coordinates: Texture coordinates, one row a point or one row an own index.
        texture_faces: Triangles into the texture coordinates; None where they coincide with ``faces``.
        repairs: What was mended so far.

    Returns:
        The scan; where the two index lists differ, one vertex for every pair of point and texture coordinate.

    Raises:
        ScanError: If a check fails.
    """
    check_vertices(vertices, path)
    check_faces(faces, len(vertices), path)
    if coordinates is None or len(coordinates) == 0:
        return FaceScan(vertices, faces, repairs=repairs)
    check_texture_coordinates(coordinates, path)
    corners = faces if texture_faces is None else texture_faces
    if corners is not faces:
        check_indices(corners, len(coordinates), path, "texture")
    if len(coordinates) == len(vertices) and (corners is faces or np.array_equal(corners, faces)):
        return FaceScan(vertices, faces, coordinates, repairs=repairs)
    check_indices(corners, len(coordinates), path, "texture")
    return _unify(path, FaceScan(vertices, faces, coordinates, repairs=repairs), corners)


def _unify(path: Path, scan: FaceScan, texture_faces: Faces) -> FaceScan:
    """One vertex for every pair of point and texture coordinate that a corner uses."""
    assert scan.texture_coordinates is not None
    if texture_faces.shape != scan.faces.shape:
        raise ScanError("wrong-count", path, "position and texture index lists differ in length")
    width = len(scan.texture_coordinates)
    pairs, corner = np.unique(scan.faces.astype(np.int64) * width + texture_faces, return_inverse=True)
    faces = corner.reshape(-1, 3).astype(np.int32)
    return FaceScan(scan.vertices[pairs // width], faces, scan.texture_coordinates[pairs % width], repairs=scan.repairs)


def merge_points(points: np.ndarray) -> tuple[np.ndarray, Faces]:
    """Equal rows of ``float32`` numbers made one.

    Args:
        points: Rows of finite numbers.

    Returns:
        The different rows, and for every old row the place of its new one.
    """
    with np.errstate(invalid="ignore"):  # a NaN may be one that signals; it is refused later, by name
        bits = (points + np.float32(0)).view(np.uint32)
    order = np.lexsort(bits.T)
    differs = np.ones(len(points), dtype=bool)
    differs[1:] = (bits[order[1:]] != bits[order[:-1]]).any(axis=1)
    index = np.empty(len(points), dtype=np.int32)
    index[order] = np.cumsum(differs) - 1
    return np.ascontiguousarray(points[order[differs]]), index


def whole_indices(indices: np.ndarray, path: Path) -> np.ndarray:
    """Indices of any type as ``int32``.

    Raises:
        ScanError: If one is not whole or needs more bits.
    """
    wide = indices.astype(np.float64)
    wrong = np.flatnonzero(~((wide >= -(2.0**31)) & (wide < 2.0**31) & (wide == np.floor(wide))))
    if len(wrong):
        raise ScanError("index-out-of-range", path, f"{wide[wrong[0]]} is no index", f"corner {wrong[0]}")
    return indices.astype(np.int32)
