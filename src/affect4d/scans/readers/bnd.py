"""BU landmark files (``.bnd``): 83 rows of ``vertexIndex x y z``, sometimes an empty 84th."""

from pathlib import Path

import numpy as np

from affect4d.arrays import Landmarks
from affect4d.scans.landmarks import LANDMARK_COUNT
from affect4d.scans.readers.limits import MAX_COORDINATE, read_capped
from affect4d.scans.scan import ScanError

MAX_BND_BYTES = 2**16


def read_landmarks(path: Path) -> Landmarks:
    """Read the 83 landmarks of a ``.bnd`` file.

    The vertex index is not used: the coordinates say the same, and stay right when vertices are renumbered.

    Returns:
        ``float32`` [83, 3] in the scan's own frame; a point written as ``0 0 0`` or ``nan nan nan`` was not tracked
        and is a row of NaN.

    Raises:
        ScanError: If there are not 83 rows of four finite numbers.
    """
    rows = [line.split() for line in read_capped(path, MAX_BND_BYTES).replace(b",", b" ").splitlines()]
    while rows and not rows[-1]:
        rows.pop()
    if len(rows) == LANDMARK_COUNT + 1 and not any(_number(word, path, LANDMARK_COUNT) for word in rows[-1]):
        rows.pop()
    if len(rows) != LANDMARK_COUNT:
        raise ScanError("wrong-count", path, f"{len(rows)} rows, expected {LANDMARK_COUNT}")
    points = np.array([_point(row, path, number) for number, row in enumerate(rows)])
    points[(points == 0).all(axis=1) | np.isnan(points).any(axis=1)] = np.nan
    return points.astype(np.float32)


def _point(row: list[bytes], path: Path, number: int) -> list[float]:
    if len(row) != 4:
        raise ScanError("wrong-count", path, f"{len(row)} numbers, expected 4", f"line {number + 1}")
    index, *point = (_number(word, path, number) for word in row)
    if not index.is_integer():
        raise ScanError("malformed-number", path, f"the vertex index {index} is not whole", f"line {number + 1}")
    return point


def _number(word: bytes, path: Path, row: int) -> float:
    place = f"line {row + 1}"
    try:
        number = float(word)
    except ValueError:
        text = word[:40].decode("ascii", "replace")
        raise ScanError("malformed-number", path, f"{text!r} is not a number", place) from None
    if abs(number) > MAX_COORDINATE:
        raise ScanError("not-finite", path, f"{number} is no coordinate", place)
    return number
