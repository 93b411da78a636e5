"""Wavefront ``.obj``: ``v``, ``vt`` and ``f`` lines, every form of corner, polygons of any size.

The picture is the one that the materials in use name (:mod:`affect4d.scans.readers.wavefront_material`).

Repaired, and noted: a texture that is missing or not usable, or several (none is read); texture coordinates that no
corner uses and that are not as many as the vertices (left out). Refused: relative (negative) indices, corners written
in several forms, lines of unequal length, polygons of fewer than three corners.
"""

from dataclasses import replace as with_changes
from pathlib import Path

import numpy as np

from affect4d.arrays import Faces
from affect4d.scans.readers.limits import check_indices, read_capped
from affect4d.scans.readers.numbers import as_text, explain, line_of, whole_lines
from affect4d.scans.readers.polygons import assemble_mesh, fan_triangles
from affect4d.scans.readers.texture import attach_one_of
from affect4d.scans.readers.wavefront_material import named_pictures
from affect4d.scans.readers.wavefront_scanner import (
    BAD_INDEX,
    COORDINATES,
    CORNERS,
    COUNTERS,
    DONE,
    FEW_CORNERS,
    FORM,
    HAS_TEXTURE,
    MALFORMED,
    MIXED_FORMS,
    OUTCOME,
    POINTS,
    POLYGONS,
    WIDTHS,
    WRONG_COUNT,
    join_lines,
    scan_wavefront,
)
from affect4d.scans.scan import FaceScan, ScanError

_ROW_WIDTHS = {"v": (3, 4, 6, 7), "vt": (2, 3)}
_SHORTEST_POLYGON = len("f 1 1 1")
_REASONS = {
    WRONG_COUNT: ("wrong-count", "the line does not hold as many numbers as the first of its kind"),
    MIXED_FORMS: ("malformed", "corners are written in several forms"),
    FEW_CORNERS: ("wrong-count", "a face of fewer than three corners"),
}


def read_obj(path: Path, texture: Path | None = None) -> FaceScan:
    """Read a Wavefront face scan.

    A ``vt`` list as long as the ``v`` list is aligned to it where corners give no texture index (as BP4D writes it).

    Args:
        path: The file.
        texture: Picture to use instead of the one its material names.

    Returns:
        The scan in the file's own coordinates.

    Raises:
        ScanError: If the file is not a usable scan.
    """
    raw = _whole_statements(whole_lines(read_capped(path)))
    scan = _mesh(raw, path)
    pictures, notes = named_pictures(raw, path) if texture is None else ((), ())
    pixels, repairs = attach_one_of(path, pictures, texture)
    return with_changes(scan, texture=pixels, repairs=scan.repairs + (notes if pixels is None else ()) + repairs)


def _whole_statements(raw: bytes) -> bytes:
    """The text with lines of numbers and corners that go on behind a backslash made one; no byte moves."""
    if b"\\" not in raw or not (b"\\\n" in raw or b"\\\r\n" in raw):  # one byte is sought ten times as fast as two
        return raw
    joined = bytearray(raw)
    join_lines(as_text(joined))
    return bytes(joined)


def _mesh(raw: bytes, path: Path) -> FaceScan:
    """What the lines say. A number takes two bytes at least: the file's size says how much room is needed."""
    room = len(raw) // 2 + 1
    points, coordinates = np.empty(room, np.float32), np.empty(room, np.float32)
    corners, texture_corners = np.empty(room, np.int32), np.empty(room, np.int32)
    lengths, counts = np.empty(len(raw) // _SHORTEST_POLYGON + 1, np.int32), np.zeros(COUNTERS, np.int64)
    at = scan_wavefront(as_text(raw), points, coordinates, corners, texture_corners, lengths, counts)
    if counts[OUTCOME] != DONE:
        raise _explain(raw, int(counts[OUTCOME]), at, path)
    for kind, count in (("v", POINTS), ("f", POLYGONS)):
        if counts[count] == 0:
            raise ScanError("no-mesh", path, f"there is no {kind!r} line in it")
    return _assemble(
        path,
        _table(points, counts, POINTS, "v", path)[:, :3],
        _table(coordinates, counts, COORDINATES, "vt", path)[:, :2],
        corners[: counts[CORNERS]],
        texture_corners[: counts[CORNERS]] if counts[FORM] & HAS_TEXTURE else None,
        lengths[: counts[POLYGONS]],
    )


def _table(numbers: np.ndarray, counts: np.ndarray, kind: int, name: str, path: Path) -> np.ndarray:
    """The numbers as rows, one a line; the room that was not needed is given back."""
    width = int(counts[WIDTHS + kind])
    if width and width not in _ROW_WIDTHS[name]:
        raise ScanError("wrong-count", path, f"{width} numbers on every {name!r} line")
    numbers.resize(int(counts[kind]), refcheck=False)
    return numbers.reshape(-1, width or 2)


def _assemble(
    path: Path,
    points: np.ndarray,
    coordinates: np.ndarray,
    corners: np.ndarray,
    texture_corners: np.ndarray | None,
    lengths: np.ndarray,
) -> FaceScan:
    points, coordinates = np.ascontiguousarray(points), np.ascontiguousarray(coordinates)
    faces = _triangles(corners, lengths, len(points), path, "face")
    if len(coordinates) == 0:
        return assemble_mesh(path, points, faces, None, None)
    if texture_corners is not None:
        own = _triangles(texture_corners, lengths, len(coordinates), path, "texture")
        return assemble_mesh(path, points, faces, coordinates, own)
    if len(coordinates) != len(points):
        note = f"{len(coordinates)} texture coordinates without an index left out"
        return assemble_mesh(path, points, faces, None, None, (note,))
    return assemble_mesh(path, points, faces, coordinates, None)


def _triangles(corners: np.ndarray, lengths: np.ndarray, count: int, path: Path, what: str) -> Faces:
    """Triangles counted from 0."""
    if corners.min() < 0:
        raise ScanError(
            "relative-index", path, f"negative {what} indices are not read: export the mesh with absolute ones"
        )
    shifted = corners - np.int32(1)
    check_indices(shifted, count, path, what, first=1)
    return fan_triangles(shifted, lengths)


def _explain(raw: bytes, outcome: int, at: int, path: Path) -> ScanError:
    if outcome in (MALFORMED, BAD_INDEX):
        return explain(raw, at, path, whole=outcome == BAD_INDEX)
    code, detail = _REASONS[outcome]
    return ScanError(code, path, detail, line_of(raw, at))
