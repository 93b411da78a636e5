"""PLY, text and binary of both byte orders: vertices with optional texture coordinates, polygons of any size.

Texture coordinates are read per vertex (``s t``, ``u v``, ``texture_u texture_v``, ``texcoord_u texcoord_v``) or per
corner (a face list ``texcoord`` of two numbers a corner, as MeshLab writes it), v bottom-up. The picture is the one a
``comment TextureFile`` names. Other properties and elements are passed over.

Repaired, and noted: polygons of fewer than three corners (left out); blanks behind a binary file; a
picture that is missing or not usable; several pictures (none is read). Refused: an element longer than the file,
bytes behind the last one, triangle strips, texture coordinates of some corners only.
"""

from dataclasses import dataclass
from dataclasses import replace as with_changes
from pathlib import Path

import numpy as np

from affect4d.scans.readers.limits import read_capped
from affect4d.scans.readers.lists import DOUBLE, SCALAR, Lists, Step, gather_lists
from affect4d.scans.readers.numbers import as_text, number_lines, whole_lines
from affect4d.scans.readers.ply_header import Element, Header, Property, parse_header, row_type
from affect4d.scans.readers.polygons import assemble_mesh, fan_triangles, merge_points, whole_indices
from affect4d.scans.readers.texture import attach_one_of
from affect4d.scans.scan import FaceScan, ScanError

_COORDINATE_NAMES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"), ("texcoord_u", "texcoord_v"))
_INDEX_NAMES = ("vertex_indices", "vertex_index")
_CORNER_COORDINATES = "texcoord"


@dataclass(frozen=True, slots=True)
class _Table:
    """An element as read: its numbers, a structured array, or its lists; and where its rows end in the body."""

    rows: np.ndarray
    ends: np.ndarray
    lists: tuple[Lists, ...] = ()


def read_ply(path: Path, texture: Path | None = None) -> FaceScan:
    """Read a PLY face scan.

    Args:
        path: The file.
        texture: Picture to use instead of the one it names.

    Returns:
        The scan in the file's own coordinates.

    Raises:
        ScanError: If the file is not a usable scan.
    """
    raw = read_capped(path)
    header = parse_header(raw, path)
    scan = _mesh(raw, header, path)
    pixels, repairs = attach_one_of(path, header.textures, texture)
    return with_changes(scan, texture=pixels, repairs=scan.repairs + repairs)


def _mesh(raw: bytes, header: Header, path: Path) -> FaceScan:
    for name in ("vertex", "face"):
        if header.element(name) is None:
            raise ScanError("no-mesh", path, f"there is no element {name!r} in it")
    tables, repairs = _tables(raw, header, path)
    vertices, coordinates = _vertices(tables["vertex"], path)
    face = header.element("face")
    assert face is not None
    lists = dict(zip((part.name for part in _wanted(face)), tables["face"].lists, strict=True))
    indices = next((lists[name] for name in _INDEX_NAMES if name in lists), None)
    if indices is None:
        raise ScanError("no-mesh", path, f"its faces have no list {_INDEX_NAMES[0]!r}")
    types = {part.name: np.dtype((header.order + part.item) if header.order else "<f8") for part in face.properties}
    corners = whole_indices(indices.items.view(types[next(name for name in _INDEX_NAMES if name in lists)]), path)
    poor = int(((indices.lengths > 0) & (indices.lengths < 3)).sum())
    repairs += (f"{poor} polygons of fewer than 3 corners left out",) if poor else ()
    faces = fan_triangles(corners, indices.lengths)
    of_corners = lists.get(_CORNER_COORDINATES)
    if of_corners is None or not of_corners.lengths.any():
        return assemble_mesh(path, vertices, faces, coordinates, None, repairs)
    if not np.array_equal(of_corners.lengths, 2 * indices.lengths):
        raise ScanError("wrong-count", path, "some faces do not have two texture coordinates a corner")
    own, order = merge_points(of_corners.items.view(types[_CORNER_COORDINATES]).astype(np.float32).reshape(-1, 2))
    return assemble_mesh(path, vertices, faces, own, fan_triangles(order, indices.lengths), repairs)


def _tables(raw: bytes, header: Header, path: Path) -> tuple[dict[str, _Table], tuple[str, ...]]:
    """All elements, by name, and what was mended."""
    if header.order:
        return _binary_tables(as_text(raw), header, path)
    numbers, lines = number_lines(whole_lines(raw), header.end, path, comments=False)
    body, at = numbers.view(np.uint8), 0
    tables = {}
    for element in header.elements:
        tables[element.name] = _table(body, at, element, header.order, path)
        at = int(tables[element.name].ends[-1]) if element.rows else at
    if not np.array_equal(np.concatenate([table.ends for table in tables.values()]), 8 * lines):
        raise ScanError("wrong-count", path, "its lines do not hold the numbers that its header promises")
    return tables, ()


def _binary_tables(body: np.ndarray, header: Header, path: Path) -> tuple[dict[str, _Table], tuple[str, ...]]:
    at = header.end
    tables = {}
    for element in header.elements:
        tables[element.name] = _table(body, at, element, header.order, path)
        at = int(tables[element.name].ends[-1]) if element.rows else at
    rest = bytes(body[at:])
    if rest and not rest.isspace():
        raise ScanError("wrong-count", path, f"{len(rest)} bytes more than its header promises", f"byte {at}")
    return tables, ("blanks behind the last element ignored",) if rest else ()


def _table(body: np.ndarray, at: int, element: Element, order: str, path: Path) -> _Table:
    """One element; text is a body of ``float64``."""
    if element.name == "tristrips" and element.rows:
        raise ScanError("unsupported", path, "triangle strips are not read: export the mesh as triangles")
    if not element.has_lists:
        kind = row_type(element, order)
        end = at + kind.itemsize * element.rows
        _check_room(end, body, element, path)
        rows = np.frombuffer(body, kind, element.rows, at) if end > at else np.empty(element.rows, kind)
        return _Table(rows, at + kind.itemsize * np.arange(1, element.rows + 1))
    _check_room(at + element.rows, body, element, path)
    wanted = [part.name for part in _wanted(element)]
    steps = [_step(part, order, wanted) for part in element.properties]
    gathered = gather_lists(body, at, element.rows, steps, len(wanted), order == ">", path)
    return _Table(np.empty(0), gathered.ends, gathered.lists)


def _check_room(end: int, body: np.ndarray, element: Element, path: Path) -> None:
    if end > len(body):
        raise ScanError("truncated", path, f"the file ends before its {element.rows} {element.name!r} rows do")


def _wanted(element: Element) -> list[Property]:
    names = (*_INDEX_NAMES, _CORNER_COORDINATES) if element.name == "face" else ()
    return [part for part in element.properties if part.name in names and part.count is not None]


def _step(part: Property, order: str, wanted: list[str]) -> Step:
    width = int(part.item[1]) if order else 8
    target = wanted.index(part.name) + 1 if part.name in wanted else 0
    if part.count is None:
        return Step(SCALAR, width, target)
    signed = -1 if part.count[0] == "i" else 1
    return Step(signed * int(part.count[1]) if order else DOUBLE, width, target)


def _vertices(table: _Table, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Points and, where there are any, texture coordinates."""
    names = table.rows.dtype.names or ()
    if table.lists or not {"x", "y", "z"} <= set(names):
        raise ScanError("no-mesh", path, "its vertices are not x, y, z and other numbers")
    pair = next((pair for pair in _COORDINATE_NAMES if set(pair) <= set(names)), None)
    with np.errstate(over="ignore"):
        return _columns(table, ("x", "y", "z")), None if pair is None else _columns(table, pair)


def _columns(table: _Table, names: tuple[str, ...]) -> np.ndarray:
    return np.stack([table.rows[name].astype(np.float32) for name in names], axis=1)
