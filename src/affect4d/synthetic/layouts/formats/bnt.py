"""Bosphorus' range images (``.bnt``): five planes of doubles on a grid, background marked by one number."""

import struct

import numpy as np

from affect4d.scans.scan import FaceScan
from affect4d.synthetic.layouts.formats.range_image import range_image

BACKGROUND = -1e9
ROWS, COLUMNS = 233, 186


def bnt_bytes(scan: FaceScan, picture: str, rows: int = ROWS, columns: int = COLUMNS) -> bytes:
    """A scan resampled on a grid: little-endian header, then the planes x, y, z, u, v, row 0 at the bottom, v top-down.

    Args:
        scan: With texture coordinates.
        picture: Name of the texture's file, as the header gives it.
        rows: Of the grid.
        columns: Of the grid.

    Raises:
        ValueError: If the scan has no texture coordinates.
    """
    planes, seen = range_image(scan, rows, columns)
    planes[~seen, :3] = BACKGROUND
    planes[..., 4] = 1.0 - planes[..., 4]
    name = picture.encode("ascii")
    header = struct.pack(f"<HHdH{len(name)}sI", rows, columns, BACKGROUND, len(name), name, planes.size)
    return header + np.ascontiguousarray(planes.transpose(2, 0, 1)).astype("<f8").tobytes()
