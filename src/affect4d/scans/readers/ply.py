"""PLY, text and binary of both byte orders: vertices with optional texture coordinates, polygons of any size.

Texture coordinates are read per vertex (``s t``, ``u v``, ``texture_u texture_v``, ``texcoord_u texcoord_v``) or per
corner (a face list ``texcoord`` of two numbers a corner, as MeshLab writes it), v bottom-up. The image is the one a
``comment TextureFile`` names. Other properties and elements are passed over.

Repaired, and noted: polygons of fewer than three corners (left out); blanks behind a binary file; an image that is
missing or not usable; several images (none is read). Refused: an element longer than the file, bytes behind the last
one, triangle strips, texture coordinates of some corners only.
"""

import re
from dataclasses import dataclass, field
from dataclasses import replace as with_changes
from pathlib import Path

import numpy as np

from affect4d.jit import Number, compiled
from affect4d.scans.readers.mesh_checks_and_textures import (
    MAX_FACES,
    MAX_VERTICES,
    MeshFile,
    assemble_mesh,
    check_count,
    fan_triangles,
    merge_points,
    note_small_polygons,
    ranges,
    read_text,
    whole_indices,
)
from affect4d.scans.readers.text_numbers import as_array, parse_lines, unix_lines
from affect4d.scans.scan import ScanError

MAX_HEADER_BYTES = 2**16
MAX_ELEMENTS, MAX_PROPERTIES = 16, 64
FORMATS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
"""Name of a format to NumPy's byte-order character; empty for text."""
_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float": "f4", "double": "f8", "float32": "f4", "float64": "f8",
}  # fmt: skip
_END = re.compile(rb"(?:^|[\r\n])[ \t]*end_header[ \t]*(\r\n|\n|\r)")
_COUNT = re.compile(r"\d{1,12}")
_COORDINATE_NAMES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"), ("texcoord_u", "texcoord_v"))
_INDEX_NAMES = ("vertex_indices", "vertex_index")
_CORNER_COORDINATES = "texcoord"


@dataclass(frozen=True, slots=True)
class _Property:
    """A number or a list in each row of an element; types as NumPy names them, without byte order."""

    name: str
    item: str
    count: str | None = None


@dataclass(frozen=True, slots=True)
class _Element:
    name: str
    rows: int
    properties: list[_Property] = field(default_factory=list)

    @property
    def has_lists(self) -> bool:
        return any(part.count is not None for part in self.properties)


@dataclass(frozen=True, slots=True)
class _Header:
    """Byte order (empty for text), elements in file order, untrusted image names, and the first byte of the body."""

    order: str
    elements: list[_Element]
    textures: tuple[str, ...]
    end: int


@dataclass(frozen=True, slots=True)
class _Lists:
    """One list property: the values of all rows, one after the other, and how many each row has."""

    items: np.ndarray
    lengths: np.ndarray


@dataclass(frozen=True, slots=True)
class _Table:
    """An element as read: its plain numbers or its lists, by property."""

    columns: dict[str, np.ndarray] = field(default_factory=dict)
    lists: dict[str, _Lists] = field(default_factory=dict)


def read_ply(path: Path) -> MeshFile:
    """Read a PLY face scan in the file's own coordinates."""
    raw = read_text(path)
    header = _parse_header(raw, path)
    missing = {"vertex", "face"} - {element.name for element in header.elements}
    if missing:
        raise ScanError("no-mesh", path, f"there is no element {max(missing)!r} in it")
    if any(element.name == "tristrips" and element.rows for element in header.elements):
        raise ScanError("unsupported", path, "triangle strips are not read: export the mesh as triangles")
    tables, repairs = (_binary_tables if header.order else _text_tables)(raw, header, path)
    return with_changes(_mesh(tables, repairs, path), image_names=header.textures)


def _mesh(tables: dict[str, _Table], repairs: tuple[str, ...], path: Path) -> MeshFile:
    vertices, coordinates = _vertices(tables["vertex"], path)
    lists = tables["face"].lists
    indices = next((lists[name] for name in _INDEX_NAMES if name in lists), None)
    if indices is None:
        raise ScanError("no-mesh", path, f"its faces have no list {_INDEX_NAMES[0]!r}")
    corners = whole_indices(indices.items, path)
    repairs += note_small_polygons(indices.lengths)
    faces = fan_triangles(corners, indices.lengths)
    of_corners = lists.get(_CORNER_COORDINATES)
    if of_corners is None or not of_corners.lengths.any():
        return assemble_mesh(path, vertices, faces, coordinates, repairs=repairs)
    if not np.array_equal(of_corners.lengths, 2 * indices.lengths):
        raise ScanError("wrong-count", path, "some faces do not have two texture coordinates a corner")
    own, order = merge_points(of_corners.items.astype(np.float32).reshape(-1, 2))
    return assemble_mesh(path, vertices, faces, own, fan_triangles(order, indices.lengths), repairs)


def _vertices(table: _Table, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    if table.lists or not {"x", "y", "z"} <= set(table.columns):
        raise ScanError("no-mesh", path, "its vertices are not x, y, z and other numbers")
    pair = next((pair for pair in _COORDINATE_NAMES if set(pair) <= set(table.columns)), None)
    with np.errstate(over="ignore"):
        return _stacked(table, ("x", "y", "z")), None if pair is None else _stacked(table, pair)


def _stacked(table: _Table, names: tuple[str, ...]) -> np.ndarray:
    return np.stack([table.columns[name].astype(np.float32) for name in names], axis=1)


def _parse_header(raw: bytes, path: Path) -> _Header:
    """Read the header; refused if longer than 64 KiB, or if it promises more than a scan may hold."""
    if not re.match(rb"ply[ \t]*[\r\n]", raw):
        raise ScanError("not-ply", path, "the file does not start with a line 'ply'", "line 1")
    end = _END.search(raw, 0, MAX_HEADER_BYTES)
    if end is None:
        raise ScanError("truncated", path, f"there is no 'end_header' in its first {MAX_HEADER_BYTES} bytes")
    order: str | None = None
    elements: list[_Element] = []
    textures: list[str] = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", raw[: end.start()].decode("utf-8", "replace")), start=1):
        words = line.split()
        match words:
            case ["format", name, _] if name in FORMATS and order is None:
                order = FORMATS[name]
            case ["comment", "TextureFile", _, *_]:
                textures.append(line.split("TextureFile", 1)[1].strip())
            case ["element", name, count] if _COUNT.fullmatch(count) and len(elements) < MAX_ELEMENTS:
                elements.append(_Element(name, int(count)))
            case ["property", *parts] if elements and len(elements[-1].properties) < MAX_PROPERTIES:
                elements[-1].properties.append(_property(parts, path, number))
            case [] | ["ply"] | ["comment" | "obj_info", *_]:
                pass
            case _:
                raise ScanError("malformed", path, f"{line.strip()[:60]!r} is no line of a header", f"line {number}")
    if order is None:
        raise ScanError("malformed", path, f"its header names no format ({', '.join(FORMATS)})")
    _check_elements(elements, path)
    return _Header(order, elements, tuple(textures), end.end())


def _property(words: list[str], path: Path, line: int) -> _Property:
    match words:
        case ["list", count, item, name] if count in _TYPES and item in _TYPES and _TYPES[count][0] != "f":
            return _Property(name, _TYPES[item], _TYPES[count])
        case [item, name] if item in _TYPES:
            return _Property(name, _TYPES[item])
        case _:
            detail = f"{' '.join(words)[:60]!r} is no property"
            raise ScanError("malformed", path, detail, f"line {line}")


def _check_elements(elements: list[_Element], path: Path) -> None:
    names = [element.name for element in elements]
    if len(set(names)) < len(names) or any(_repeats(element) for element in elements):
        raise ScanError("malformed", path, "an element or a property is declared twice")
    for element in elements:
        check_count(element.rows, MAX_VERTICES if element.name == "vertex" else MAX_FACES, path, f"{element.name} rows")


def _repeats(element: _Element) -> bool:
    names = {part.name for part in element.properties}
    return len(names) < len(element.properties)


def _check_room(fits: bool, element: _Element, path: Path) -> None:
    if not fits:
        raise ScanError("truncated", path, f"the file ends before its {element.rows} {element.name!r} rows do")


def _text_tables(raw: bytes, header: _Header, path: Path) -> tuple[dict[str, _Table], tuple[str, ...]]:
    numbers, ends = parse_lines(unix_lines(raw), header.end, path, comments=False)
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    tables, line = {}, 0
    for element in header.elements:
        rows = slice(line, line + element.rows)
        _check_room(rows.stop <= len(ends), element, path)
        tables[element.name] = _text_table(numbers, starts[rows], ends[rows], element, path)
        line = rows.stop
    if line < len(ends):
        raise _wrong_lines(path)
    return tables, ()


def _wrong_lines(path: Path) -> ScanError:
    return ScanError("wrong-count", path, "its lines do not hold the numbers that its header promises")


def _text_table(numbers: np.ndarray, starts: np.ndarray, ends: np.ndarray, element: _Element, path: Path) -> _Table:
    at, table = starts, _Table()
    for part in element.properties:
        if (at >= ends).any():
            raise _wrong_lines(path)
        if part.count is None:
            table.columns[part.name] = numbers[at]
            at = at + 1
        else:
            counts = numbers[at]
            wrong = np.flatnonzero(~((counts >= 0) & (counts < ends - at) & (counts == np.floor(counts))))
            if len(wrong):
                detail = "a list is of no whole length, or longer than its line"
                raise ScanError("truncated", path, detail, f"row {wrong[0] + 1}")
            lengths = counts.astype(np.int64)
            table.lists[part.name] = _Lists(numbers[ranges(at + 1, lengths)], lengths)
            at = at + 1 + lengths
    if (at != ends).any():
        raise _wrong_lines(path)
    return table


def _binary_tables(raw: bytes, header: _Header, path: Path) -> tuple[dict[str, _Table], tuple[str, ...]]:
    at, tables = header.end, {}
    for element in header.elements:
        tables[element.name], at = _binary_table(raw, at, element, header.order, path)
    rest = raw[at:]
    if rest and not rest.isspace():
        raise ScanError("wrong-count", path, f"{len(rest)} bytes more than its header promises", f"byte {at}")
    return tables, ("blanks behind the last element ignored",) if rest else ()


def _binary_table(raw: bytes, at: int, element: _Element, order: str, path: Path) -> tuple[_Table, int]:
    least = sum(np.dtype(part.count or part.item).itemsize for part in element.properties)
    _check_room(at + least * element.rows <= len(raw), element, path)
    if element.has_lists:
        return _table_of_lists(raw, at, element, order, path)
    kind = np.dtype([(part.name, order + part.item) for part in element.properties])
    rows = np.frombuffer(raw, kind, element.rows, at) if least * element.rows else np.empty(element.rows, kind)
    return _Table({part.name: rows[part.name] for part in element.properties}), at + least * element.rows


def _table_of_lists(raw: bytes, at: int, element: _Element, order: str, path: Path) -> tuple[_Table, int]:
    """As :func:`_binary_table`, where rows differ in length; only the lists that make a mesh are kept."""
    body = as_array(raw)
    counts = [np.dtype(order + (part.count or "u1")) for part in element.properties]
    items = [np.dtype(order + part.item) for part in element.properties]
    sizes = [count.itemsize if part.count else 0 for part, count in zip(element.properties, counts, strict=True)]
    signed = np.array([-1 if count.kind == "i" else 1 for count in counts])
    names = (*_INDEX_NAMES, _CORNER_COORDINATES) if element.name == "face" else ()
    kept = [number for number, part in enumerate(element.properties) if part.count and part.name in names]
    slots = np.full(len(items), -1)
    slots[kept] = np.arange(len(kept))
    starts, lengths = np.empty((2, len(kept), element.rows), np.int64)
    item_sizes = np.array([item.itemsize for item in items])
    done, end = _find_lists(body, at, signed * sizes, item_sizes, order == ">", element.rows, slots, starts, lengths)
    if done < element.rows:
        raise ScanError("truncated", path, "a list is longer than what is left of the file", f"row {done + 1}")
    table = _Table()
    for slot, number in enumerate(kept):
        found = np.empty(int(lengths[slot].sum()) * items[number].itemsize, np.uint8)
        _copy_lists(body, starts[slot], lengths[slot] * items[number].itemsize, found)
        table.lists[element.properties[number].name] = _Lists(found.view(items[number]), lengths[slot])
    return table, end


@compiled
def _find_lists(
    body: np.ndarray,
    start: int,
    count_sizes: np.ndarray,
    item_sizes: np.ndarray,
    big_endian: bool,
    rows: int,
    slots: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
) -> tuple[Number, Number]:
    """First byte and length of lists, row by row, until one does not fit; counts: signed if below 0, 0: a number."""
    at, end = start, len(body)
    for row in range(rows):
        for part in range(len(count_sizes)):
            size = abs(count_sizes[part])
            count = np.int64(1)
            if at + size > end:
                return row, at
            if size:
                count = np.int64(0)
                for byte in range(size):
                    count = count * 256 + np.int64(body[at + byte if big_endian else at + size - 1 - byte])
                if count_sizes[part] < 0 and count >> (8 * size - 1):
                    return row, at  # negative
                at += size
            if count > (end - at) // item_sizes[part]:
                return row, at
            if slots[part] >= 0:
                starts[slots[part], row], lengths[slots[part], row] = at, count
            at += count * item_sizes[part]
    return rows, at


@compiled
def _copy_lists(body: np.ndarray, starts: np.ndarray, sizes: np.ndarray, found: np.ndarray) -> None:
    filled = 0
    for row in range(len(starts)):
        for byte in range(sizes[row]):
            found[filled + byte] = body[starts[row] + byte]
        filled += sizes[row]
