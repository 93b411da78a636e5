"""Readers, one a file format: bytes in, a checked :class:`~affect4d.scans.scan.FaceScan` or a ScanError out."""

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_changes
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np

from affect4d.arrays import Landmarks, Vertices
from affect4d.scans.landmarks import LANDMARK_COUNT
from affect4d.scans.readers.landmark_labels import LABELLED_ROWS, read_lm3, read_picture_landmarks
from affect4d.scans.readers.landmark_tables import read_bnd, read_bndplus, read_tbnd
from affect4d.scans.scan import FaceScan, ScanError

__all__ = ["LANDMARK_READERS", "READERS", "Reader", "read_landmarks", "read_picture_landmarks", "read_scan"]

LANDMARK_MARGIN = 0.1
"""How far outside the mesh's bounding box, as a share of its largest side, the middle landmark may lie."""


class Reader(Protocol):
    """Reads one file format."""

    def __call__(self, path: Path, texture: Path | None = None) -> FaceScan:
        """Read a file; ``texture`` is used instead of the picture the file names."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """A reader whose module is imported on first use: the compiler behind the text formats takes a second to load."""

    module: str
    function: str

    def __call__(self, path: Path, texture: Path | None = None) -> FaceScan:
        """Read a file."""
        read: Reader = getattr(importlib.import_module(f"{__name__}.{self.module}"), self.function)
        return read(path, texture)


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        ".wrl": Deferred("vrml", "read_wrl"),
        ".obj": Deferred("wavefront", "read_obj"),
        ".ply": Deferred("ply", "read_ply"),
        ".bnt": Deferred("range_image", "read_bnt"),
        ".off": Deferred("off", "read_off"),
        ".stl": Deferred("stl", "read_stl"),
    }
)
"""File suffix, in lower case, to its reader."""

LANDMARK_READERS: Mapping[str, Callable[[Path], Landmarks]] = MappingProxyType(
    {".bnd": read_bnd, ".bndplus": read_bndplus, ".tbnd": read_tbnd, ".lm3": read_lm3}
)
"""Suffix of a landmark file, in lower case, to its reader."""

LANDMARK_ROWS: Mapping[str, Sequence[int]] = MappingProxyType(
    {**dict.fromkeys(LANDMARK_READERS, range(LANDMARK_COUNT)), ".lm3": LABELLED_ROWS}
)
"""Suffix of a landmark file to the rows that such a file can fill: no scan lacks what its corpus never marks."""


def read_scan(
    path: Path, texture: Path | None = None, landmarks: Path | None = None, reader: Reader | None = None
) -> FaceScan:
    """Read a face scan of any known format, with its landmarks.

    Args:
        path: The scan.
        texture: Its picture; by default the one the scan names, else the one with the scan's own stem.
        landmarks: Its landmark file, of any suffix in ``LANDMARK_READERS``.
        reader: For files whose suffix does not say what they are, such as depth pictures; by default ``READERS``' own.

    Returns:
        The scan in the file's own coordinates. Landmarks that cannot be read, or that do not lie on the mesh, are
        left out and noted among ``repairs``, as a texture is.

    Raises:
        ScanError: If the suffix is unknown or the mesh is not usable.
    """
    read = reader or READERS.get(path.suffix.lower())
    if read is None:
        raise _unknown(path, "formats", READERS)
    scan = read(path, texture)
    if landmarks is None:
        return scan
    try:
        points = read_landmarks(landmarks)
    except ScanError as error:
        place = f"{landmarks.name} ({error.where})" if error.where else landmarks.name
        return _noting(scan, f"landmarks refused: {place}: {error.detail} [{error.code}]")
    if not _lies_on(points, scan.vertices):
        return _noting(scan, "landmarks refused: they do not lie on the mesh")
    rows = LANDMARK_ROWS[landmarks.suffix.lower()]
    missing = int(np.isnan(points[list(rows), 0]).sum())
    kept = with_changes(scan, landmarks=points)
    return _noting(kept, f"{missing} of {len(rows)} landmarks were not tracked") if missing else kept


def read_landmarks(path: Path) -> Landmarks:
    """Read a landmark file of any known format.

    Returns:
        ``float32`` [83, 3] in the scan's own frame, in the order of :mod:`affect4d.scans.landmarks`; a row of NaN is a
        landmark that was not tracked or that the format does not have.

    Raises:
        ScanError: If the suffix is unknown or the file is not usable.
    """
    read = LANDMARK_READERS.get(path.suffix.lower())
    if read is None:
        raise _unknown(path, "formats of landmarks", LANDMARK_READERS)
    return read(path)


def _unknown(path: Path, kind: str, known: Iterable[str]) -> ScanError:
    if not path.exists():
        return ScanError("unreadable", path, "there is no such file or folder")
    named = f"the suffix {path.suffix}" if path.suffix else "a file without a suffix"
    return ScanError("unknown-format", path, f"{named} is not read; known {kind}: {', '.join(known)}")


def _noting(scan: FaceScan, repair: str) -> FaceScan:
    return with_changes(scan, repairs=(*scan.repairs, repair))


def _lies_on(points: Landmarks, vertices: Vertices) -> bool:
    tracked = points[~np.isnan(points[:, 0])]
    if len(tracked) == 0:
        return False
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    margin = LANDMARK_MARGIN * float((high - low).max())
    inside = ((tracked >= low - margin) & (tracked <= high + margin)).all(axis=1)
    return bool(inside.mean() > 0.5)
