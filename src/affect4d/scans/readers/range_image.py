"""Bosphorus range images (``.bnt``), little-endian binary.

``u16 rows, u16 columns, f64 background, u16 length, name of the picture, u32 n, f64[n]`` with n = 5 · rows · columns:
the planes x, y, z (mm, +y up, +z to the camera), u, v (v top-down), row 0 at the bottom of the face. A point is
background where any of x, y, z equals the background number; u and v are valid even there. (Layout verified on bytes
of such a file.)

Repaired, and noted: bytes after the last plane; a picture that is missing or not usable. Refused: n that is not five
times the grid, a file shorter than its header says, a measured point that is not finite.
"""

import struct
from dataclasses import dataclass
from dataclasses import replace as with_changes
from pathlib import Path
from typing import NamedTuple

import numpy as np

from affect4d.scans.readers.grid import Measured, Planes, find_measured, mesh_of_grid
from affect4d.scans.readers.limits import check_grid, read_bytes
from affect4d.scans.readers.texture import attach_texture
from affect4d.scans.scan import FaceScan, ScanError

PLANES = 5
_HEAD, _COUNT = struct.Struct("<HHdH"), struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class RangeImage:
    """A range image as its file holds it, checked.

    Attributes:
        planes: The numbers of the file where they were read to, not copied: read-only, at any address.
        measured: Where there is no background; every number of such a point is finite.
        picture: The name the file gives its picture, untrusted.
        repairs: Benign defects that were passed over while reading, in words.
    """

    planes: Planes
    measured: Measured
    picture: str
    repairs: tuple[str, ...] = ()


def read_bnt(path: Path, texture: Path | None = None) -> FaceScan:
    """Read a Bosphorus face scan.

    Args:
        path: The file.
        texture: Picture to use instead of the one it names, or of the ``.png`` with its own stem.

    Returns:
        The scan in the file's own coordinates.

    Raises:
        ScanError: If the file is not a usable scan.
    """
    image = read_range_image(path)
    scan = mesh_of_grid(image.planes, image.measured, path)
    pixels, repairs = attach_texture(path, image.picture, texture)
    return with_changes(scan, texture=pixels, repairs=(*image.repairs, *repairs))


def read_range_image(path: Path) -> RangeImage:
    """Read the grid of a Bosphorus face scan, without joining its points or looking for its picture.

    The file is read, not mapped: one that is cut short meanwhile would end the process.

    Raises:
        ScanError: If the header and the size do not agree, or a measured point is not finite.
    """
    raw = read_bytes(path)
    header = _read_header(raw, path)
    planes = np.frombuffer(raw, "<f8", header.numbers, header.start).reshape(PLANES, header.rows, header.columns)
    more = len(raw) - header.start - planes.nbytes
    repairs = (f"{more} bytes after the last plane ignored",) if more else ()
    return RangeImage(planes, find_measured(planes, header.background, path), header.picture, repairs)


class _Header(NamedTuple):
    """What stands before the planes; so many numbers from byte ``start`` on."""

    rows: int
    columns: int
    background: float
    picture: str
    numbers: int
    start: int


def _read_header(raw: bytes, path: Path) -> _Header:
    """The header, in agreement with the size of the file."""
    ended = ScanError("truncated", path, "the file ends inside its header", f"byte {len(raw)}")
    if len(raw) < _HEAD.size:
        raise ended
    rows, columns, background, length = _HEAD.unpack_from(raw)
    count_at = _HEAD.size + length
    start = count_at + _COUNT.size
    if len(raw) < start:
        raise ended
    (count,) = _COUNT.unpack_from(raw, count_at)
    check_grid(rows, columns, path)
    if count != PLANES * rows * columns:
        detail = f"{count} numbers for a grid of {rows} by {columns}, expected {PLANES * rows * columns}"
        raise ScanError("wrong-count", path, detail, f"byte {count_at}")
    if len(raw) < start + 8 * count:
        detail = f"{len(raw)} bytes, its header promises {start + 8 * count}"
        raise ScanError("truncated", path, detail, f"byte {len(raw)}")
    return _Header(rows, columns, background, raw[_HEAD.size : count_at].decode("utf-8", "replace"), count, start)
