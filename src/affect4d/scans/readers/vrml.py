"""VRML 2.0 text (``.wrl``), the subset that BU-3DFE and BU-4DFE are written in.

A scan is one ``IndexedFaceSet`` with ``coord``, ``coordIndex`` and, optionally, ``texCoord`` and ``texCoordIndex``; of
several the one with most indices is read. The file is outlined first (brackets only, number lists are skipped whole,
no recursion), then the number lists are parsed in bulk.

Its image is that of its own ``Shape``, of several names the first that exists. Repaired, and noted: polygons of fewer
than three corners (left out); an image that is missing, not usable or named outside the scan's folder (left out); an
appearance or an image that is written elsewhere (``USE``, not followed). Refused: a ``Transform`` or
``TextureTransform`` other than the identity, ``ccw FALSE``, lists that are never closed, ``USE`` in the face set,
prototypes around it or in it, more than 64 nested nodes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from dataclasses import replace as with_changes
from pathlib import Path

import numpy as np

from affect4d.scans.readers.mesh_checks_and_textures import (
    MeshFile,
    assemble_mesh,
    fan_triangles,
    find_texture,
    note_small_polygons,
    read_text,
)
from affect4d.scans.readers.text_numbers import MAX_COMMENTS, as_array, end_of_line, parse_list
from affect4d.scans.scan import ScanError

HEADER = b"#VRML V2.0"
MAX_DEPTH = 64
MAX_BRACKETS = 100_000
MAX_URLS = 16  # names of one image that are looked for
_LONGEST_WORD = 80
_CLOSES = {ord("{"): ord("}"), ord("["): ord("]")}
_STRUCTURE = re.compile(rb'[{}\[\]"#]')
_IN_COMMENTED_LIST = re.compile(rb'#[^\r\n]*|[{\[\]"]')
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_ELSEWHERE = re.compile(rb"(?<![\w.-])(USE|PROTO|EXTERNPROTO|IS)(?![\w.-])")
_PROTOTYPE = re.compile(rb"(?<![\w.-])(PROTO|EXTERNPROTO|IS)(?![\w.-])")
_CLOCKWISE = re.compile(rb"(?<![\w.-])ccw\s+FALSE(?![\w.-])")
_APPEARANCE_USED = re.compile(rb"(?<![\w.-])(appearance|texture)\s+USE(?![\w.-])")
_TRANSFORM_USED = re.compile(rb"(?<![\w.-])textureTransform\s+USE(?![\w.-])")
_MOVING_FIELD = re.compile(rb"(?<![\w.-])(translation|rotation|scale)(?![\w.-])")
_FIELD_BYTES = 200
Span = tuple[int, int]


@dataclass(slots=True)
class _Node:
    """Brackets that hold more than numbers, under the word before the bracket: ``Shape``, ``children``."""

    name: str
    start: int
    closes: int
    gaps: list[Span] = field(default_factory=list)

    def words(self, raw: bytes) -> bytes:
        return b" ".join(raw[start:end] for start, end in self.gaps)


@dataclass(frozen=True, slots=True)
class _Item:
    """A ``"node"`` that opens, a ``"list"`` of numbers, or a ``"string"``, with the nodes around it, the file first.

    A node that opens is the last of ``around``; its ``end`` is ``start``, that of others their closing bracket.
    """

    kind: str
    name: str
    around: tuple[_Node, ...]
    start: int
    end: int

    def inside(self, name: str) -> bool:
        return any(node.name == name for node in self.around)


@dataclass(slots=True)
class _FaceSet:
    """An ``IndexedFaceSet``: the nodes around it, itself the last, and its lists by node and field."""

    around: tuple[_Node, ...]
    lists: dict[str, Span] = field(default_factory=dict)

    def size(self) -> int:
        start, end = self.lists.get("IndexedFaceSet.coordIndex", (0, 0))
        return end - start


@dataclass(slots=True)
class _Appearance:
    """An ``Appearance``, ``ImageTexture`` or ``TextureTransform``, the ``Shape`` around it, and its image names."""

    node: _Node
    shape: _Node | None
    urls: tuple[Span, ...] = ()


def read_wrl(path: Path) -> MeshFile:
    """Read a VRML 2.0 face scan in the file's own coordinates."""
    raw = read_text(path)
    if not raw.startswith(HEADER):
        raise ScanError("not-vrml", path, "the file does not start with '#VRML V2.0'", "line 1")
    face_set, appearances = _largest_face_set(raw, path)
    _check_supported(raw, face_set, appearances, path)
    mesh = _mesh(raw, face_set, path)
    name = _image_name(appearances, raw, path)
    repairs = mesh.repairs + _notes_on_use(face_set.around, appearances, raw)
    return with_changes(mesh, repairs=repairs, image_names=() if name is None else (name,))


def _largest_face_set(raw: bytes, path: Path) -> tuple[_FaceSet, list[_Appearance]]:
    face_sets: list[_FaceSet] = []
    appearances: list[_Appearance] = []
    for item in _outline(raw, path):
        if item.kind == "node" and item.name == "IndexedFaceSet":
            face_sets.append(_FaceSet(item.around))
        elif item.kind == "list" and face_sets and item.inside("IndexedFaceSet"):
            face_sets[-1].lists[f"{item.around[-1].name}.{item.name}"] = (item.start, item.end)
        elif item.kind == "node" and item.name in ("Appearance", "ImageTexture", "TextureTransform"):
            appearances.append(_Appearance(item.around[-1], _shape_of(item.around)))
        elif item.kind == "string" and item.inside("ImageTexture") and "url" in (item.name, item.around[-1].name):
            appearances[-1].urls = (*appearances[-1].urls, (item.start, item.end))[:MAX_URLS]
    if not face_sets:
        raise ScanError("no-mesh", path, "there is no IndexedFaceSet in it")
    chosen = max(face_sets, key=_FaceSet.size)
    return chosen, _appearances_of(chosen.around, appearances)


def _shape_of(around: tuple[_Node, ...]) -> _Node | None:
    return next((node for node in reversed(around) if node.name == "Shape"), None)


def _appearances_of(around: tuple[_Node, ...], appearances: list[_Appearance]) -> list[_Appearance]:
    """Appearances of a face set's own ``Shape``, else all; of each kind the last before it, or the first after it."""
    shape, start = _shape_of(around), around[-1].start
    chosen: dict[str, _Appearance] = {}
    for appearance in appearances:
        kind = appearance.node.name
        nameless = kind == "ImageTexture" and not appearance.urls
        own = shape is None or appearance.shape is shape
        if own and not nameless and (appearance.node.start < start or kind not in chosen):
            chosen[kind] = appearance
    return list(chosen.values())


def _image_name(appearances: list[_Appearance], raw: bytes, path: Path) -> str | None:
    """The name of the image: of several, the first that exists; None where none is given."""
    spans = next((appearance.urls for appearance in appearances if appearance.urls), ())
    names = [raw[start:end].decode("utf-8", "replace") for start, end in spans]
    for name in names if len(names) > 1 else ():
        place, _ = find_texture(path, name)
        if place is not None and place.name == Path(name).name:
            return name
    return names[0] if names else None


def _notes_on_use(around: tuple[_Node, ...], appearances: list[_Appearance], raw: bytes) -> tuple[str, ...]:
    """Notes on an appearance or an image that is written elsewhere in the file."""
    nodes = [appearance.node for appearance in appearances if appearance.node.name == "Appearance"]
    shape = _shape_of(around)
    nodes += [] if shape is None else [shape]
    found = (_APPEARANCE_USED.search(node.words(raw)) for node in nodes)
    return tuple(f"{use[1].decode()} is written elsewhere (USE) and was not followed" for use in found if use)


def _check_supported(raw: bytes, face_set: _FaceSet, appearances: list[_Appearance], path: Path) -> None:
    for node in face_set.around:
        pattern = _ELSEWHERE if node is face_set.around[-1] else _PROTOTYPE
        found = pattern.search(node.words(raw)) if node.name else None
        if found or node.name == "]":
            word = found[1].decode() if found else "a prototype"
            raise ScanError("unsupported", path, f"{word} is not read: write the face set out", f"byte {node.start}")
        if node.name == "Transform" and _moves(node, raw):
            detail = "a Transform that moves the mesh is not read: apply it before the export"
            raise ScanError("unsupported", path, detail, f"byte {node.start}")
    if _CLOCKWISE.search(face_set.around[-1].words(raw)):
        detail = "'ccw FALSE' is not read: export counter-clockwise triangles"
        raise ScanError("unsupported", path, detail, f"byte {face_set.around[-1].start}")
    for appearance in appearances:
        used = appearance.node.name == "Appearance" and _TRANSFORM_USED.search(appearance.node.words(raw))
        if used or (appearance.node.name == "TextureTransform" and _moves(appearance.node, raw)):
            detail = "a TextureTransform that moves the image is not read: apply it before the export"
            raise ScanError("unsupported", path, detail, f"byte {appearance.node.start}")


def _moves(node: _Node, raw: bytes) -> bool:
    """Whether a ``Transform`` or ``TextureTransform`` is not the identity; a ``center`` alone moves nothing."""
    own, axes = node.words(raw), 3 if node.name == "Transform" else 2
    for match in _MOVING_FIELD.finditer(own):
        words = own[match.end() : match.end() + _FIELD_BYTES].replace(b",", b" ").split()
        if match[1] == b"rotation":  # an axis, in space, and an angle
            wanted, words = [0.0], words[3:4] if axes == 3 else words[:1]
        else:
            wanted, words = [float(match[1] == b"scale")] * axes, words[:axes]
        try:
            if [float(word) for word in words] != wanted:
                return True
        except ValueError:
            return True
    return False


def _mesh(raw: bytes, face_set: _FaceSet, path: Path) -> MeshFile:
    points = _rows(raw, face_set, "Coordinate.point", 3, path)
    index = _span(face_set, "IndexedFaceSet.coordIndex", path)
    corners, lengths = _polygons(raw, index, path)
    faces, repairs = fan_triangles(corners, lengths), note_small_polygons(lengths)
    if "TextureCoordinate.point" not in face_set.lists:
        return assemble_mesh(path, points, faces, repairs=repairs)
    coordinates = _rows(raw, face_set, "TextureCoordinate.point", 2, path)
    own = face_set.lists.get("IndexedFaceSet.texCoordIndex")
    if own is None or not raw[slice(*own)].strip() or _same_text(raw, own, index):
        return assemble_mesh(path, points, faces, coordinates, repairs=repairs)
    own_corners, own_lengths = _polygons(raw, own, path)
    if not np.array_equal(lengths, own_lengths):
        raise ScanError("wrong-count", path, "coordIndex and texCoordIndex describe different polygons")
    return assemble_mesh(path, points, faces, coordinates, fan_triangles(own_corners, lengths), repairs)


def _same_text(raw: bytes, one: Span, other: Span) -> bool:
    text = as_array(raw)
    return bool(np.array_equal(text[slice(*one)], text[slice(*other)]))


def _span(face_set: _FaceSet, name: str, path: Path) -> Span:
    if name not in face_set.lists:
        detail = f"its IndexedFaceSet has no {name.split('.')[1]}"
        raise ScanError("no-mesh", path, detail, f"byte {face_set.around[-1].start}")
    return face_set.lists[name]


def _rows(raw: bytes, face_set: _FaceSet, name: str, width: int, path: Path) -> np.ndarray:
    numbers = parse_list(raw, *_span(face_set, name, path), np.float32, path)
    if len(numbers) % width:
        raise ScanError("wrong-count", path, f"{name} holds {len(numbers)} numbers, no multiple of {width}")
    return numbers.reshape(-1, width)


def _polygons(raw: bytes, span: Span, path: Path) -> tuple[np.ndarray, np.ndarray]:
    numbers = parse_list(raw, *span, np.int32, path)
    if len(numbers) and numbers.min() < -1:
        place = int(np.flatnonzero(numbers < -1)[0])
        raise ScanError("index-out-of-range", path, f"index {numbers[place]} is negative", f"corner {place}")
    if len(numbers) and numbers[-1] != -1:
        numbers = np.append(numbers, np.int32(-1))
    ends = np.flatnonzero(numbers == -1)
    if 4 * len(ends) == len(numbers) and np.array_equal(ends, np.arange(3, len(numbers), 4)):  # triangles only
        return numbers.reshape(-1, 4)[:, :3].ravel(), np.full(len(ends), 3)
    return numbers[numbers != -1], np.diff(ends, prepend=-1) - 1


def _outline(raw: bytes, path: Path) -> Iterator[_Item]:
    """Nodes, number lists and strings in file order; a node's ``gaps`` are complete when the outline is."""
    stack = [_Node("", 0, 0)]
    position = 0
    for _ in range(MAX_BRACKETS):
        match = _STRUCTURE.search(raw, position)
        at = match.start() if match else len(raw)
        stack[-1].gaps.append((position, at))
        if match is None:
            break
        mark = raw[at]
        if mark == ord("#"):
            position = end_of_line(raw, at, len(raw))
        elif mark == ord('"'):
            string = _STRING.match(raw, at)
            if string is None:
                raise _missing(b'"', at + 1, path)
            position = string.end()
            yield _Item("string", _word_before(raw, stack[-1].gaps), tuple(stack), at + 1, position - 1)
        elif mark in _CLOSES:
            name = _word_before(raw, stack[-1].gaps)
            closed = _number_list_end(raw, at, path) if mark == ord("[") else None
            if closed is None:
                _push(stack, _Node(name, at + 1, _CLOSES[mark]), path)
                yield _Item("node", name, tuple(stack), at + 1, at + 1)
            else:
                yield _Item("list", name, tuple(stack), at + 1, closed)
            position = at + 1 if closed is None else closed + 1
        else:
            _pop(stack, mark, at, path)
            position = at + 1
    else:
        raise ScanError("too-complex", path, f"more than {MAX_BRACKETS} brackets and strings")
    if len(stack) > 1:
        raise ScanError("truncated", path, f"{stack[-1].name or 'a bracket'} is never closed", f"byte {len(raw)}")


def _push(stack: list[_Node], node: _Node, path: Path) -> None:
    if len(stack) > MAX_DEPTH:
        raise ScanError("too-deep", path, f"nodes are nested more than {MAX_DEPTH} deep", f"byte {node.start}")
    stack.append(node)


def _pop(stack: list[_Node], mark: int, at: int, path: Path) -> None:
    if stack.pop().closes != mark:
        raise ScanError("malformed", path, f"{chr(mark)!r} closes nothing", f"byte {at}")


def _number_list_end(raw: bytes, at: int, path: Path) -> int | None:
    """Where the list that opens here closes, if it holds numbers only; None if it holds nodes or strings."""
    end = raw.find(b"]", at)
    if end < 0:
        raise _missing(b"]", at, path)
    if raw.find(b"#", at + 1, end) >= 0:
        return _commented_list_end(raw, at, path)
    nested = any(raw.find(mark, at + 1, end) >= 0 for mark in (b"{", b"[", b'"'))
    return None if nested else end


def _commented_list_end(raw: bytes, at: int, path: Path) -> int | None:
    """As :func:`_number_list_end`, stepping over comments, which may hold any mark."""
    for comments, found in enumerate(_IN_COMMENTED_LIST.finditer(raw, at + 1)):
        if raw[found.start()] != ord("#"):
            return found.start() if raw[found.start()] == ord("]") else None
        if comments >= MAX_COMMENTS:
            raise ScanError("too-complex", path, f"more than {MAX_COMMENTS} comments in one list", f"byte {at + 1}")
    raise _missing(b"]", at, path)


def _missing(mark: bytes, start: int, path: Path) -> ScanError:
    return ScanError("truncated", path, f"{mark.decode()!r} is missing", f"after byte {start}")


def _word_before(raw: bytes, gaps: list[Span]) -> str:
    """The last word before a bracket or quote, beyond comments; where there is none, the bracket or quote before it."""
    for place in range(len(gaps) - 1, -1, -1):
        start, end = gaps[place]
        words = raw[start:end].replace(b",", b" ").rsplit(None, 1)
        if words:
            return words[-1][-_LONGEST_WORD:].decode("ascii", "replace")
        if place == 0 or raw[gaps[place - 1][1]] != ord("#"):
            return raw[max(start - 1, 0) : start].decode("ascii", "replace")
    return ""
