"""VRML 2.0 text (``.wrl``), the subset that BU-3DFE and BU-4DFE are written in.

A scan is one ``IndexedFaceSet`` with ``coord``, ``coordIndex`` and, optionally, ``texCoord`` and ``texCoordIndex``;
of several the one with most indices is read, moved by the ``Transform`` nodes around it and turned round where it says
``ccw FALSE``. The file is outlined first (brackets only, number lists are skipped whole, no recursion), then the number
lists are parsed in bulk.

Its picture is that of its own ``Shape``, of several names the first that is there. Repaired, and noted: polygons of
fewer than three corners (left out); a picture that is missing, not usable, named outside the scan's folder or moved by
a ``TextureTransform`` (left out); an appearance or a picture that is written elsewhere (``USE``, not followed).
Refused: lists that are never closed, ``USE`` in the face set, prototypes around it or in it, more than 64 nested nodes.
"""

import functools
import re
from dataclasses import dataclass, field
from dataclasses import replace as with_changes
from pathlib import Path

import numpy as np

from affect4d.scans.readers.limits import read_capped
from affect4d.scans.readers.numbers import as_text, floats_between, wholes_between
from affect4d.scans.readers.polygons import assemble_mesh, fan_triangles
from affect4d.scans.readers.texture import attach_texture
from affect4d.scans.readers.vrml_appearance import (
    Look,
    looks_on,
    moves_picture,
    note_look,
    picture_named,
    written_elsewhere,
)
from affect4d.scans.readers.vrml_outline import Node, outline
from affect4d.scans.readers.vrml_transform import pose_of_node
from affect4d.scans.scan import FaceScan, ScanError

HEADER = b"#VRML V2.0"
_ELSEWHERE = re.compile(rb"(?<![\w.-])(USE|PROTO|EXTERNPROTO|IS)(?![\w.-])")
_PROTOTYPE = re.compile(rb"(?<![\w.-])(PROTO|EXTERNPROTO|IS)(?![\w.-])")
_CLOCKWISE = re.compile(rb"(?<![\w.-])ccw\s+FALSE(?![\w.-])")
Span = tuple[int, int]


@dataclass(slots=True)
class _FaceSet:
    """An ``IndexedFaceSet``: the nodes around it, itself the last, and its lists by node and field."""

    around: tuple[Node, ...]
    lists: dict[str, Span] = field(default_factory=dict)

    @property
    def start(self) -> int:
        return self.around[-1].start

    def size(self) -> int:
        start, end = self.lists.get("IndexedFaceSet.coordIndex", (0, 0))
        return end - start


def read_wrl(path: Path, texture: Path | None = None) -> FaceScan:
    """Read a VRML 2.0 face scan.

    Args:
        path: The file.
        texture: Picture to use instead of the one the file names.

    Returns:
        The scan in the file's own coordinates.

    Raises:
        ScanError: If the file is not a usable scan.
    """
    raw = read_capped(path)
    if not raw.startswith(HEADER):
        raise ScanError("not-vrml", path, "the file does not start with '#VRML V2.0'", "line 1")
    face_set, looks = _largest_face_set(raw, path)
    scan = _mesh(raw, face_set, path)
    repairs = scan.repairs + written_elsewhere(face_set.around, looks, raw)
    if moves_picture(looks, raw):
        return with_changes(scan, repairs=(*repairs, "texture refused: a TextureTransform moves it, which is not read"))
    pixels, mended = attach_texture(path, picture_named(looks, raw, path) if texture is None else None, texture)
    return with_changes(scan, texture=pixels, repairs=repairs + mended)


def _largest_face_set(raw: bytes, path: Path) -> tuple[_FaceSet, list[Look]]:
    """The face set with most indices, and what says how it looks."""
    face_sets: list[_FaceSet] = []
    looks: list[Look] = []
    for item in outline(raw, path):
        if item.kind == "node" and item.name == "IndexedFaceSet":
            face_sets.append(_FaceSet(item.around))
        elif item.kind == "list" and face_sets and item.inside("IndexedFaceSet"):
            face_sets[-1].lists[f"{item.around[-1].name}.{item.name}"] = (item.start, item.end)
        else:
            note_look(item, looks)
    if not face_sets:
        raise ScanError("no-mesh", path, "there is no IndexedFaceSet in it")
    chosen = max(face_sets, key=_FaceSet.size)
    return chosen, looks_on(chosen.around, looks)


def _mesh(raw: bytes, face_set: _FaceSet, path: Path) -> FaceScan:
    _check_written_out(raw, face_set, path)
    points = _moved(_rows(raw, face_set, "Coordinate.point", 3, path), raw, face_set, path)
    index = _span(face_set, "IndexedFaceSet.coordIndex", path)
    corners, lengths, repairs = _polygons(raw, index, path)
    faces = fan_triangles(corners, lengths)
    own_faces = None
    coordinates = None
    if "TextureCoordinate.point" in face_set.lists:
        coordinates = _rows(raw, face_set, "TextureCoordinate.point", 2, path)
        own = face_set.lists.get("IndexedFaceSet.texCoordIndex")
        if own is not None and raw[slice(*own)].strip() and not _same_text(raw, own, index):
            own_corners, own_lengths, _ = _polygons(raw, own, path)
            if not np.array_equal(lengths, own_lengths):
                raise ScanError("wrong-count", path, "coordIndex and texCoordIndex describe different polygons")
            own_faces = fan_triangles(own_corners, lengths)
    if _CLOCKWISE.search(face_set.around[-1].words(raw)):
        faces = np.ascontiguousarray(faces[:, ::-1])
        own_faces = None if own_faces is None else np.ascontiguousarray(own_faces[:, ::-1])
    return assemble_mesh(path, points, faces, coordinates, own_faces, repairs)


def _check_written_out(raw: bytes, face_set: _FaceSet, path: Path) -> None:
    """Refuse a face set that depends on what is written elsewhere; what its neighbours use is no part of it."""
    for node in face_set.around:
        pattern = _ELSEWHERE if node is face_set.around[-1] else _PROTOTYPE
        found = pattern.search(node.words(raw)) if node.name else None
        if found or node.name == "]":
            word = found[1].decode() if found else "a prototype"
            raise ScanError("unsupported", path, f"{word} is not read: write the face set out", f"byte {node.start}")


def _moved(points: np.ndarray, raw: bytes, face_set: _FaceSet, path: Path) -> np.ndarray:
    """The points in the frame of the file."""
    poses = [pose_of_node(node, raw, path) for node in face_set.around if node.name == "Transform"]
    if not poses:
        return points
    with np.errstate(over="ignore", invalid="ignore"):
        whole = functools.reduce(np.matmul, poses)
        moved: np.ndarray = (points.astype(np.float64) @ whole[:3, :3].T + whole[:3, 3]).astype(np.float32)
    return moved


def _same_text(raw: bytes, one: Span, other: Span) -> bool:
    text = as_text(raw)
    return bool(np.array_equal(text[slice(*one)], text[slice(*other)]))


def _span(face_set: _FaceSet, name: str, path: Path) -> Span:
    if name not in face_set.lists:
        raise ScanError("no-mesh", path, f"its IndexedFaceSet has no {name.split('.')[1]}", f"byte {face_set.start}")
    return face_set.lists[name]


def _rows(raw: bytes, face_set: _FaceSet, name: str, width: int, path: Path) -> np.ndarray:
    numbers = floats_between(raw, *_span(face_set, name, path), path)
    if len(numbers) % width:
        raise ScanError("wrong-count", path, f"{name} holds {len(numbers)} numbers, no multiple of {width}")
    return numbers.reshape(-1, width)


def _polygons(raw: bytes, span: Span, path: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Corners of all polygons in a row, corners of each, and what was mended."""
    numbers = wholes_between(raw, *span, path)
    if len(numbers) and numbers.min() < -1:
        place = int(np.flatnonzero(numbers < -1)[0])
        raise ScanError("index-out-of-range", path, f"index {numbers[place]} is negative", f"corner {place}")
    if len(numbers) and numbers[-1] != -1:
        numbers = np.append(numbers, np.int32(-1))
    ends = np.flatnonzero(numbers == -1)
    if 4 * len(ends) == len(numbers) and np.array_equal(ends, np.arange(3, len(numbers), 4)):  # triangles only
        return numbers.reshape(-1, 4)[:, :3].ravel(), np.full(len(ends), 3), ()
    lengths = np.diff(ends, prepend=-1) - 1
    poor = int(((lengths > 0) & (lengths < 3)).sum())
    return numbers[numbers != -1], lengths, (f"{poor} polygons of fewer than 3 corners left out",) if poor else ()
