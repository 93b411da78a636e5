"""Readers, one a file format: bytes in, a checked :class:`~affect4d.scans.scan.FaceScan` or a ScanError out."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace as with_changes
from pathlib import Path

import numpy as np

from affect4d.array_types import Landmarks, Vertices
from affect4d.scans.landmark_names import LANDMARK_COUNT
from affect4d.scans.readers.gltf import read_glb
from affect4d.scans.readers.landmark_files import LABELLED_ROWS, read_bnd, read_bndplus, read_lm3, read_tbnd
from affect4d.scans.readers.mesh_checks_and_textures import MeshFile, find_image
from affect4d.scans.readers.obj import read_obj
from affect4d.scans.readers.off_stl import read_off, read_stl
from affect4d.scans.readers.ply import read_ply
from affect4d.scans.readers.range_image import read_bnt
from affect4d.scans.readers.vrml import read_wrl
from affect4d.scans.scan import FaceScan, ScanError

__all__ = ["LANDMARK_READERS", "READERS", "MeshReader", "natural_order", "read_landmarks", "read_scan"]

LANDMARK_MARGIN = 0.1
"""How far outside the mesh's bounding box, relative to its largest side, the median landmark may lie."""
_DIGITS = re.compile(r"(\d{1,18})")
MeshReader = Callable[[Path], MeshFile]


READERS: Mapping[str, MeshReader] = {
    ".wrl": read_wrl,
    ".obj": read_obj,
    ".ply": read_ply,
    ".bnt": read_bnt,
    ".off": read_off,
    ".stl": read_stl,
    ".glb": read_glb,
}
"""File suffix, in lower case, to its reader."""

LANDMARK_READERS: Mapping[str, Callable[[Path], Landmarks]] = {
    ".bnd": read_bnd,
    ".lm3": read_lm3,
    ".tbnd": read_tbnd,
    ".bndplus": read_bndplus,
}
"""Suffix of a landmark file, in lower case, to its reader."""

LANDMARK_ROWS: Mapping[str, Sequence[int]] = {
    **dict.fromkeys(LANDMARK_READERS, range(LANDMARK_COUNT)),
    ".lm3": LABELLED_ROWS,
}
"""Suffix of a landmark file to the rows that such a file can fill: the others never count as missing."""


def read_scan(
    path: Path,
    texture: Path | None = None,
    landmarks: Path | None = None,
    reader: MeshReader | None = None,
    texels: int = 0,
) -> FaceScan:
    """A face scan of any known format in the file's own coordinates, with its image and its landmarks.

    Landmarks and textures that cannot be read, and landmarks that do not lie on the mesh, are left out and noted among
    ``repairs``.

    Args:
        texture: Its image; by default the one the scan names, else the one with the scan's own stem.
        reader: For files whose suffix does not tell their format, such as depth images; by default ``READERS``' own.
        texels: Texels that suffice along the shorter side of the texture, if that is quicker; 0 for all.

    Raises:
        ScanError: If the suffix is unknown or the mesh is not usable.
    """
    read = reader or READERS.get(path.suffix.lower())
    if read is None:
        raise _unknown(path, "formats", READERS)
    mesh = read(path)
    image, repairs = find_image(path, mesh, texture, texels)
    scan = FaceScan(mesh.vertices, mesh.faces, mesh.texture_coordinates, repairs=mesh.repairs + repairs)
    if image is not None:
        scan = with_changes(scan, texture=image.pixels, texture_size=image.size, texture_file=image.file)
    return scan if landmarks is None else _with_landmarks(scan, landmarks)


def read_landmarks(path: Path) -> Landmarks:
    """The landmarks of a file of any known format, [83, 3], NaN where not tracked; a ScanError if it is not usable."""
    read = LANDMARK_READERS.get(path.suffix.lower())
    if read is None:
        raise _unknown(path, "formats of landmarks", LANDMARK_READERS)
    return read(path)


def natural_order(name: str) -> list[tuple[int, str]]:
    """Key that sorts ``2.obj`` before ``10.obj``, ignoring case."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name.lower())]


def _with_landmarks(scan: FaceScan, file: Path) -> FaceScan:
    try:
        points = read_landmarks(file)
    except ScanError as error:
        place = f"{file.name} ({error.where})" if error.where else file.name
        return _with_repair(scan, f"landmarks refused: {place}: {error.detail} [{error.code}]")
    if not _lies_on(points, scan.vertices):
        return _with_repair(scan, "landmarks refused: they do not lie on the mesh")
    rows = LANDMARK_ROWS[file.suffix.lower()]
    missing = int(np.isnan(points[list(rows), 0]).sum())
    marked = with_changes(scan, landmarks=points)
    return _with_repair(marked, f"{missing} of {len(rows)} landmarks were not tracked") if missing else marked


def _lies_on(points: Landmarks, vertices: Vertices) -> bool:
    tracked = points[~np.isnan(points[:, 0])]
    if len(tracked) == 0:
        return False
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    margin = LANDMARK_MARGIN * float((high - low).max())
    inside = ((tracked >= low - margin) & (tracked <= high + margin)).all(axis=1)
    return bool(inside.mean() > 0.5)


def _with_repair(scan: FaceScan, repair: str) -> FaceScan:
    return with_changes(scan, repairs=(*scan.repairs, repair))


def _unknown(path: Path, kind: str, known: Iterable[str]) -> ScanError:
    if not path.exists():
        return ScanError("unreadable", path, "there is no such file or folder")
    named = f"the suffix {path.suffix}" if path.suffix else "a file without a suffix"
    return ScanError("unknown-format", path, f"{named} is not read; known {kind}: {', '.join(known)}")
