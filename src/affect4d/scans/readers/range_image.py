"""Bosphorus range images (``.bnt``), little-endian binary.

``u16 rows, u16 columns, f64 background, u16 length, name of the picture, u32 n, f64[n]`` with n = 5 · rows · columns:
the planes x, y, z (mm, +y up, +z to the camera), u, v (v top-down), row 0 at the bottom of the face. A point is
background where any of x, y, z equals the background number; u and v are valid even there. (Layout verified on bytes
of such a file.)

Repaired, and noted: bytes after the last plane; a picture that is missing or not usable. Refused: n that is not five
times the grid, a file shorter than its header says.
"""

import struct
from dataclasses import replace as with_changes
from pathlib import Path

import numpy as np

from affect4d.scans.readers.grid import mesh_of_grid
from affect4d.scans.readers.limits import check_grid, read_bytes
from affect4d.scans.readers.texture import attach_texture
from affect4d.scans.scan import FaceScan, ScanError

PLANES = 5
_HEAD, _COUNT = struct.Struct("<HHdH"), struct.Struct("<I")


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
    raw = read_bytes(path)
    if len(raw) < _HEAD.size:
        raise ScanError("truncated", path, "the file ends inside its header", f"byte {len(raw)}")
    rows, columns, background, length = _HEAD.unpack_from(raw)
    count_at = _HEAD.size + length
    start = count_at + _COUNT.size
    if len(raw) < start:
        raise ScanError("truncated", path, "the file ends inside its header", f"byte {len(raw)}")
    (count,) = _COUNT.unpack_from(raw, count_at)
    end = start + 8 * count
    check_grid(rows, columns, path)
    if count != PLANES * rows * columns:
        detail = f"{count} numbers for a grid of {rows} by {columns}, expected {PLANES * rows * columns}"
        raise ScanError("wrong-count", path, detail, f"byte {count_at}")
    if len(raw) < end:
        raise ScanError("truncated", path, f"{len(raw)} bytes, its header promises {end}", f"byte {len(raw)}")
    planes = np.frombuffer(raw, "<f8", count, start).reshape(PLANES, rows, columns)
    scan = mesh_of_grid(planes, background, path)
    more = (f"{len(raw) - end} bytes after the last plane ignored",) if len(raw) > end else ()
    pixels, repairs = attach_texture(path, raw[_HEAD.size : count_at].decode("utf-8", "replace"), texture)
    return with_changes(scan, texture=pixels, repairs=(*scan.repairs, *more, *repairs))
