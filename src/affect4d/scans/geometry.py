"""Mesh geometry of a scan: poses, crops, triangle orientation, vertex normals, edges, pieces.

Loops over triangles are compiled: a scan of 70,000 triangles takes 35 ms of CPU in NumPy, which gathers every corner
of every triangle, and 4 ms here. They do not check indices.
"""

from dataclasses import replace as with_changes

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32

from affect4d.array_types import Faces, Pose, Vertices
from affect4d.jit import Number, compiled
from affect4d.scans.scan import FaceScan


def pose_of(linear: np.ndarray, translation: np.ndarray) -> Pose:
    """The 4 × 4 pose of a linear part and a translation."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = linear, translation
    return pose


def apply_pose(points: Vertices, pose: Pose) -> Vertices:
    """Points moved by a pose; rows of NaN stay so."""
    moved: Vertices = (points.astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]).astype(np.float32)
    return moved


def fit_points(
    points: Float64[np.ndarray, "points 3"],
    targets: Float64[np.ndarray, "points 3"],
    weights: Float64[np.ndarray, " points"],
    *,
    scaled: bool = False,
) -> tuple[Float64[np.ndarray, "3 3"], float, Float64[np.ndarray, "3"]]:
    """Rotation, scale and shift of the least weighted squares (Kabsch 1976; with ``scaled``, Umeyama 1991).

    Returns:
        A point goes to scale · rotation · point + shift; the scale is 1 unless ``scaled``.

    Raises:
        ValueError: If the points lie on one line.
    """
    shares = weights / weights.sum()
    middle, target_middle = shares @ points, shares @ targets
    covariance = (shares[:, None] * (points - middle)).T @ (targets - target_middle)
    left, strengths, right = np.linalg.svd(covariance)
    if strengths[1] <= 1e-9 * max(strengths[0], 1e-300):
        raise ValueError("The landmarks lie on one line: they fix no pose.")
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left @ np.diag(signs) @ right).T
    spread = shares @ np.square(points - middle).sum(axis=1)
    scale = float(strengths @ signs / spread) if scaled else 1.0
    return rotation, scale, target_middle - scale * rotation @ middle


def transform(scan: FaceScan, pose: Pose) -> FaceScan:
    """The scan with vertices and landmarks moved by a pose."""
    landmarks = None if scan.landmarks is None else apply_pose(scan.landmarks, pose)
    return with_changes(scan, vertices=apply_pose(scan.vertices, pose), landmarks=landmarks)


def crop(scan: FaceScan, radius: float) -> FaceScan:
    """The triangles wholly within a radius (mm) of the origin, the nose tip; a ``ValueError`` where there is none."""
    inside = np.einsum("ij,ij->i", scan.vertices, scan.vertices) <= radius**2
    within = all_corners(inside, scan.faces)
    if not within.any():
        raise ValueError(f"No triangle lies within {radius:g} mm of the nose tip.")
    return keep_triangles(scan, within)


def keep_triangles(scan: FaceScan, kept: Bool[np.ndarray, " faces"]) -> FaceScan:
    """The scan with some of its triangles, in order; vertices that none uses are dropped."""
    faces, used = compact(scan.faces, kept, len(scan.vertices))
    coordinates = None if scan.texture_coordinates is None else scan.texture_coordinates[used]
    return with_changes(scan, vertices=scan.vertices[used], faces=faces, texture_coordinates=coordinates)


def turn_outward(scan: FaceScan) -> FaceScan:
    """The scan with its triangles counter-clockwise seen from +z, where most of them are not."""
    if facing(scan.vertices, scan.faces) >= 0:
        return scan
    return with_changes(
        scan, faces=np.ascontiguousarray(scan.faces[:, ::-1]), repairs=(*scan.repairs, "triangles turned outward")
    )


def vertex_normals(vertices: Vertices, faces: Faces) -> Vertices:
    """Unit normals at the vertices, each the area-weighted mean of its triangles'; (0, 0, 1) at one without area."""
    sums = normal_sums(vertices, faces)
    lengths = np.linalg.norm(sums, axis=1)
    sums[lengths < 1e-12], lengths[lengths < 1e-12] = (0, 0, 1), 1
    normals: Vertices = (sums / lengths[:, None]).astype(np.float32)
    return normals


Flags = Bool[np.ndarray, " vertices"]


def all_corners(flags: Flags, faces: Faces) -> Bool[np.ndarray, " faces"]:
    """Triangles whose three corners are all flagged."""
    found = np.empty(len(faces), np.bool_)
    _all_corners(flags, _plain(faces, np.int32), found)
    return found


def any_corner(flags: Flags, faces: Faces) -> Bool[np.ndarray, " faces"]:
    """Triangles of whose three corners at least one is flagged."""
    return ~all_corners(~flags, faces)


def compact(faces: Faces, kept: Bool[np.ndarray, " faces"], vertices: int) -> tuple[Faces, Flags]:
    """The kept triangles, their corners numbered anew, and which of the vertices they use; both in order."""
    used, number = np.zeros(vertices, np.bool_), np.empty(vertices, np.int32)
    fewer = np.empty((int(np.count_nonzero(kept)), 3), np.int32)
    _compact(_plain(faces, np.int32), kept, fewer, used, number)
    return fewer, used


def facing(vertices: Vertices, faces: Faces) -> float:
    """Area of all triangles as seen from +z, those seen from behind counted off; twice, in mm²."""
    return float(_facing(_plain(vertices, np.float32), _plain(faces, np.int32)))


def normal_sums(vertices: Vertices, faces: Faces) -> Float64[np.ndarray, "vertices 3"]:
    """At every vertex, the sum of its triangles' normals, each as long as twice its area."""
    sums = np.zeros((len(vertices), 3))
    _normal_sums(_plain(vertices, np.float32), _plain(faces, np.int32), sums)
    return sums


def opposite_edges(vertices: Vertices, faces: Faces) -> Float32[np.ndarray, "3 faces"]:
    """Squared length of the edge opposite each corner, mm²."""
    squares = np.empty((3, len(faces)), np.float32)
    _opposite_edges(_plain(vertices, np.float32), _plain(faces, np.int32), squares)
    return squares


def spike_tips(faces: Faces, squares: Float32[np.ndarray, "3 faces"], vertices: int) -> Flags:
    """Vertices that in none of their triangles have a side shorter than the edge opposite; unused ones are none."""
    found = np.zeros(vertices, np.bool_)
    _tips(_plain(faces, np.int32), squares, found)
    return found


def connected(vertices: int, faces: Faces) -> tuple[int, Int32[np.ndarray, " vertices"]]:
    """How many pieces triangles make of the vertices, and the piece of each, numbered by their first vertices."""
    piece = np.arange(vertices, dtype=np.int32)
    return int(_connected(_plain(faces, np.int32), piece)), piece


def _plain(array: np.ndarray, kind: type) -> np.ndarray:
    """As the loops are compiled for: in rows, of one type."""
    return np.require(array, kind, ("C", "W"))


@compiled
def _all_corners(flags: np.ndarray, faces: np.ndarray, found: np.ndarray) -> None:
    for face in range(len(faces)):
        found[face] = flags[faces[face, 0]] & flags[faces[face, 1]] & flags[faces[face, 2]]


@compiled
def _compact(faces: np.ndarray, kept: np.ndarray, fewer: np.ndarray, used: np.ndarray, number: np.ndarray) -> None:
    for face in range(len(faces)):
        if kept[face]:
            for corner in range(3):
                used[faces[face, corner]] = True
    count = 0
    for vertex in range(len(used)):
        number[vertex] = count
        count += used[vertex]
    count = 0
    for face in range(len(faces)):
        if kept[face]:
            for corner in range(3):
                fewer[count, corner] = number[faces[face, corner]]
            count += 1


@compiled
def _facing(vertices: np.ndarray, faces: np.ndarray) -> Number:
    area = 0.0
    for face in range(len(faces)):
        first, second, third = faces[face, 0], faces[face, 1], faces[face, 2]
        x, y = vertices[first, 0], vertices[first, 1]
        area += (vertices[second, 0] - x) * (vertices[third, 1] - y) - (vertices[second, 1] - y) * (
            vertices[third, 0] - x
        )
    return area


@compiled
def _normal_sums(vertices: np.ndarray, faces: np.ndarray, sums: np.ndarray) -> None:
    for face in range(len(faces)):
        first, second, third = faces[face, 0], faces[face, 1], faces[face, 2]
        x, y, z = vertices[first, 0], vertices[first, 1], vertices[first, 2]
        ax, ay, az = vertices[second, 0] - x, vertices[second, 1] - y, vertices[second, 2] - z
        bx, by, bz = vertices[third, 0] - x, vertices[third, 1] - y, vertices[third, 2] - z
        x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for vertex in (first, second, third):
            sums[vertex, 0] += x
            sums[vertex, 1] += y
            sums[vertex, 2] += z


@compiled
def _opposite_edges(vertices: np.ndarray, faces: np.ndarray, squares: np.ndarray) -> None:
    for corner in range(3):
        one, other = (corner + 1) % 3, (corner + 2) % 3
        for face in range(len(faces)):
            first, second = faces[face, one], faces[face, other]
            x = vertices[first, 0] - vertices[second, 0]
            y = vertices[first, 1] - vertices[second, 1]
            z = vertices[first, 2] - vertices[second, 2]
            squares[corner, face] = x * x + y * y + z * z


@compiled
def _tips(faces: np.ndarray, squares: np.ndarray, found: np.ndarray) -> None:
    for face in range(len(faces)):
        for corner in range(3):
            found[faces[face, corner]] = True
    for face in range(len(faces)):
        for corner in range(3):
            if min(squares[(corner + 1) % 3, face], squares[(corner + 2) % 3, face]) < squares[corner, face]:
                found[faces[face, corner]] = False


@compiled
def _root(parent: np.ndarray, vertex: Number) -> Number:
    while parent[vertex] != vertex:
        parent[vertex] = parent[parent[vertex]]
        vertex = parent[vertex]
    return vertex


@compiled
def _connected(faces: np.ndarray, piece: np.ndarray) -> Number:
    """Union by the lower number (Galler and Fischer 1964), paths halved."""
    for face in range(len(faces)):
        first = _root(piece, faces[face, 0])
        for corner in range(1, 3):
            other = _root(piece, faces[face, corner])
            low, high = min(first, other), max(first, other)
            piece[high] = low
            first = low
    count = 0
    for vertex in range(len(piece)):  # its parent has a lower number, and its piece by now
        if piece[vertex] == vertex:
            piece[vertex] = count
            count += 1
        else:
            piece[vertex] = piece[piece[vertex]]
    return count
