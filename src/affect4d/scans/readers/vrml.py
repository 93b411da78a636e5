"""VRML 2.0 text (``.wrl``), the subset that BU-3DFE and BU-4DFE are written in.

A scan is one ``IndexedFaceSet`` with ``coord``, ``coordIndex`` and, optionally, ``texCoord`` and ``texCoordIndex``;
of several the one with most indices is read. The file is outlined first (brackets only, number lists are skipped
whole, no recursion), then the four number lists are parsed in bulk. Transforms, ``USE`` and prototypes are outside
the subset.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from dataclasses import replace as with_changes
from pathlib import Path

import numpy as np

from affect4d.scans.readers.limits import read_capped
from affect4d.scans.readers.numbers import blank_comments, parse_floats, parse_integers
from affect4d.scans.readers.polygons import assemble_mesh, fan_triangles
from affect4d.scans.readers.texture import attach_texture
from affect4d.scans.scan import FaceScan, ScanError

HEADER = b"#VRML V2.0"
MAX_DEPTH = 64
MAX_BRACKETS = 100_000
_STRUCTURE = re.compile(rb'[{}\[\]"#]')
_CLOSES = {ord("{"): ord("}"), ord("["): ord("]")}


@dataclass(frozen=True, slots=True)
class _Item:
    """A node that opens, a list of numbers, or a string, with the names of the nodes around it."""

    kind: str
    name: str
    inside: tuple[str, ...]
    start: int
    end: int


@dataclass(slots=True)
class _FaceSet:
    start: int
    lists: dict[str, tuple[int, int]] = field(default_factory=dict)

    def size(self) -> int:
        start, end = self.lists.get("IndexedFaceSet.coordIndex", (0, 0))
        return end - start


def read_wrl(path: Path, texture: Path | None = None) -> FaceScan:
    """Read a VRML 2.0 face scan.

    Args:
        path: The file.
        texture: Picture to use instead of the one the file names.

    Returns:
        The scan in the file's own coordinates. A texture that is missing, damaged, oversized or named outside the
        scan's folder is a repair; so are polygons of fewer than three corners.

    Raises:
        ScanError: If the file is not a usable scan.
    """
    raw = read_capped(path)
    if not raw.startswith(HEADER):
        raise ScanError("not-vrml", path, "the file does not start with '#VRML V2.0'", "line 1")
    face_set, picture = _largest_face_set(raw, path)
    scan = _mesh(raw, face_set, path)
    pixels, repairs = attach_texture(path, picture, texture)
    return with_changes(scan, texture=pixels, repairs=scan.repairs + repairs)


def _largest_face_set(raw: bytes, path: Path) -> tuple[_FaceSet, str | None]:
    """The face set with most indices, and the picture named last before it (else first after it)."""
    face_sets: list[_FaceSet] = []
    pictures: list[tuple[int, str]] = []
    for item in _outline(raw, path):
        if item.kind == "node" and item.name == "IndexedFaceSet":
            face_sets.append(_FaceSet(item.start))
        elif item.kind == "list" and face_sets and "IndexedFaceSet" in item.inside:
            face_sets[-1].lists[f"{item.inside[-1]}.{item.name}"] = (item.start, item.end)
        elif item.kind == "string" and "ImageTexture" in item.inside and "url" in (item.name, item.inside[-1]):
            pictures.append((item.start, raw[item.start : item.end].decode("utf-8", "replace")))
    if not face_sets:
        raise ScanError("no-mesh", path, "there is no IndexedFaceSet in it")
    chosen = max(face_sets, key=_FaceSet.size)
    before = [name for start, name in pictures if start < chosen.start]
    named = before[-1:] or [name for _, name in pictures[:1]]
    return chosen, named[0] if named else None


def _outline(raw: bytes, path: Path) -> Iterator[_Item]:
    """Nodes, number lists and strings in file order; refuses brackets that do not match."""
    stack: list[tuple[int, str]] = []
    position = 0
    for _ in range(MAX_BRACKETS):
        match = _STRUCTURE.search(raw, position)
        if match is None:
            break
        at, mark = match.start(), raw[match.start()]
        names = tuple(name for _, name in stack)
        if mark == ord("#"):
            position = _end_of_line(raw, at)
        elif mark == ord('"'):
            position = _find(raw, b'"', at + 1, path) + 1
            yield _Item("string", _word_before(raw, position=at), names, at + 1, position - 1)
        elif mark in _CLOSES:
            name = _word_before(raw, at)
            closed = _number_list_end(raw, at, path) if mark == ord("[") else None
            if closed is None:
                _push(stack, mark, name, at, path)
                yield _Item("node", name, names, at, at)
            else:
                yield _Item("list", name, names, at + 1, closed)
            position = at + 1 if closed is None else closed + 1
        else:
            _pop(stack, mark, at, path)
            position = at + 1
    else:
        raise ScanError("too-complex", path, f"more than {MAX_BRACKETS} brackets and strings")
    if stack:
        raise ScanError("truncated", path, f"{stack[-1][1] or 'a bracket'} is never closed", f"byte {len(raw)}")


def _push(stack: list[tuple[int, str]], mark: int, name: str, at: int, path: Path) -> None:
    if len(stack) >= MAX_DEPTH:
        raise ScanError("too-deep", path, f"nodes are nested more than {MAX_DEPTH} deep", f"byte {at}")
    stack.append((_CLOSES[mark], name))


def _pop(stack: list[tuple[int, str]], mark: int, at: int, path: Path) -> None:
    if not stack or stack.pop()[0] != mark:
        raise ScanError("malformed", path, f"{chr(mark)!r} closes nothing", f"byte {at}")


def _number_list_end(raw: bytes, at: int, path: Path) -> int | None:
    """Where the list that opens here closes, if it holds numbers only; None if it holds nodes or strings."""
    end = _find(raw, b"]", at, path)
    nested = any(raw.find(mark, at + 1, end) >= 0 for mark in (b"{", b"[", b'"'))
    return None if nested else end


def _find(raw: bytes, mark: bytes, start: int, path: Path) -> int:
    end = raw.find(mark, start)
    if end < 0:
        raise ScanError("truncated", path, f"{mark.decode()!r} is missing", f"after byte {start}")
    return end


def _end_of_line(raw: bytes, start: int) -> int:
    ends = [end for end in (raw.find(b"\n", start), raw.find(b"\r", start)) if end >= 0]
    return min(ends, default=len(raw))


def _word_before(raw: bytes, position: int) -> str:
    words = raw[max(0, position - 80) : position].split()
    return words[-1].decode("ascii", "replace") if words else ""


def _mesh(raw: bytes, face_set: _FaceSet, path: Path) -> FaceScan:
    points = _rows(raw, face_set, "Coordinate.point", 3, path)
    index = _span(face_set, "IndexedFaceSet.coordIndex", path)
    corners, lengths, repairs = _polygons(raw, index, path)
    faces = fan_triangles(corners, lengths)
    if "TextureCoordinate.point" not in face_set.lists:
        return assemble_mesh(path, points, faces, None, None, repairs)
    coordinates = _rows(raw, face_set, "TextureCoordinate.point", 2, path)
    own = face_set.lists.get("IndexedFaceSet.texCoordIndex")
    if own is None or not raw[slice(*own)].strip() or raw[slice(*own)] == raw[slice(*index)]:
        return assemble_mesh(path, points, faces, coordinates, None, repairs)
    texture_corners, texture_lengths, _ = _polygons(raw, own, path)
    if not np.array_equal(lengths, texture_lengths):
        raise ScanError("wrong-count", path, "coordIndex and texCoordIndex describe different polygons")
    return assemble_mesh(path, points, faces, coordinates, fan_triangles(texture_corners, lengths), repairs)


def _span(face_set: _FaceSet, name: str, path: Path) -> tuple[int, int]:
    if name not in face_set.lists:
        raise ScanError("no-mesh", path, f"its IndexedFaceSet has no {name.split('.')[1]}", f"byte {face_set.start}")
    return face_set.lists[name]


def _rows(raw: bytes, face_set: _FaceSet, name: str, width: int, path: Path) -> np.ndarray:
    start, end = _span(face_set, name, path)
    numbers = parse_floats(raw[start:end], path, start)
    if len(numbers) % width:
        raise ScanError("wrong-count", path, f"{name} holds {len(numbers)} numbers, no multiple of {width}")
    return numbers.reshape(-1, width)


def _polygons(raw: bytes, span: tuple[int, int], path: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Corners of all polygons in a row, corners of each, and what was mended."""
    numbers = parse_integers(blank_comments(raw[slice(*span)]), path, span[0])
    if len(numbers) and numbers.min() < -1:
        place = int(np.flatnonzero(numbers < -1)[0])
        raise ScanError("index-out-of-range", path, f"index {numbers[place]} is negative", f"corner {place}")
    if len(numbers) and numbers[-1] != -1:
        numbers = np.append(numbers, np.int32(-1))
    if len(numbers) % 4 == 0 and (numbers[3::4] == -1).all():
        quads = numbers.reshape(-1, 4)
        if (quads[:, :3] >= 0).all():
            return quads[:, :3].ravel(), np.full(len(quads), 3), ()
    ends = np.flatnonzero(numbers == -1)
    lengths = np.diff(ends, prepend=-1) - 1
    poor = int(((lengths > 0) & (lengths < 3)).sum())
    return numbers[numbers != -1], lengths, (f"{poor} polygons of fewer than 3 corners left out",) if poor else ()
