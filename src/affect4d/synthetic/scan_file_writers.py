"""Writers of scan and landmark files: a scan in, bytes out, with the quirks of the corpora that use the format.

A scan without what its format needs (texture, its coordinates, landmarks) is a ``ValueError``. Numbers are formatted by
arithmetic on whole arrays: one by one they would be most of the cost of a corpus.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, UInt8
from PIL import Image
from scipy.spatial import cKDTree

from affect4d.array_types import Landmarks, Texture, TextureCoordinates
from affect4d.scans.scan import FaceScan

PlyEncoding = Literal["ascii", "binary_little_endian", "binary_big_endian"]
DigitColumns = UInt8[np.ndarray, "rows width"]  # ASCII codes; 0 marks an omitted character
JPEG_QUALITY = 85
LEFT_HANDED = np.array([1.0, 1.0, -1.0])
BNT_BACKGROUND = -1e9
BNT_ROWS, BNT_COLUMNS = 233, 186


def landmarks_of(scan: FaceScan) -> Landmarks:
    """The scan's landmarks."""
    if scan.landmarks is None:
        raise ValueError("A landmark file needs landmarks, and this scan has none.")
    return scan.landmarks


def write_file(path: Path, content: bytes) -> None:
    """Write a file, with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def texture_of(scan: FaceScan) -> Texture:
    """The scan's texture."""
    if scan.texture is None:
        raise ValueError("This layout needs a texture, and the scan has none.")
    return scan.texture


def image_bytes(scan: FaceScan, kind: str) -> bytes:
    """The scan's texture as a file of one of Pillow's formats (``"JPEG"``, ``"PNG"``, ``"BMP"``)."""
    memory = BytesIO()
    Image.fromarray(texture_of(scan)).save(memory, format=kind, quality=JPEG_QUALITY)
    return memory.getvalue()


def wrl_bytes(scan: FaceScan, image: str, newline: bytes = b"\n", between: bytes = b" ") -> bytes:
    """VRML 2.0 as BU-3DFE (some files CRLF, or comma and blank ``between`` numbers) and BU-4DFE use it; v up."""
    coordinates, faces = _coordinates_of(scan, "A .wrl scan"), index_lines(scan.faces, b", -1,\n")
    parts = (
        b"#VRML V2.0 utf8\n\nShape {\n appearance Appearance {\n  material Material { diffuseColor 1 1 1 }\n",
        f'  texture ImageTexture {{ url "{image}" }}\n }}\n geometry IndexedFaceSet {{\n'.encode(),
        b"  coord Coordinate {\n   point [\n",
        number_lines(scan.vertices, 3, b",\n", between=between),
        b"   ]\n  }\n  coordIndex [\n",
        faces,
        b"  ]\n  texCoord TextureCoordinate {\n   point [\n",
        number_lines(coordinates, 4, b",\n", between=between),
        b"   ]\n  }\n  texCoordIndex [\n",
        faces,
        b"  ]\n }\n}\n",
    )
    return b"".join(parts).replace(b"\n", newline)


def obj_bytes(scan: FaceScan, material: str, indexed: bool = True) -> bytes:
    """Wavefront text as BP4D uses it: ``f 1/1 2/2 3/3``, or ``f 1 2 3`` beside a ``vt`` list in the vertices' order."""
    coordinates, corners = _coordinates_of(scan, "An .obj scan"), scan.faces + 1
    if indexed:
        faces = index_lines(corners[:, [0, 0, 1, 1, 2, 2]], b"\n", b"f ", (b"/", b" ", b"/", b" ", b"/"))
    else:
        faces = index_lines(corners, b"\n", b"f ", b" ")
    parts = (
        f"mtllib {material}\nusemtl face\n".encode(),
        number_lines(scan.vertices, 3, b"\n", b"v "),
        number_lines(coordinates, 4, b"\n", b"vt "),
        faces,
    )
    return b"".join(parts)


def mtl_bytes(image: str) -> bytes:
    """The one material of a scan, with the name of its texture's file."""
    return f"newmtl face\nKa 1 1 1\nKd 1 1 1\nmap_Kd {image}\n".encode()


def ply_bytes(scan: FaceScan, image: str, encoding: PlyEncoding) -> bytes:
    """PLY with vertices ``x y z s t`` and triangles."""
    numbers = np.column_stack([scan.vertices, _coordinates_of(scan, "A .ply scan")])
    header = [
        "ply",
        f"format {encoding} 1.0",
        f"comment TextureFile {image}",
        f"element vertex {len(numbers)}",
        *(f"property float {name}" for name in ("x", "y", "z", "s", "t")),
        f"element face {len(scan.faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    if encoding == "ascii":
        body = number_lines(numbers, 4, b"\n") + index_lines(scan.faces, b"\n", b"3 ", b" ")
    else:
        order = "<" if encoding == "binary_little_endian" else ">"
        triangles = np.empty(len(scan.faces), dtype=[("count", "u1"), ("corners", f"{order}i4", 3)])
        triangles["count"], triangles["corners"] = 3, scan.faces
        body = numbers.astype(f"{order}f4").tobytes() + triangles.tobytes()
    return "\n".join(header).encode() + body


def bnt_bytes(scan: FaceScan, image: str, rows: int = BNT_ROWS, columns: int = BNT_COLUMNS) -> bytes:
    """Bosphorus range image: little-endian header, planes x, y, z, u, v of doubles, row 0 at the bottom, v top-down."""
    planes, seen = range_image(scan, rows, columns)
    planes[~seen, :3] = BNT_BACKGROUND
    planes[..., 4] = 1.0 - planes[..., 4]
    name = image.encode("ascii")
    header = struct.pack(f"<HHdH{len(name)}sI", rows, columns, BNT_BACKGROUND, len(name), name, planes.size)
    return header + np.ascontiguousarray(planes.transpose(2, 0, 1)).astype("<f8").tobytes()


def range_image(
    scan: FaceScan, rows: int, columns: int
) -> tuple[Float64[np.ndarray, "rows columns 5"], Bool[np.ndarray, "rows columns"]]:
    """x, y, z (mm; 0 off it), u, v of the nearest surface over a grid, row 0 at the bottom; and where there is one."""
    coordinates = _coordinates_of(scan, "A range image")
    flat = scan.vertices[:, :2].astype(np.float64)
    low, step = flat.min(axis=0), np.ptp(flat, axis=0) / (np.array([columns, rows]) - 1)
    places = (flat - low) / step
    carried = np.column_stack([scan.vertices[:, 2], coordinates]).astype(np.float64)
    y, x = np.mgrid[0:rows, 0:columns]
    nearest = np.dstack([np.full((rows, columns), -np.inf), x / (columns - 1), y / (rows - 1)])
    for cells, values in _covered(places, scan.faces, carried):
        _keep_nearer(nearest, cells, values)
    seen = np.isfinite(nearest[..., 0])
    nearest[~seen, 0] = 0.0
    return np.dstack([low[0] + x * step[0], low[1] + y * step[1], nearest]), seen


def bnd_bytes(scan: FaceScan) -> bytes:
    """BU's landmark file: 83 rows ``vertexIndex x y z``, the vertex being the nearest."""
    points = landmarks_of(scan)
    _, nearest = cKDTree(scan.vertices).query(points)
    rows = [f"{index} {x:.4f} {y:.4f} {z:.4f}" for index, (x, y, z) in zip(nearest, points, strict=True)]
    return "\n".join(rows).encode() + b"\n"


def tbnd_bytes(scan: FaceScan, angles: tuple[float, float, float], untracked: Iterable[int] = ()) -> bytes:
    """BP4D's landmark file: pitch, yaw and roll in degrees, then 83 points, left-handed; 0 0 0 if untracked."""
    points = landmarks_of(scan) * LEFT_HANDED
    points[list(untracked)] = 0.0
    rows = [f"{first:.6f} {second:.6f} {third:.6f}" for first, second, third in (angles, *points)]
    return "\n".join(rows).encode() + b"\n"


def lm_bytes(points: Mapping[str, np.ndarray]) -> bytes:
    """Bosphorus' landmark file: CRLF text, the count, then a label and its coordinates in turn."""
    lines = [f"{len(points)} landmarks:", ""]
    for label, point in points.items():
        lines += [label, " ".join(f"{number:.4f}" for number in point)]
    return "\r\n".join(lines).encode() + b"\r\n"


def number_lines(
    rows: Float[np.ndarray, "rows columns"], decimals: int, end: bytes, begin: bytes = b"", between: bytes = b" "
) -> bytes:
    """Rows of numbers below 100,000 in size as text, each with ``begin`` before and ``end`` after it."""
    return _text([_decimal(column, decimals) for column in rows.T], begin, between, end)


def index_lines(
    rows: Int[np.ndarray, "rows columns"], end: bytes, begin: bytes = b"", between: bytes | tuple[bytes, ...] = b", "
) -> bytes:
    """Rows of whole numbers ≥ 0 as text, with one separator, or one of its own after each column but the last."""
    width = len(str(int(rows.max(initial=1))))
    return _text([_whole(column, width, 1) for column in rows.T], begin, between, end)


def _coordinates_of(scan: FaceScan, what: str) -> TextureCoordinates:
    if scan.texture_coordinates is None:
        raise ValueError(f"{what} needs texture coordinates, and this scan has none.")
    return scan.texture_coordinates


def _keep_nearer(nearest: np.ndarray, cells: np.ndarray, values: np.ndarray) -> None:
    """Put values where they are nearer to the camera than what is there; of several in one place, the nearest."""
    order = np.argsort(values[:, 0], kind="stable")
    order = order[values[order, 0] > nearest[cells[order, 1], cells[order, 0], 0]]
    nearest[cells[order, 1], cells[order, 0]] = values[order]


def _covered(places: np.ndarray, faces: np.ndarray, carried: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Grid places under each triangle, one offset from its lower corner at a time, with what it carries there."""
    corners = places[faces]
    first = np.ceil(corners.min(axis=1)).astype(np.int64)
    last = np.floor(corners.max(axis=1)).astype(np.int64)
    spans = last - first
    for dy in range(int(spans[:, 1].max()) + 1):
        for dx in range(int(spans[:, 0].max()) + 1):
            chosen = np.flatnonzero((spans[:, 0] >= dx) & (spans[:, 1] >= dy))
            cells = first[chosen] + (dx, dy)
            shares = _barycentric(corners[chosen], cells)
            inside = (shares >= -1e-9).all(axis=1)
            values = np.einsum("tc,tcv->tv", shares[inside], carried[faces[chosen[inside]]])
            yield cells[inside], values


def _barycentric(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Barycentric coordinates of one point a triangle; NaN, which is outside, where the triangle is edge on."""
    a, b, c = (corners[:, corner] for corner in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        area = _cross(b - a, c - a)
        second, third = _cross(points - a, c - a) / area, _cross(b - a, points - a) / area
    return np.stack([1.0 - second - third, second, third], axis=1)


def _cross(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.asarray(left[:, 0] * right[:, 1] - left[:, 1] * right[:, 0])


def _text(columns: list[DigitColumns], begin: bytes, between: bytes | tuple[bytes, ...], end: bytes) -> bytes:
    rows = len(columns[0])
    separators = (between,) * (len(columns) - 1) if isinstance(between, bytes) else between
    parts: list[np.ndarray] = []
    for mark, column in zip((begin, *separators), columns, strict=True):
        parts += [_mark(mark, rows), column]
    characters = np.concatenate([*parts, _mark(end, rows)], axis=1).ravel()
    return bytes(characters[characters != 0])


def _mark(text: bytes, rows: int) -> DigitColumns:
    return np.broadcast_to(np.frombuffer(text, dtype=np.uint8), (rows, len(text)))


def _decimal(values: Float[np.ndarray, " rows"], decimals: int) -> DigitColumns:
    scaled = np.rint(np.asarray(values, dtype=np.float64) * 10**decimals).astype(np.int64)
    size = np.abs(scaled)
    width = max(len(str(int(size.max(initial=1)))), decimals + 1)
    digits = _whole(size, width, decimals + 1)
    sign = np.where(scaled < 0, ord("-"), 0).astype(np.uint8)[:, None]
    point = np.full((len(size), 1), ord("."), dtype=np.uint8)
    return np.concatenate([sign, digits[:, :-decimals], point, digits[:, -decimals:]], axis=1)


def _whole(values: Int[np.ndarray, " rows"], width: int, least: int) -> DigitColumns:
    """Digits of whole numbers ≥ 0, without leading zeros but for the last ``least`` digits."""
    powers = 10 ** np.arange(width - 1, -1, -1)
    shifted = values[:, None].astype(np.int64) // powers
    digits = (shifted % 10 + ord("0")).astype(np.uint8)
    digits[(shifted == 0) & (np.arange(width) < width - least)] = 0
    return digits
