"""OFF: the Object File Format in text; vertices ``x y z``, polygons of any size, no texture.

Repaired, and noted: polygons of fewer than three corners (left out). Refused: binary files, vertices with normals,
colours or texture coordinates (``NOFF``, ``COFF``, ``STOFF``), lines that do not hold the numbers they should.
"""

import re
from pathlib import Path

import numpy as np

from affect4d.scans.readers.limits import MAX_FACES, MAX_VERTICES, check_count, read_capped
from affect4d.scans.readers.numbers import number_lines, whole_lines
from affect4d.scans.readers.polygons import assemble_mesh, fan_triangles, whole_indices
from affect4d.scans.scan import FaceScan, ScanError

MAX_COLOUR = 4
_HEAD = re.compile(rb"(?:\s*+#[^\r\n]*+)*+\s*OFF(?![\w])")


def read_off(path: Path, texture: Path | None = None) -> FaceScan:
    """Read an OFF mesh.

    Args:
        path: The file.
        texture: Not used: plain OFF has no texture coordinates.

    Returns:
        The scan in the file's own coordinates, without texture.

    Raises:
        ScanError: If the file is not a usable mesh.
    """
    raw = read_capped(path)
    head = _HEAD.match(raw)
    if head is None:
        raise ScanError("not-off", path, "the file does not start with a plain 'OFF'", "line 1")
    numbers, ends = number_lines(whole_lines(raw), head.end(), path, comments=True)
    widths = np.diff(ends, prepend=0)
    if len(widths) == 0 or not 2 <= widths[0] <= 3:
        raise ScanError("malformed", path, "behind 'OFF' there is no line of the numbers of vertices, faces and edges")
    rows, polygons = (_count(number, path) for number in numbers[:2])
    check_count(rows, MAX_VERTICES, path, "vertices")
    check_count(polygons, MAX_FACES, path, "faces")
    if len(widths) != 1 + rows + polygons or (widths[1 : 1 + rows] != 3).any():
        detail = f"{len(widths) - 1} lines for {rows} vertices of three numbers and {polygons} faces"
        raise ScanError("wrong-count", path, detail)
    with np.errstate(over="ignore"):
        vertices = numbers[ends[0] : ends[rows]].reshape(-1, 3).astype(np.float32)
    corners, lengths = _polygons(numbers, ends[rows:-1], widths[1 + rows :], path)
    poor = int((lengths < 3).sum())
    repairs = (f"{poor} polygons of fewer than 3 corners left out",) if poor else ()
    return assemble_mesh(path, vertices, fan_triangles(corners, lengths), None, None, repairs)


def _count(number: float, path: Path) -> int:
    if not 0 <= number < 2**31 or number != int(number):
        raise ScanError("wrong-count", path, f"{number:g} is no number of vertices or faces")
    return int(number)


def _polygons(numbers: np.ndarray, starts: np.ndarray, widths: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Corners of all polygons in a row, and corners of each; a colour behind them is passed over."""
    counts = numbers[starts]
    broken = np.flatnonzero(~((np.abs(counts) < 2.0**31) & (counts == np.floor(counts))))
    if len(broken):
        detail = f"{counts[broken[0]]:g} is no number of corners"
        raise ScanError("wrong-count", path, detail, f"face {broken[0] + 1}")
    lengths = counts.astype(np.int32)
    spare = widths - 1 - lengths
    wrong = np.flatnonzero((lengths < 0) | (spare < 0) | (spare > MAX_COLOUR))
    if len(wrong):
        detail = f"a face of {lengths[wrong[0]]} corners on a line of {widths[wrong[0]]} numbers"
        raise ScanError("wrong-count", path, detail, f"face {wrong[0] + 1}")
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return whole_indices(numbers[np.repeat(starts + 1, lengths) + within], path), lengths
