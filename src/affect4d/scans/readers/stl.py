"""STL, text and binary: triangles without texture, every one with its own three points; equal points are merged.

Binary is 80 bytes, ``u32 n``, then n times twelve ``f32`` (normal and three corners) and two bytes; a file is binary
where its size says so exactly. Words of a text may be in capitals. STL has no unit: numbers are taken as they are.

Repaired: nothing. Refused: a text file without ``endsolid``, or with a loop of other than three ``vertex`` lines.
"""

from pathlib import Path

import numpy as np

from affect4d.compiled import Number, compiled
from affect4d.scans.readers.limits import BYTE_ORDER_MARK, read_bytes
from affect4d.scans.readers.numbers import as_text, explain, line_of, whole_lines
from affect4d.scans.readers.polygons import assemble_mesh, merge_points
from affect4d.scans.readers.scanner import IN_LINES, LINE_BREAK, NO_WIDTH, NO_WORD, numbers_from
from affect4d.scans.scan import FaceScan, ScanError

_HEAD = 84
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", 9), ("attribute", "<u2")])
_VERTEX, _END_LOOP = np.frombuffer(b"vertex", np.uint8), np.frombuffer(b"endloop", np.uint8)
_SMALL = np.uint8(32)
"""The bit that makes a letter small."""


def read_stl(path: Path, texture: Path | None = None) -> FaceScan:
    """Read an STL mesh.

    Args:
        path: The file.
        texture: Not used: STL has no texture coordinates.

    Returns:
        The scan in the file's own coordinates, without texture.

    Raises:
        ScanError: If the file is not a usable mesh.
    """
    raw = read_bytes(path)
    corners = _binary_corners(raw) if _is_binary(raw) else _text_corners(raw.removeprefix(BYTE_ORDER_MARK), path)
    if not np.isfinite(corners).all():
        raise ScanError("not-finite", path, "a coordinate is not a finite number")
    vertices, index = merge_points(corners.reshape(-1, 3))
    return assemble_mesh(path, vertices, index.reshape(-1, 3), None, None)


def _is_binary(raw: bytes) -> bool:
    return len(raw) >= _HEAD and len(raw) == _HEAD + _TRIANGLE.itemsize * int.from_bytes(raw[80:_HEAD], "little")


def _binary_corners(raw: bytes) -> np.ndarray:
    return np.frombuffer(raw, _TRIANGLE, offset=_HEAD)["corners"].astype(np.float32)


def _text_corners(raw: bytes, path: Path) -> np.ndarray:
    if not raw.lstrip()[:5].lower() == b"solid":
        raise ScanError("not-stl", path, "the file is neither binary STL of its size nor starts with 'solid'", "line 1")
    if b"endsolid" not in raw.rstrip()[-1000:].lower():
        raise ScanError("truncated", path, "'endsolid' is missing", f"byte {len(raw)}")
    text = whole_lines(raw)
    numbers = np.empty(len(text) // 2 + 1, np.float32)
    filled, at = _scan_vertices(as_text(text), numbers)
    if at < len(text):
        if text[at] != LINE_BREAK and not IN_LINES[text[at]]:
            raise explain(text, at, path)
        raise ScanError("wrong-count", path, "a loop is no triangle", line_of(text, at))
    if filled == 0 or filled % 9:
        raise ScanError("wrong-count", path, f"{filled} numbers on its 'vertex' lines make no triangles")
    return numbers[:filled].copy()


@compiled
def _starts_with(text: np.ndarray, at: int, word: np.ndarray) -> bool:
    """Whether a word of small letters is there, in letters of either case."""
    if at + len(word) >= len(text):
        return False
    equal = 0
    while equal < len(word) and text[at + equal] | _SMALL == word[equal]:
        equal += 1
    return bool(equal == len(word))


@compiled
def _scan_vertices(text: np.ndarray, numbers: np.ndarray) -> tuple[Number, Number]:
    """Numbers of all ``vertex`` lines; how many there are, and where it stopped (at the end, if nothing is wrong)."""
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
