"""Writing scans in BU-4DFE's own layout: ``F001/Angry/000.wrl`` with ``000.jpg``, landmarks as ``.bnd``.

Numbers are formatted by arithmetic on whole arrays: formatted one by one they would be most of the cost of a corpus.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image
from scipy.spatial import cKDTree

from affect4d.scans.scan import FaceScan

FOLDERS: Mapping[str, str] = MappingProxyType(
    {
        "anger": "Angry",
        "disgust": "Disgust",
        "fear": "Fear",
        "happiness": "Happy",
        "sadness": "Sad",
        "surprise": "Surprise",
    }
)
LANDMARK_FOLDER = "BU4DFE_BND_V1.1"
JPEG_QUALITY = 85

Characters = UInt8[np.ndarray, "rows width"]
"""ASCII codes; 0 marks a place that is left out."""


def write_scan(root: Path, sequence: str, frame: int, scan: FaceScan) -> None:
    """Write mesh, picture and landmarks of one frame.

    Args:
        root: The corpus.
        sequence: ``"F001/Angry"``.
        frame: Number of the frame, from 0.
        scan: With texture coordinates, texture and landmarks.

    Raises:
        ValueError: If the scan lacks one of these.
    """
    if scan.texture is None or scan.landmarks is None:
        raise ValueError(f"{sequence}/{frame:03d}: BU-4DFE's layout needs a texture and landmarks.")
    folder, landmark_folder = root / sequence, root / LANDMARK_FOLDER / sequence
    for place in (folder, landmark_folder):
        place.mkdir(parents=True, exist_ok=True)
    (folder / f"{frame:03d}.wrl").write_bytes(wrl_bytes(scan, f"{frame:03d}.jpg"))
    Image.fromarray(scan.texture).save(folder / f"{frame:03d}.jpg", quality=JPEG_QUALITY)
    (landmark_folder / f"{frame:03d}.bnd").write_bytes(bnd_bytes(scan))


def wrl_bytes(scan: FaceScan, picture: str) -> bytes:
    """A scan as VRML 2.0 text: one IndexedFaceSet whose vertex and texture indices coincide, v up.

    Args:
        scan: With texture coordinates.
        picture: Name of the texture's file.

    Raises:
        ValueError: If the scan has no texture coordinates.
    """
    if scan.texture_coordinates is None:
        raise ValueError("A BU-4DFE scan needs texture coordinates, and this one has none.")
    faces = face_lines(scan.faces)
    parts = (
        b"#VRML V2.0 utf8\n\nShape {\n appearance Appearance {\n  material Material { diffuseColor 1 1 1 }\n",
        f'  texture ImageTexture {{ url "{picture}" }}\n }}\n geometry IndexedFaceSet {{\n'.encode(),
        b"  coord Coordinate {\n   point [\n",
        number_lines(scan.vertices, 3, b",\n"),
        b"   ]\n  }\n  coordIndex [\n",
        faces,
        b"  ]\n  texCoord TextureCoordinate {\n   point [\n",
        number_lines(scan.texture_coordinates, 4, b",\n"),
        b"   ]\n  }\n  texCoordIndex [\n",
        faces,
        b"  ]\n }\n}\n",
    )
    return b"".join(parts)


def bnd_bytes(scan: FaceScan) -> bytes:
    """Landmarks as 83 rows ``vertexIndex x y z``, the vertex being the nearest.

    Raises:
        ValueError: If the scan has no landmarks.
    """
    if scan.landmarks is None:
        raise ValueError("A .bnd file needs landmarks, and this scan has none.")
    _, nearest = cKDTree(scan.vertices).query(scan.landmarks)
    rows = [f"{index} {x:.4f} {y:.4f} {z:.4f}" for index, (x, y, z) in zip(nearest, scan.landmarks, strict=True)]
    return "\n".join(rows).encode() + b"\n"


def number_lines(rows: Float[np.ndarray, "rows columns"], decimals: int, end: bytes) -> bytes:
    """Rows of numbers as text, separated by blanks.

    Args:
        rows: Numbers below 100,000 in size.
        decimals: Digits after the point.
        end: What ends each row.
    """
    columns = [_decimal(column, decimals) for column in rows.T]
    return _text(columns, b" ", end)


def face_lines(faces: Int[np.ndarray, "faces 3"]) -> bytes:
    """Triangles as text, each ended by −1."""
    width = len(str(int(faces.max(initial=1))))
    return _text([_whole(column, width, 1) for column in faces.T], b", ", b", -1,\n")


def _text(columns: list[Characters], between: bytes, end: bytes) -> bytes:
    """Columns side by side, blanks squeezed out."""
    rows = len(columns[0])
    parts: list[np.ndarray] = []
    for position, column in enumerate(columns):
        last = position == len(columns) - 1
        mark = np.frombuffer(end if last else between, dtype=np.uint8)
        parts += [column, np.broadcast_to(mark, (rows, len(mark)))]
    characters = np.concatenate(parts, axis=1).ravel()
    return bytes(characters[characters != 0])


def _decimal(values: Float[np.ndarray, " rows"], decimals: int) -> Characters:
    """Sign, digits, point, digits."""
    scaled = np.rint(np.asarray(values, dtype=np.float64) * 10**decimals).astype(np.int64)
    size = np.abs(scaled)
    width = max(len(str(int(size.max(initial=1)))), decimals + 1)
    digits = _whole(size, width, decimals + 1)
    sign = np.where(scaled < 0, ord("-"), 0).astype(np.uint8)[:, None]
    point = np.full((len(size), 1), ord("."), dtype=np.uint8)
    return np.concatenate([sign, digits[:, :-decimals], point, digits[:, -decimals:]], axis=1)


def _whole(values: Int[np.ndarray, " rows"], width: int, least: int) -> Characters:
    """Digits of whole numbers ≥ 0, leading zeros left out but for the last ``least`` digits."""
    powers = 10 ** np.arange(width - 1, -1, -1)
    shifted = values[:, None].astype(np.int64) // powers
    digits = (shifted % 10 + ord("0")).astype(np.uint8)
    digits[(shifted == 0) & (np.arange(width) < width - least)] = 0
    return digits
