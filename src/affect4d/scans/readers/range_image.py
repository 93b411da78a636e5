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
from pydantic import BaseModel, ConfigDict, Field

from affect4d.array_types import RangePlanes
from affect4d.scans.readers.mesh_checks import MAX_VERTICES, MeshFile, assemble_mesh, check_count, read_bytes
from affect4d.scans.scan import ScanError
from affect4d.scans.triangles import flag_measured, join_grid

Measured = Bool[np.ndarray, "rows columns"]
"""Where a range image has a point, and not background."""
PLANES = 5
MAX_DEPTH_JUMP = 10.0
"""Largest difference in depth, in mm, inside one cell of the grid; beyond it there is an edge, not a surface [ours]."""
DEPTH_MODES = ("I;16", "I;16B", "I;16L", "I")
_HEAD, _COUNT = struct.Struct("<HHdH"), struct.Struct("<I")


class Intrinsics(BaseModel):
    """The pinhole camera of a depth sensor, in pixels of its image, whose top left pixel has its centre at (0, 0)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fx: float = Field(gt=0, description="Focal length along a row, in pixels.")
    fy: float = Field(gt=0, description="Focal length down a column, in pixels.")
    cx: float = Field(description="Column of the optical axis, in pixels.")
    cy: float = Field(description="Row of the optical axis, in pixels.")
    millimetres_per_unit: float = Field(default=1.0, gt=0, description="Depth of one step of the image's numbers.")
    near: float = Field(default=100.0, ge=0, description="Nearest valid depth, in mm.")
    far: float = Field(default=3000.0, gt=0, description="Farthest valid depth, in mm.")


@dataclass(frozen=True, slots=True)
class RangeImage:
    """A range image as its file holds it, checked.

    Attributes:
        planes: The file's numbers, not copied: read-only, at any address.
        measured: Where there is no background; every number of such a point is finite.
    """

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
    """Read the grid of a Bosphorus face scan without its triangles.

    The file is read, not mapped: a mapped file that is truncated meanwhile would end the process.

    Raises:
        ScanError: If the header and the size do not agree, or a measured point is not finite.
    """
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
    """Refuse a grid without a cell, or of more points than a scan may have, before it is allocated."""
    if min(rows, columns) < 2:
        raise ScanError("wrong-count", path, f"a grid of {rows} rows of {columns} points has no cells")
    check_count(rows * columns, MAX_VERTICES, path, f"points ({rows} rows of {columns})")


def grid_mesh(planes: RangePlanes, measured: Measured, path: Path) -> MeshFile:
    """The surface of a range image: two triangles in each cell whose four corners are measured and close in depth."""
    vertices, coordinates, faces = join_grid(planes, measured, MAX_DEPTH_JUMP)
    return assemble_mesh(path, vertices, faces, coordinates)


def read_depth(path: Path, intrinsics: Intrinsics) -> MeshFile:
    """Read a depth image; ``functools.partial`` makes a :data:`~affect4d.scans.readers.MeshReader` of it.

    Returns:
        The mesh in the camera's frame turned to ours: +y up, +z towards the camera, which is at the origin.

    Raises:
        ScanError: If it is not a depth image, or no usable surface.
    """
    depth = _read_depths(path) * intrinsics.millimetres_per_unit
    valid = (depth > 0) & (depth >= intrinsics.near) & (depth <= intrinsics.far)
    return grid_mesh(_planes(depth, intrinsics), np.ascontiguousarray(valid[::-1]), path)


def _read_depths(path: Path) -> np.ndarray:
    """Numbers of the image, ``float64`` [rows, columns]."""
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
