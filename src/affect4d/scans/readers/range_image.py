"""Range images: Bosphorus ``.bnt`` files, and 16-bit depth images (as CAS(ME)³ has them) through a pinhole camera.

``.bnt``, little-endian: ``u16 rows, u16 columns, f64 background, u16 length, image name, u32 n, f64[n]`` with
n = 5 · rows · columns: the planes x, y, z (mm, +y up, +z to the camera), u, v (v top-down), row 0 at the bottom of the
face. A point is background where any of x, y, z equals the background number; u and v are valid even there. (Layout
verified on bytes of such a file.) Repaired, and noted: bytes after the last plane. Refused: n that is not five times
the grid, a file shorter than its header states, a measured point that is not finite.

A depth image does not state its camera: focal lengths and principal point are the caller's, who must give their
source. Depth 0 is invalid. The colour image must be registered with the depth image. Refused: images that are not one
channel of 16 bits.
"""

import struct
import warnings
from dataclasses import dataclass
from dataclasses import replace as with_changes
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image
from pydantic import BaseModel, Field

from affect4d.array_types import Faces, RangePlanes, TextureCoordinates, Vertices
from affect4d.jit import Number, compiled
from affect4d.scans.readers.mesh_checks_and_textures import (
    MAX_VERTICES,
    MeshFile,
    assemble_mesh,
    check_count,
    read_bytes,
)
from affect4d.scans.scan import ScanError

Measured = Bool[np.ndarray, "rows columns"]
"""Where a range image has a point, and not background."""
PLANES = 5
MAX_DEPTH_JUMP = 10.0
"""Largest difference in depth, in mm, inside one cell of the grid; beyond it there is an edge, not a surface [ours]."""
MAX_SLOPE = 2.5  # largest difference in depth inside a cell of a coarse grid, as a multiple of the cell's side [ours]
DEPTH_MODES = ("I;16", "I;16B", "I;16L", "I")
_ZERO, _ONE, _TWO = np.uint64(0), np.uint64(1), np.uint64(2)
_HEAD, _COUNT = struct.Struct("<HHdH"), struct.Struct("<I")


class Intrinsics(BaseModel, frozen=True, extra="forbid"):
    """The pinhole camera of a depth sensor, in pixels of its image, whose top left pixel has its centre at (0, 0)."""

    fx: float = Field(gt=0, description="Focal length along a row, in pixels.")
    fy: float = Field(gt=0, description="Focal length down a column, in pixels.")
    cx: float = Field(description="Column of the optical axis, in pixels.")
    cy: float = Field(description="Row of the optical axis, in pixels.")
    millimetres_per_unit: float = Field(default=1.0, gt=0, description="Depth of one step of the image's numbers.")
    near: float = Field(default=100.0, ge=0, description="Nearest valid depth, in mm.")
    far: float = Field(default=3000.0, gt=0, description="Farthest valid depth, in mm.")


@dataclass(frozen=True, slots=True)
class RangeImage:
    """A range image as its file holds it, checked: its numbers, not copied, and where there is no background."""

    planes: RangePlanes
    measured: Measured
    image_name: str
    repairs: tuple[str, ...] = ()


def read_bnt(path: Path) -> MeshFile:
    """Read a Bosphorus face scan in the file's own coordinates."""
    image = read_range_image(path)
    mesh = grid_mesh(image.planes, image.measured, path)
    return with_changes(mesh, repairs=image.repairs, image_names=(image.image_name,))


def read_range_image(path: Path) -> RangeImage:
    """The grid of a Bosphorus scan. It is read, not mapped: truncating a mapped file would end the process."""
    raw = read_bytes(path)
    rows, columns, background, name, start = _read_header(raw, path)
    planes = np.frombuffer(raw, "<f8", PLANES * rows * columns, start).reshape(PLANES, rows, columns)
    more = len(raw) - start - planes.nbytes
    measured, finite = flag_measured(planes, background)
    if not finite:
        row, column = np.argwhere(measured & ~np.isfinite(planes).all(axis=0))[0]
        raise ScanError("not-finite", path, "a measured point is not finite", f"row {row}, column {column}")
    return RangeImage(planes, measured, name, (f"{more} bytes after the last plane ignored",) if more else ())


def _read_header(raw: bytes, path: Path) -> tuple[int, int, float, str, int]:
    """Rows, columns, background number, image name, and first byte of the planes; checked against the size."""
    ended = ScanError("truncated", path, "the file ends inside its header", f"byte {len(raw)}")
    if len(raw) < _HEAD.size:
        raise ended
    rows, columns, background, length = _HEAD.unpack_from(raw)
    count_at = _HEAD.size + length
    start = count_at + _COUNT.size
    if len(raw) < start:
        raise ended
    (count,) = _COUNT.unpack_from(raw, count_at)
    _check_grid(rows, columns, path)
    if count != PLANES * rows * columns:
        detail = f"{count} numbers for a grid of {rows} by {columns}, expected {PLANES * rows * columns}"
        raise ScanError("wrong-count", path, detail, f"byte {count_at}")
    if len(raw) < start + 8 * count:
        detail = f"{len(raw)} bytes, its header promises {start + 8 * count}"
        raise ScanError("truncated", path, detail, f"byte {len(raw)}")
    return rows, columns, background, raw[_HEAD.size : count_at].decode("utf-8", "replace"), start


def _check_grid(rows: int, columns: int, path: Path) -> None:
    if min(rows, columns) < 2:
        raise ScanError("wrong-count", path, f"a grid of {rows} rows of {columns} points has no cells")
    check_count(rows * columns, MAX_VERTICES, path, f"points ({rows} rows of {columns})")


def grid_mesh(planes: RangePlanes, measured: Measured, path: Path) -> MeshFile:
    """The surface of a range image: two triangles in each cell whose four corners are measured and close in depth."""
    vertices, coordinates, faces = join_grid(planes, measured, MAX_DEPTH_JUMP)
    return assemble_mesh(path, vertices, faces, coordinates)


def read_depth(path: Path, intrinsics: Intrinsics) -> MeshFile:
    """The mesh of a depth image, camera at the origin: +y up, +z towards it; with ``functools.partial``, a reader."""
    depth = _read_depths(path) * intrinsics.millimetres_per_unit
    valid = (depth > 0) & (depth >= intrinsics.near) & (depth <= intrinsics.far)
    return grid_mesh(_planes(depth, intrinsics), np.ascontiguousarray(valid[::-1]), path)


def _read_depths(path: Path) -> np.ndarray:
    read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG",)) as image:
                if image.mode not in DEPTH_MODES:
                    raise ScanError("not-depth", path, f"pixels are {image.mode}, not one channel of 16 bits")
                _check_grid(image.height, image.width, path)
                return np.asarray(image).astype(np.float64)
    except ScanError:
        raise
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error and more on damaged files
        raise ScanError("unreadable", path, f"the depth image is damaged ({type(error).__name__})") from error


def _planes(depth: np.ndarray, camera: Intrinsics) -> RangePlanes:
    """Points of the image, the lowest row first."""
    rows, columns = depth.shape
    row, column = np.mgrid[:rows, :columns].astype(np.float64)
    x, y = (column - camera.cx) * depth / camera.fx, (camera.cy - row) * depth / camera.fy
    planes = np.stack([x, y, -depth, (column + 0.5) / columns, (row + 0.5) / rows])
    return np.ascontiguousarray(planes[:, ::-1])


def flag_measured(planes: RangePlanes, background: float) -> tuple[Bool[np.ndarray, "rows columns"], bool]:
    """Where none of x, y, z of a range image is the background number, and whether all such points are finite."""
    measured = np.empty(planes.shape[1:], np.bool_)
    return measured, bool(_flag_measured(planes.reshape(PLANES, -1), background, measured.reshape(-1)))


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
    flat = planes.reshape(PLANES, count)
    points = _gather(flat, measured.reshape(count), vertices, coordinates, numbers)
    faces = np.empty((2 * points, 3), np.int32)
    triangles = _join(flat, numbers, planes.shape[2], max_depth_jump, faces)
    vertices.resize((points, 3), refcheck=False)
    coordinates.resize((points, 2), refcheck=False)
    faces.resize((triangles, 3), refcheck=False)
    return vertices, coordinates, faces


@compiled
def _flag_measured(planes: np.ndarray, background: float, measured: np.ndarray) -> Number:
    """Flag the points without a background number; whether all are finite. Many at once: it has no branches."""
    x, y, z, u, v = planes[0], planes[1], planes[2], planes[3], planes[4]
    usable = True
    for at in range(len(x)):
        seen = (x[at] != background) & (y[at] != background) & (z[at] != background)
        finite = (abs(x[at]) < np.inf) & (abs(y[at]) < np.inf) & (abs(z[at]) < np.inf)
        measured[at] = seen
        usable &= (not seen) | (finite & (abs(u[at]) < np.inf) & (abs(v[at]) < np.inf))
    return usable


@compiled
def _gather(
    planes: np.ndarray, measured: np.ndarray, vertices: np.ndarray, coordinates: np.ndarray, numbers: np.ndarray
) -> Number:
    """Write down the measured points; how many they are. ``numbers`` holds each one's own, −1 for none."""
    x, y, z, u, v = planes[0], planes[1], planes[2], planes[3], planes[4]
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
def _join(planes: np.ndarray, numbers: np.ndarray, columns: int, max_depth_jump: float, faces: np.ndarray) -> Number:
    x, y, z = planes[0], planes[1], planes[2]
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
