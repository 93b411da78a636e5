"""The head of a PLY file: what elements there are, how many, and what each holds."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from affect4d.scans.readers.limits import MAX_FACES, MAX_VERTICES, check_count
from affect4d.scans.scan import ScanError

MAX_HEADER_BYTES = 2**16
MAX_ELEMENTS, MAX_PROPERTIES = 16, 64
FORMATS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
"""Name of a format to NumPy's mark for its byte order."""
_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float": "f4", "double": "f8", "float32": "f4", "float64": "f8",
}  # fmt: skip
_END = re.compile(rb"(?:^|[\r\n])[ \t]*end_header[ \t]*(\r\n|\n|\r)")
_COUNT = re.compile(r"\d{1,12}")


@dataclass(frozen=True, slots=True)
class Property:
    """A number or a list in each row of an element; types as NumPy names them, without byte order."""

    name: str
    item: str
    count: str | None = None


@dataclass(frozen=True, slots=True)
class Element:
    """A table of the file."""

    name: str
    rows: int
    properties: list[Property] = field(default_factory=list)

    @property
    def has_lists(self) -> bool:
        """Whether rows differ in length."""
        return any(part.count is not None for part in self.properties)


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before ``end_header``.

    Attributes:
        order: NumPy's mark for the byte order; empty for text.
        elements: In file order.
        textures: Pictures it names, untrusted.
        end: Where the body starts.
    """

    order: str
    elements: tuple[Element, ...]
    textures: tuple[str, ...]
    end: int

    def element(self, name: str) -> Element | None:
        """The element of that name."""
        return next((element for element in self.elements if element.name == name), None)


def parse_header(raw: bytes, path: Path) -> Header:
    """Read the head of a PLY file.

    Raises:
        ScanError: If it is not one, is longer than 64 KiB, or promises more than a scan may hold.
    """
    if not re.match(rb"ply[ \t]*[\r\n]", raw):
        raise ScanError("not-ply", path, "the file does not start with a line 'ply'", "line 1")
    end = _END.search(raw, 0, MAX_HEADER_BYTES)
    if end is None:
        raise ScanError("truncated", path, f"there is no 'end_header' in its first {MAX_HEADER_BYTES} bytes")
    order: str | None = None
    elements: list[Element] = []
    textures: list[str] = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", raw[: end.start()].decode("utf-8", "replace")), start=1):
        words = line.split()
        match words:
            case ["format", name, _] if name in FORMATS and order is None:
                order = FORMATS[name]
            case ["comment", "TextureFile", _, *_]:
                textures.append(line.split("TextureFile", 1)[1].strip())
            case ["element", name, count] if _COUNT.fullmatch(count) and len(elements) < MAX_ELEMENTS:
                elements.append(Element(name, int(count)))
            case ["property", *parts] if elements and len(elements[-1].properties) < MAX_PROPERTIES:
                elements[-1].properties.append(_property(parts, path, number))
            case [] | ["ply"] | ["comment" | "obj_info", *_]:
                pass
            case _:
                raise ScanError("malformed", path, f"{line.strip()[:60]!r} is no line of a header", f"line {number}")
    if order is None:
        raise ScanError("malformed", path, f"its header names no format ({', '.join(FORMATS)})")
    _check_elements(elements, path)
    return Header(order, tuple(elements), tuple(textures), end.end())


def _property(words: list[str], path: Path, line: int) -> Property:
    match words:
        case ["list", count, item, name] if count in _TYPES and item in _TYPES and _TYPES[count][0] != "f":
            return Property(name, _TYPES[item], _TYPES[count])
        case [item, name] if item in _TYPES:
            return Property(name, _TYPES[item])
        case _:
            detail = f"{' '.join(words)[:60]!r} is no property"
            raise ScanError("malformed", path, detail, f"line {line}")


def _check_elements(elements: list[Element], path: Path) -> None:
    names = [element.name for element in elements]
    if len(set(names)) < len(names) or any(_repeats(element) for element in elements):
        raise ScanError("malformed", path, "an element or a property is declared twice")
    for element in elements:
        check_count(element.rows, MAX_VERTICES if element.name == "vertex" else MAX_FACES, path, f"{element.name} rows")


def _repeats(element: Element) -> bool:
    names = {part.name for part in element.properties}
    return len(names) < len(element.properties)


def row_type(element: Element, order: str) -> np.dtype:
    """A row of an element without lists; all numbers are ``float64`` in text."""
    return np.dtype([(part.name, (order + part.item) if order else "<f8") for part in element.properties])
