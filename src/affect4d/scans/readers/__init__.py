"""Readers, one a file format: bytes in, a checked :class:`~affect4d.scans.scan.FaceScan` or a ScanError out."""

from collections.abc import Mapping
from dataclasses import replace as with_changes
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np

from affect4d.arrays import Landmarks, Vertices
from affect4d.scans.readers.bnd import read_landmarks
from affect4d.scans.readers.vrml import read_wrl
from affect4d.scans.readers.wavefront import read_obj
from affect4d.scans.scan import FaceScan, ScanError

__all__ = ["READERS", "Reader", "read_landmarks", "read_scan"]

LANDMARK_MARGIN = 0.1
"""How far outside the mesh's bounding box, as a share of its largest side, the middle landmark may lie."""


class Reader(Protocol):
    """Reads one file format."""

    def __call__(self, path: Path, texture: Path | None = None) -> FaceScan:
        """Read a file; ``texture`` is used instead of the picture the file names."""


READERS: Mapping[str, Reader] = MappingProxyType({".wrl": read_wrl, ".obj": read_obj})
"""File suffix, in lower case, to its reader."""


def read_scan(path: Path, texture: Path | None = None, landmarks: Path | None = None) -> FaceScan:
    """Read a face scan of any known format, with its landmarks.

    Args:
        path: The scan.
        texture: Its picture; by default the one the scan names, else the one with the scan's own stem.
        landmarks: Its ``.bnd`` file.

    Returns:
        The scan in the file's own coordinates. Landmarks that cannot be read, or that do not lie on the mesh, are
        left out and noted among ``repairs``, as a texture is.

    Raises:
        ScanError: If the suffix is unknown or the mesh is not usable.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ScanError("unknown-format", path, f"known formats: {', '.join(READERS)}")
    scan = reader(path, texture)
    if landmarks is None:
        return scan
    try:
        points = read_landmarks(landmarks)
    except ScanError as error:
        return _noting(scan, f"landmarks refused: {error.detail} [{error.code}]")
    if not _lies_on(points, scan.vertices):
        return _noting(scan, "landmarks refused: they do not lie on the mesh")
    missing = int(np.isnan(points[:, 0]).sum())
    kept = with_changes(scan, landmarks=points)
    return _noting(kept, f"{missing} landmarks were not tracked") if missing else kept


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
