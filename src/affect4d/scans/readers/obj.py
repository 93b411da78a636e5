"""Wavefront ``.obj``: ``v``, ``vt`` and ``f`` lines, every form of corner, polygons of any size; and its ``.mtl``.

The image is the one that the materials in use name: ``map_Kd`` in the ``.mtl`` files beside the scan. Nothing but a
file in the scan's own folder is opened, whatever a name says.

Repaired, and noted: a texture that is missing or not usable, or several (none is read); texture coordinates that no
corner uses and that are not as many as the vertices (left out). Refused: relative (negative) indices, lines continued
behind a backslash, corners written in several forms, lines of unequal length, polygons of fewer than three corners.
"""

import re
from collections.abc import Iterator
from dataclasses import replace as with_changes
from pathlib import Path

import numpy as np

from affect4d.array_types import Faces
from affect4d.jit import Number, compiled
from affect4d.scans.readers.mesh_checks_and_textures import (
    MeshFile,
    assemble_mesh,
    check_indices,
    fan_triangles,
    in_folder,
    is_plain_name,
    is_there,
    read_text,
)
from affect4d.scans.readers.text_numbers import (
    IN_LINES,
    LINE_BREAK,
    MAX_WHOLE,
    NO_WIDTH,
    as_array,
    line_number,
    number_error,
    numbers_from,
    unix_lines,
)
from affect4d.scans.scan import ScanError

MAX_MATERIAL_BYTES, MAX_MATERIAL_FILES = 2**20, 16
HEAD_BYTES = 65536  # how far into the file its materials may be named
_STATEMENT = re.compile(rb"^[ \t]*(newmtl|map_Kd)[ \t]+([^\n]+)", re.MULTILINE | re.IGNORECASE)

POINTS, COORDINATES, CORNERS, POLYGONS, WIDTHS, _, FORM, OUTCOME, COUNTERS = range(9)
"""Counters: numbers on ``v`` and ``vt`` lines, corners, polygons, numbers a line (from ``WIDTHS``), form, defect."""
DONE, WRONG_COUNT, MALFORMED, MIXED_FORMS, FEW_CORNERS, BAD_INDEX = range(6)
HAS_TEXTURE = 2  # forms are sums: 1 for a position, 2 for a texture index, 4 for a normal
_V, _T, _F, _SLASH, _HASH, _MINUS, _BACKSLASH = b"vtf/#-\\"
_ZERO, _ONE, _TEN = np.uint64(0), np.uint64(1), np.uint64(10)
_V_LINE, _VT_LINE = np.frombuffer(b"v\0", np.uint8), np.frombuffer(b"vt", np.uint8)
_ROW_WIDTHS = {"v": (3, 4, 6, 7), "vt": (2, 3)}
_SHORTEST_POLYGON = len("f 1 1 1")
_DEFECTS = {
    WRONG_COUNT: ("wrong-count", "the line does not hold as many numbers as the first of its kind"),
    MIXED_FORMS: ("malformed", "corners are written in several forms"),
    FEW_CORNERS: ("wrong-count", "a face of fewer than three corners"),
}


def read_obj(path: Path) -> MeshFile:
    """Read a Wavefront scan; where corners give no texture index, ``vt`` lines fit ``v`` lines (as in BP4D)."""
    raw = unix_lines(read_text(path))
    mesh = _mesh(raw, path)
    names, notes = _image_names(raw, path)
    return with_changes(mesh, image_names=names, image_notes=notes)


def _mesh(raw: bytes, path: Path) -> MeshFile:
    room = len(raw) // 2 + 1  # a number takes two bytes at least
    points, coordinates = np.empty(room, np.float32), np.empty(room, np.float32)
    corners, texture_corners = np.empty(room, np.int32), np.empty(room, np.int32)
    lengths, counts = np.empty(len(raw) // _SHORTEST_POLYGON + 1, np.int32), np.zeros(COUNTERS, np.int64)
    at = _scan_lines(as_array(raw), points, coordinates, corners, texture_corners, lengths, counts)
    if counts[OUTCOME] != DONE:
        raise _error(raw, int(counts[OUTCOME]), at, path)
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


def _error(raw: bytes, defect: int, at: int, path: Path) -> ScanError:
    if defect in _DEFECTS:
        code, detail = _DEFECTS[defect]
        return ScanError(code, path, detail, line_number(raw, at))
    if raw[at] == _BACKSLASH:
        detail = "a line that goes on behind a backslash is not read: write it as one line"
        return ScanError("unsupported", path, detail, line_number(raw, at))
    return number_error(raw, at, path, whole=defect == BAD_INDEX)


def _table(numbers: np.ndarray, counts: np.ndarray, kind: int, name: str, path: Path) -> np.ndarray:
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
) -> MeshFile:
    points, coordinates = np.ascontiguousarray(points), np.ascontiguousarray(coordinates)
    faces = _triangles(corners, lengths, len(points), path, "face")
    if len(coordinates) == 0:
        return assemble_mesh(path, points, faces)
    if texture_corners is not None:
        own = _triangles(texture_corners, lengths, len(coordinates), path, "texture")
        return assemble_mesh(path, points, faces, coordinates, own)
    if len(coordinates) != len(points):
        note = f"{len(coordinates)} texture coordinates without an index left out"
        return assemble_mesh(path, points, faces, repairs=(note,))
    return assemble_mesh(path, points, faces, coordinates)


def _triangles(corners: np.ndarray, lengths: np.ndarray, count: int, path: Path, what: str) -> Faces:
    if corners.min() < 0:
        detail = f"negative {what} indices are not read: export the mesh with absolute ones"
        raise ScanError("relative-index", path, detail)
    shifted = corners - np.int32(1)
    check_indices(shifted, count, path, what, first=1)
    return fan_triangles(shifted, lengths)


def _image_names(raw: bytes, path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Untrusted image names of the materials in use (or of all, where ``usemtl`` names none), each once; and notes."""
    images: dict[bytes, str | None] = {}
    notes = []
    for name in _material_files(raw, path.parent):
        if not is_plain_name(name):
            notes.append(f"material name {name[:60]!r} refused: not a plain file name")
        elif not is_there(path.parent / name):
            notes.append(f"material {name[:60]!r} missing")
        else:
            try:
                images = _material_images(unix_lines(read_text(path.parent / name, MAX_MATERIAL_BYTES))) | images
            except ScanError as error:
                notes.append(f"material {name[:60]!r} refused: {error.detail}")
    chosen = set(images.values())
    if len(chosen) > 1:  # else the file need not be searched
        used = images.keys() & set(_arguments(b"usemtl", raw))
        chosen = {images[material] for material in used or images}
    return tuple(sorted(name for name in chosen if name is not None)), tuple(notes)


def _material_files(raw: bytes, folder: Path) -> tuple[str, ...]:
    """The files that ``mtllib`` lines name: a name may have blanks, and a line several names; those that exist."""
    names: dict[str, None] = {}
    for line in _arguments(b"mtllib", raw[:HEAD_BYTES]):
        whole = in_folder(line.decode("utf-8", "replace"))
        words = [in_folder(word) for word in whole.split()[:MAX_MATERIAL_FILES]]
        there = [name for name in (whole, *words) if is_plain_name(name) and is_there(folder / name)]
        names |= dict.fromkeys(there or [whole])
    return tuple(names)[:MAX_MATERIAL_FILES]


def _arguments(word: bytes, raw: bytes) -> Iterator[bytes]:
    for match in re.finditer(word + rb"[ \t]+([^\n]+)", raw):
        if not raw[raw.rfind(b"\n", 0, match.start()) + 1 : match.start()].strip():
            yield match[1].strip()


def _material_images(raw: bytes) -> dict[bytes, str | None]:
    """Materials of an ``.mtl`` file, each with its image or None; options before the name are dropped."""
    images: dict[bytes, str | None] = {}
    material = b""
    for match in _STATEMENT.finditer(raw):
        if match[1].lower() == b"newmtl":
            material = match[2].strip()
            images.setdefault(material, None)
        elif images.get(material) is None:
            name = match[2].strip()
            name = name.split()[-1] if name.startswith(b"-") else name
            images[material] = in_folder(name.decode("utf-8", "replace")) or None
    return images


@compiled
def _scan_lines(
    text: np.ndarray,
    points: np.ndarray,
    coordinates: np.ndarray,
    corners: np.ndarray,
    texture_corners: np.ndarray,
    lengths: np.ndarray,
    counts: np.ndarray,
) -> Number:
    """Read all ``v``, ``vt`` and ``f`` lines of a text that ends in a line break, into the arrays given.

    ``points`` and ``coordinates`` get the numbers of the ``v`` and ``vt`` lines, ``corners`` and ``texture_corners``
    the indices as written (counted from 1), ``lengths`` the corners of every ``f`` line. Numbers are counted line by
    line and corners one by one, so that another line cannot make up for a missing one. Returned is the byte where it
    ended; ``counts[OUTCOME]`` is ``DONE``, or the defect there.
    """
    at = 0
    while at < len(text):
        while IN_LINES[text[at]]:
            at += 1
        if text[at] == _F and IN_LINES[text[at + 1]]:
            at = _polygons(text, at + 1, corners, texture_corners, lengths, counts)
        elif text[at] == _V and IN_LINES[text[at + 1]]:
            at = _rows(text, at + 1, _V_LINE, points, counts, POINTS)
        elif text[at] == _V and text[at + 1] == _T and IN_LINES[text[at + 2]]:
            at = _rows(text, at + 2, _VT_LINE, coordinates, counts, COORDINATES)
        if counts[OUTCOME] != DONE:
            return at
        while text[at] != LINE_BREAK:
            at += 1
        at += 1
    return at


@compiled
def _ends_line(mark: Number) -> Number:
    return (mark == LINE_BREAK) | (mark == _HASH)


@compiled
def _rows(text: np.ndarray, start: int, word: np.ndarray, table: np.ndarray, counts: np.ndarray, kind: int) -> Number:
    """Lines of numbers in a row, each with as many as the first of its kind."""
    width = counts[WIDTHS + kind]
    filled, at, due = numbers_from(text, start, IN_LINES, table, counts[kind], word, width if width else NO_WIDTH)
    if width == 0:
        due = counts[WIDTHS + kind] = filled
    if not _ends_line(text[at]):
        counts[OUTCOME] = MALFORMED
    elif filled == counts[kind] or filled != due:
        counts[OUTCOME] = WRONG_COUNT
    counts[kind] = filled
    return at


@compiled
def _polygons(  # noqa: PLR0912 - one loop, compiled whole: a call a corner costs more than its work
    text: np.ndarray,
    start: int,
    corners: np.ndarray,
    texture_corners: np.ndarray,
    lengths: np.ndarray,
    counts: np.ndarray,
) -> Number:
    at, end = np.uint64(start), np.uint64(len(text))
    count, first, polygons, form = counts[CORNERS], counts[CORNERS], counts[POLYGONS], counts[FORM]
    while True:
        while IN_LINES[text[at]]:
            at += _ONE
        if _ends_line(text[at]):
            if count - first < 3:
                counts[OUTCOME] = FEW_CORNERS
                return np.int64(at)
            lengths[polygons] = count - first
            polygons += 1
            first = count
            more = text[at] == LINE_BREAK and at + np.uint64(2) < end
            if not (more and text[at + _ONE] == _F and IN_LINES[text[at + np.uint64(2)]]):
                break
            at += np.uint64(2)
            continue
        slot, seen = 0, 0
        while True:
            negative = text[at] == _MINUS
            at += np.uint64(negative)
            size, begin = _ZERO, at
            digit = np.uint8(text[at] - np.uint8(48))
            while digit <= 9:
                size = size * _TEN + np.uint64(digit)
                at += _ONE
                digit = np.uint8(text[at] - np.uint8(48))
            if at == begin and slot > 0 and not negative and (IN_LINES[text[at]] or _ends_line(text[at])):
                break  # nothing behind the slash
            if at == begin or at - begin > _TEN or size > MAX_WHOLE:
                counts[OUTCOME] = BAD_INDEX
                return np.int64(at)
            index = -np.int64(size) if negative else np.int64(size)
            if slot == 0:
                corners[count] = index
            elif slot == 1:
                texture_corners[count] = index
            seen |= 1 << slot
            if text[at] != _SLASH or slot == 2:
                break
            at += _ONE
            slot += 1
            if slot == 1 and text[at] == _SLASH:
                at += _ONE
                slot = 2
        if not (IN_LINES[text[at]] or _ends_line(text[at])):
            counts[OUTCOME] = BAD_INDEX
            return np.int64(at)
        form = seen if count == 0 else form
        if seen != form:
            counts[OUTCOME] = MIXED_FORMS
            return np.int64(at)
        count += 1
    counts[CORNERS], counts[POLYGONS], counts[FORM] = count, polygons, form
    return np.int64(at)
