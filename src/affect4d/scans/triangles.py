"""Compiled loops over the triangles of a mesh and the cells of a range image.

A scan of 70,000 triangles takes 35 ms of CPU in NumPy, which gathers every corner of every triangle, and 4 ms here. The
equations stand in :mod:`affect4d.scans.geometry` and :mod:`affect4d.scans.alignment.repair`. Indices must be checked
before: nothing here does.
"""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32

from affect4d.array_types import Faces, RangePlanes, TextureCoordinates, Vertices
from affect4d.jit import Number, compiled

Flags = Bool[np.ndarray, " vertices"]
MAX_SLOPE = 2.5
"""Largest difference in depth inside a cell of a coarse grid, as a multiple of the cell's side [ours]."""
_ZERO, _ONE, _TWO = np.uint64(0), np.uint64(1), np.uint64(2)


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


def tips(faces: Faces, squares: Float32[np.ndarray, "3 faces"], vertices: int) -> Flags:
    """Vertices that in none of their triangles have a side shorter than the edge opposite; unused ones are none."""
    found = np.zeros(vertices, np.bool_)
    _tips(_plain(faces, np.int32), squares, found)
    return found


def connected(vertices: int, faces: Faces) -> tuple[int, Int32[np.ndarray, " vertices"]]:
    """How many pieces triangles make of the vertices, and the piece of each, numbered by their first vertices."""
    piece = np.arange(vertices, dtype=np.int32)
    return int(_connected(_plain(faces, np.int32), piece)), piece


def flag_measured(planes: RangePlanes, background: float) -> tuple[Bool[np.ndarray, "rows columns"], bool]:
    """Where none of x, y, z of a range image is the background number, and whether all such points are finite."""
    measured = np.empty(planes.shape[1:], np.bool_)
    x, y, z, u, v = planes.reshape(len(planes), -1)
    return measured, bool(_flag_measured(x, y, z, u, v, background, measured.reshape(-1)))


def join_grid(
    planes: RangePlanes, measured: Bool[np.ndarray, "rows columns"], max_depth_jump: float
) -> tuple[Vertices, TextureCoordinates, Faces]:
    """Measured points of a range image, their texture coordinates (v bottom-up), and two triangles in each sound cell.

    A cell is sound where its four corners are measured and differ in depth by at most ``max_depth_jump`` mm, or, in a
    coarse grid, by at most ``MAX_SLOPE`` times the cell's side.
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
    return vertices, coordinates, faces


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
    for vertex in range(len(piece)):  # whatever it hangs on has a lower number, and its piece by now
        if piece[vertex] == vertex:
            piece[vertex] = count
            count += 1
        else:
            piece[vertex] = piece[piece[vertex]]
    return count


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
