"""Files of all 83 landmarks, one a row: ``.bnd``, ``.bndplus``, ``.tbnd``.

::

    suffix | corpus | rows
    .bnd | BU-3DFE, BU-4DFE | vertexIndex x y z, sometimes an empty 84th
    .bndplus | BP4D+ | as .bnd, or without the index; three angles may stand before them, or an empty row behind
    .tbnd | BP4D-Spontaneous | first pitch yaw roll, then x y z

The first two are in the mesh's frame. A ``.tbnd`` is left-handed; that its z is the axis to turn round is an assumption
[ours: not published]. Of ``.bndplus`` no description is public: its rows are an assumption [ours].

A point written as ``0 0 0`` or ``nan nan nan`` was not tracked. Whether the points really lie on the mesh is checked
when both are read (:func:`affect4d.scans.readers.read_scan`), so that a wrong assumption about a frame leaves the
landmarks out and says so.
"""

from pathlib import Path

import numpy as np

from affect4d.arrays import Landmarks
from affect4d.scans.landmarks import LANDMARK_COUNT
from affect4d.scans.readers.limits import MAX_COORDINATE, read_capped
from affect4d.scans.scan import ScanError

MAX_LANDMARK_BYTES = 2**16
_WITH_INDEX, _BARE = 4, 3
_NEAR, _FAR = 0.1, 0.2
"""Shares of the landmarks' extent: up to the first two points are neighbours, from the other on they are not."""
Row = list[float]


def read_bnd(path: Path) -> Landmarks:
    """Read the 83 landmarks of a ``.bnd`` file.

    The vertex index is not used: the coordinates say the same, and stay right when vertices are renumbered.

    Returns:
        ``float32`` [83, 3] in the scan's own frame; a row of NaN was not tracked.

    Raises:
        ScanError: If there are not 83 rows of four numbers.
    """
    rows = _rows(path)
    if len(rows) == LANDMARK_COUNT + 1 and _empty(rows[-1]):
        rows.pop()
    return _points(rows, _WITH_INDEX, path)


def read_bndplus(path: Path) -> Landmarks:
    """Read the 83 landmarks of a ``.bndplus`` file; returns and raises as :func:`read_bnd`.

    Raises:
        ScanError: Also if it cannot be told whether the first or the last of 84 rows is no landmark.
    """
    rows = _rows(path)
    if len(rows) == LANDMARK_COUNT + 1:
        rows.pop(0 if len(rows[0]) == _BARE and _starts_with_angles(rows, path) else -1)
    return _points(rows, _BARE if rows and len(rows[0]) == _BARE else _WITH_INDEX, path)


def read_tbnd(path: Path) -> Landmarks:
    """Read the 83 landmarks of a ``.tbnd`` file, right-handed; returns and raises as :func:`read_bnd`."""
    rows = _rows(path)
    if not rows or len(rows[0]) != _BARE:
        raise ScanError("wrong-count", path, "the first line is not pitch, yaw and roll", "line 1")
    landmarks = _points(rows[1:], _BARE, path)
    landmarks[:, 2] *= -1
    return landmarks


def _starts_with_angles(rows: list[Row], path: Path) -> bool:
    """Whether the first of 84 bare rows is three angles, and not the first landmark before an empty 84th row.

    The first two landmarks are neighbours on the rim of an eye, a sixteenth of the landmarks' extent apart.
    """
    if not _empty(rows[-1]) or any(len(row) != _BARE for row in rows):
        return True
    points = _untracked_as_nan(np.array(rows))
    others = points[1:][~np.isnan(points[1:, 0])]
    extent = float(np.ptp(others, axis=0).max()) if len(others) else 0.0
    apart = float(np.linalg.norm(points[0] - points[1]))  # NaN where one was not tracked
    if extent > 0 and apart <= _NEAR * extent:
        return False
    if extent > 0 and apart >= _FAR * extent:
        return True
    detail = "84 rows of three numbers, the last empty: the first may be angles or a landmark; take one of them out"
    raise ScanError("ambiguous", path, detail, "line 1")


def _empty(row: Row) -> bool:
    """Whether a row holds no point."""
    return all(value == 0 or np.isnan(value) for value in row[-3:])


def _rows(path: Path) -> list[Row]:
    """Numbers of every line that is not empty."""
    lines = read_capped(path, MAX_LANDMARK_BYTES).replace(b",", b" ").splitlines()
    rows = ([number(word, path, f"line {place}") for word in line.split()] for place, line in enumerate(lines, 1))
    return [row for row in rows if row]


def _points(rows: list[Row], width: int, path: Path) -> Landmarks:
    if len(rows) != LANDMARK_COUNT:
        raise ScanError("wrong-count", path, f"{len(rows)} rows of points, expected {LANDMARK_COUNT}")
    for place, row in enumerate(rows):
        if len(row) != width:
            raise ScanError("wrong-count", path, f"{len(row)} numbers, expected {width}", f"point {place + 1}")
        if width == _WITH_INDEX and not row[0].is_integer():
            raise ScanError("malformed-number", path, f"the vertex index {row[0]} is not whole", f"point {place + 1}")
    landmarks: Landmarks = _untracked_as_nan(np.array(rows)[:, -3:]).astype(np.float32)
    return landmarks


def _untracked_as_nan(points: np.ndarray) -> np.ndarray:
    points[(points == 0).all(axis=1) | np.isnan(points).any(axis=1)] = np.nan
    return points


def number(word: bytes, path: Path, place: str) -> float:
    """A coordinate as written; ``nan`` is one.

    Raises:
        ScanError: If it is none, or beyond any coordinate.
    """
    shown = word[:40].decode("ascii", "replace")
    try:
        value = float(word.replace(b"_", b"x"))  # Python reads 1_0 as ten
    except ValueError:
        raise ScanError("malformed-number", path, f"{shown!r} is not a number", place) from None
    if abs(value) > MAX_COORDINATE:
        raise ScanError("not-finite", path, f"{shown} is no coordinate", place)
    return value
