"""Wavefront ``.obj``: ``v``, ``vt`` and ``f`` lines, every form of corner, polygons of any size.

Lines are told apart by their first two bytes in one pass, runs of one kind are parsed in bulk, and the position of
every number is held against the position of its line and corner, so that a missing number cannot be made up for by
another line.
"""

import re
from dataclasses import replace as with_changes
from pathlib import Path

import numpy as np

from affect4d.scans.readers.limits import check_indices, read_capped
from affect4d.scans.readers.numbers import blank_comments, parse_floats, parse_integers
from affect4d.scans.readers.polygons import assemble_mesh, fan_triangles
from affect4d.scans.readers.texture import attach_texture, is_plain_name
from affect4d.scans.scan import FaceScan, ScanError

MAX_MATERIAL_BYTES = 2**20
_MATERIAL = re.compile(rb"^mtllib[ \t]+([^\r\n]+?)[ \t]*$", re.MULTILINE)
_PICTURE = re.compile(rb"^[ \t]*map_Kd[ \t]+([^\r\n]+?)[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)
_INDENT = re.compile(rb"^ +", re.MULTILINE)
_BLANK, _BREAK = b" \n"
_DIGITS, _NUMERIC = b"0123456789", b"0123456789.+-eE"
_TRIANGLES = ((b"f   \n", 1, False), (b"f / / /\n", 2, True), (b"f // // //\n", 3, True))
"""Lines of triangles without their digits, numbers a corner, and whether the second one is a texture index."""


def read_obj(path: Path, texture: Path | None = None) -> FaceScan:
    """Read a Wavefront face scan.

    A ``vt`` list as long as the ``v`` list is aligned to it where corners give no texture index (as BP4D writes it).

    Args:
        path: The file.
        texture: Picture to use instead of the one its material names.

    Returns:
        The scan in the file's own coordinates. A bad texture is a repair; so are texture coordinates that no corner
        uses and that are not as many as the vertices (left out).

    Raises:
        ScanError: If the file is not a usable scan; relative (negative) indices are refused.
    """
    raw = _normalised(read_capped(path))
    scan = _mesh(raw, path)
    pixels, repairs = attach_texture(path, _picture_name(raw, path) if texture is None else None, texture)
    return with_changes(scan, texture=pixels, repairs=scan.repairs + repairs)


def _normalised(raw: bytes) -> bytes:
    """Unix line ends, blanks for tabs, no indents, no continued lines, a line end at the end."""
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\\" in raw:
        raw = raw.replace(b"\\\n", b"  ")
    if b"\t" in raw:
        raw = raw.replace(b"\t", b" ")
    raw = raw if raw.endswith(b"\n") else raw + b"\n"
    indented = (np.frombuffer(raw, dtype=np.uint8)[_line_starts(raw)[:-1]] == _BLANK).any()
    return _INDENT.sub(b"", raw) if indented else raw


def _mesh(raw: bytes, path: Path) -> FaceScan:
    starts = _line_starts(raw)
    points = _numbers(_lines(raw, starts, b"v "), path, (3, 4, 6, 7), "v")[:, :3]
    texture_block = _lines(raw, starts, b"vt")
    coordinates = _numbers(texture_block, path, (2, 3), "vt")[:, :2] if texture_block else None
    corners, lengths = _corners(_lines(raw, starts, b"f "), path)
    faces = fan_triangles(_zero_based(corners[:, 0], len(points), path, "face"), lengths)
    points = np.ascontiguousarray(points)
    if coordinates is None:
        return assemble_mesh(path, points, faces, None, None)
    coordinates = np.ascontiguousarray(coordinates)
    if corners.shape[1] == 2:
        own = fan_triangles(_zero_based(corners[:, 1], len(coordinates), path, "texture"), lengths)
        return assemble_mesh(path, points, faces, coordinates, own)
    if len(coordinates) != len(points):
        note = f"{len(coordinates)} texture coordinates without an index left out"
        return assemble_mesh(path, points, faces, None, None, (note,))
    return assemble_mesh(path, points, faces, coordinates, None)


def _lines(raw: bytes, line_starts: np.ndarray, start: bytes) -> bytes:
    """All lines that start with two given bytes, in order."""
    text = np.frombuffer(raw, dtype=np.uint8)
    first, second = line_starts[:-1], np.minimum(line_starts[:-1] + 1, len(text) - 1)
    wanted = (text[first] == start[0]) & (text[second] == start[1])
    edges = np.flatnonzero(np.diff(wanted.astype(np.int8), prepend=0, append=0))
    spans = zip(line_starts[edges[::2]], line_starts[edges[1::2]], strict=True)
    runs = [raw[begin:end] for begin, end in spans]
    return blank_comments(runs[0] if len(runs) == 1 else b"".join(runs))


def _line_starts(block: bytes) -> np.ndarray:
    """Positions where lines start, and the end of the block."""
    return np.concatenate([[0], np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == _BREAK) + 1])


def _token_starts(block: bytes, marks: bytes) -> np.ndarray:
    """Positions where a token starts, the marks being between tokens."""
    is_token = bytes(byte not in marks for byte in range(256))
    inside = np.frombuffer(block.translate(is_token), dtype=np.uint8)
    return np.flatnonzero(inside[1:] > inside[:-1]) + 1


def _counts_per_line(starts: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """How many of some positions lie on each line."""
    count = len(lines) - 1
    if len(starts) and len(starts) % count == 0:
        grid = starts.reshape(count, -1)
        if (grid[:, 0] >= lines[:-1]).all() and (grid[:, -1] < lines[1:]).all():
            return np.full(count, grid.shape[1])
    return np.diff(np.searchsorted(starts, lines))


def _regular_line(block: bytes, deleted: bytes) -> bytes | None:
    """What is left of every line without some bytes, where that is the same on all lines; else None.

    With one number between all separators (:func:`_fills`), equal lines hold equally many numbers, each in its place.
    """
    pattern = block[: block.index(b"\n") + 1].translate(None, deleted)
    return pattern if block.translate(None, deleted) == pattern * block.count(b"\n") else None


def _fills(numbers: np.ndarray, block: bytes, width: int) -> bool:
    """Whether there are as many numbers as places for them."""
    return len(numbers) == width * block.count(b"\n")


def _numbers(block: bytes, path: Path, widths: tuple[int, ...], kind: str) -> np.ndarray:
    """Rows of numbers, the same count on every line."""
    if not block:
        raise ScanError("no-mesh", path, f"there is no {kind!r} line in it")
    numbers = parse_floats(block, path, separators=b" \n" + kind.encode())
    regular = _regular_line(block, _NUMERIC)
    if regular is not None:
        width = regular.count(b" ")
        if width in widths and regular == kind.encode() + b" " * width + b"\n" and _fills(numbers, block, width):
            return numbers.reshape(-1, width)
    counts = _counts_per_line(_token_starts(block, b" \n" + kind.encode()), _line_starts(block))
    width = int(counts[0])
    if width not in widths or not (counts == width).all():
        wrong = int(np.flatnonzero((counts != width) | (width not in widths))[0])
        raise ScanError("wrong-count", path, f"{counts[wrong]} numbers on a {kind!r} line", f"{kind} line {wrong + 1}")
    return numbers.reshape(-1, width)


def _corners(block: bytes, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Indices as written: [corners, 1] (position) or [corners, 2] (position, texture), and corners of each polygon."""
    if not block:
        raise ScanError("no-mesh", path, "there is no 'f' line in it")
    numbers = parse_integers(block, path, separators=b" \n/f")
    regular = _regular_line(block, _DIGITS)
    for line, width, textured in _TRIANGLES:
        if regular == line and _fills(numbers, block, 3 * width):
            return numbers.reshape(-1, width)[:, : 2 if textured else 1], np.full(len(numbers) // (3 * width), 3)
    return _irregular_corners(block, numbers, path)


def _irregular_corners(block: bytes, numbers: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`_corners`, for polygons of different sizes or odd spacing: by the position of every token."""
    starts, numbers_start = _token_starts(block, b" \nf"), _token_starts(block, b" \n/f")
    width = len(numbers) // max(len(starts), 1)
    uniform = width in (1, 2, 3) and len(numbers_start) == width * len(starts)
    if not uniform or not np.array_equal(numbers_start[::width], starts):
        raise ScanError("malformed", path, "corners are written in several forms")
    lengths = _counts_per_line(starts, _line_starts(block))
    if lengths.min() < 3:
        place = f"f line {int(lengths.argmin()) + 1}"
        raise ScanError("wrong-count", path, f"a face of {lengths.min()} corners", place)
    textured = width == 3 or (width == 2 and b"//" not in block)
    return numbers.reshape(-1, width)[:, : 2 if textured else 1], lengths


def _zero_based(indices: np.ndarray, count: int, path: Path, what: str) -> np.ndarray:
    if len(indices) and indices.min() < 0:
        raise ScanError("relative-index", path, f"negative {what} indices are not read")
    shifted = indices - np.int32(1)
    check_indices(shifted, count, path, what)
    return shifted


def _picture_name(raw: bytes, path: Path) -> str | None:
    """The picture that the file's material names, untrusted; only a material beside the file is opened."""
    match = _MATERIAL.search(raw, 0, 65536) if b"mtllib" in raw[:65536] else None
    name = match[1].decode("utf-8", "replace") if match else ""
    if not is_plain_name(name) or not (path.parent / name).is_file():
        return None
    try:
        picture = _PICTURE.search(read_capped(path.parent / name, MAX_MATERIAL_BYTES))
    except ScanError:
        return None
    return picture[1].decode("utf-8", "replace") if picture else None
