"""OFF and STL: meshes without texture.

OFF in text has vertices ``x y z`` and polygons of any size. Repaired, and noted: polygons of fewer than three corners
(left out). Refused: binary files, vertices with normals, colours or texture coordinates (``NOFF``, ``COFF``,
``STOFF``), lines that do not hold the numbers they should.

STL, text and binary, lists triangles, every one with its own three points; equal points are merged. Binary is 80 bytes,
``u32 n``, then n times twelve ``f32`` (normal and three corners) and two bytes; a file is binary where its size fits
exactly. Words of a text may be in capitals. STL has no unit: numbers are taken as they are. Refused: a text file
without ``endsolid``, or with a loop of other than three ``vertex`` lines.
"""

import re
from pathlib import Path

import numpy as np

from affect4d.jit import Number, compiled
from affect4d.scans.readers.mesh_checks_and_textures import (
    BYTE_ORDER_MARK,
    MAX_FACES,
    MAX_VERTICES,
    MeshFile,
    assemble_mesh,
    check_count,
    fan_triangles,
    merge_points,
    note_small_polygons,
    ranges,
    read_bytes,
    read_text,
    whole_indices,
)
from affect4d.scans.readers.text_numbers import (
    IN_LINES,
    LINE_BREAK,
    NO_WIDTH,
    NO_WORD,
    as_array,
    line_number,
    number_error,
    numbers_from,
    parse_lines,
    unix_lines,
)
from affect4d.scans.scan import ScanError

MAX_COLOUR = 4
_OFF = re.compile(rb"(?:\s*+#[^\r\n]*+)*+\s*OFF(?![\w])")
_HEAD = 84
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", 9), ("attribute", "<u2")])
_VERTEX, _END_LOOP = np.frombuffer(b"vertex", np.uint8), np.frombuffer(b"endloop", np.uint8)
_LOWER_CASE = np.uint8(32)  # the bit that makes a letter small


def read_off(path: Path) -> MeshFile:
    """Read an OFF mesh in the file's own coordinates."""
    raw = read_text(path)
    head = _OFF.match(raw)
    if head is None:
        raise ScanError("not-off", path, "the file does not start with a plain 'OFF'", "line 1")
    numbers, ends = parse_lines(unix_lines(raw), head.end(), path, comments=True)
    widths = np.diff(ends, prepend=0)
    if len(widths) == 0 or not 2 <= widths[0] <= 3:
        raise ScanError("malformed", path, "behind 'OFF' there is no line of the numbers of vertices, faces and edges")
    rows, polygons = (_declared(number, path) for number in numbers[:2])
    check_count(rows, MAX_VERTICES, path, "vertices")
    check_count(polygons, MAX_FACES, path, "faces")
    if len(widths) != 1 + rows + polygons or (widths[1 : 1 + rows] != 3).any():
        detail = f"{len(widths) - 1} lines for {rows} vertices of three numbers and {polygons} faces"
        raise ScanError("wrong-count", path, detail)
    with np.errstate(over="ignore"):
        vertices = numbers[ends[0] : ends[rows]].reshape(-1, 3).astype(np.float32)
    corners, lengths = _off_polygons(numbers, ends[rows:-1], widths[1 + rows :], path)
    faces = fan_triangles(corners, lengths)
    return assemble_mesh(path, vertices, faces, repairs=note_small_polygons(lengths, smallest=0))


def _declared(number: float, path: Path) -> int:
    if not 0 <= number < 2**31 or number != int(number):
        raise ScanError("wrong-count", path, f"{number:g} is no number of vertices or faces")
    return int(number)


def _off_polygons(
    numbers: np.ndarray, starts: np.ndarray, widths: np.ndarray, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Corners of all polygons, one after the other, and the number of corners of each; colours are passed over."""
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
    return whole_indices(numbers[ranges(starts + 1, lengths)], path), lengths


def read_stl(path: Path) -> MeshFile:
    """Read an STL mesh in the file's own coordinates."""
    raw = read_bytes(path)
    declared = int.from_bytes(raw[80:_HEAD], "little")
    if len(raw) >= _HEAD and len(raw) == _HEAD + _TRIANGLE.itemsize * declared:
        corners = np.frombuffer(raw, _TRIANGLE, offset=_HEAD)["corners"].astype(np.float32)
    else:
        corners = _text_corners(raw.removeprefix(BYTE_ORDER_MARK), path)
    if not np.isfinite(corners).all():
        raise ScanError("not-finite", path, "a coordinate is not a finite number")
    vertices, index = merge_points(corners.reshape(-1, 3))
    return assemble_mesh(path, vertices, index.reshape(-1, 3))


def _text_corners(raw: bytes, path: Path) -> np.ndarray:
    if not raw.lstrip()[:5].lower() == b"solid":
        raise ScanError("not-stl", path, "the file is neither binary STL of its size nor starts with 'solid'", "line 1")
    if b"endsolid" not in raw.rstrip()[-1000:].lower():
        raise ScanError("truncated", path, "'endsolid' is missing", f"byte {len(raw)}")
    text = unix_lines(raw)
    numbers = np.empty(len(text) // 2 + 1, np.float32)
    filled, at = _scan_vertices(as_array(text), numbers)
    if at < len(text):
        if text[at] != LINE_BREAK and not IN_LINES[text[at]]:
            raise number_error(text, at, path)
        raise ScanError("wrong-count", path, "a loop is no triangle", line_number(text, at))
    if filled == 0 or filled % 9:
        raise ScanError("wrong-count", path, f"{filled} numbers on its 'vertex' lines make no triangles")
    return numbers[:filled].copy()


@compiled
def _starts_with(text: np.ndarray, at: int, word: np.ndarray) -> bool:
    """Whether a word of small letters is there, in letters of either case."""
    if at + len(word) >= len(text):
        return False
    equal = 0
    while equal < len(word) and text[at + equal] | _LOWER_CASE == word[equal]:
        equal += 1
    return bool(equal == len(word))


@compiled
def _scan_vertices(text: np.ndarray, numbers: np.ndarray) -> tuple[Number, Number]:
    """Numbers of all ``vertex`` lines; their count, and the byte where it stopped (the end, if nothing is wrong)."""
    at, filled = 0, 0
    while at < len(text):
        while IN_LINES[text[at]]:
            at += 1
        if _starts_with(text, at, _VERTEX):
            before = filled
            filled, at, _ = numbers_from(text, at + len(_VERTEX), IN_LINES, numbers, filled, NO_WORD, NO_WIDTH)
            if filled - before != 3 or text[at] != LINE_BREAK:
                return filled, at
        elif _starts_with(text, at, _END_LOOP) and filled % 9:
            return filled, at + len(_END_LOOP)
        while text[at] != LINE_BREAK:
            at += 1
        at += 1
    return filled, at
