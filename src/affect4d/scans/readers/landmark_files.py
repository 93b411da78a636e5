"""Landmark files: tables of all 83 landmarks (``.bnd``, ``.bndplus``, ``.tbnd``) and labelled points (``.lm3``).

::

    suffix | corpus | rows
    .bnd | BU-3DFE, BU-4DFE | vertexIndex x y z, sometimes an empty 84th
    .bndplus | BP4D+ | as .bnd, or without the index
    .tbnd | BP4D-Spontaneous | first pitch yaw roll, then x y z
    .lm3 | Bosphorus | comment lines, ``22 landmarks:``, then label and coordinates in turn

A ``.tbnd`` is left-handed; that its z is the axis to negate is an assumption [ours: not published], as are the rows of
``.bndplus``. All others are in the mesh's frame. A point written as ``0 0 0`` or ``nan nan nan`` was not tracked.

A ``.lm3`` states its own count; labels may be missing. In a label "left" is the **image's** left, which is the
subject's right (verified on such files).

:func:`affect4d.scans.readers.read_scan` checks that the points lie on the mesh, so that a wrong assumption about a
frame leaves the landmarks out with a note.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from affect4d.array_types import Landmarks
from affect4d.scans.landmark_names import LANDMARK_COUNT, NAMED
from affect4d.scans.readers.mesh_checks_and_textures import MAX_COORDINATE, read_text
from affect4d.scans.scan import ScanError

MAX_LANDMARK_BYTES = 2**16
RIGHT_NOSE_ROOT, LEFT_NOSE_ROOT = 36, 46
BOSPHORUS_LABELS: Mapping[str, int | None] = {
    "Outer left eyebrow": NAMED["right_brow_outer"],
    "Middle left eyebrow": NAMED["right_brow_middle"],
    "Inner left eyebrow": NAMED["right_brow_inner"],
    "Inner right eyebrow": NAMED["left_brow_inner"],
    "Middle right eyebrow": NAMED["left_brow_middle"],
    "Outer right eyebrow": NAMED["left_brow_outer"],
    "Outer left eye corner": NAMED["right_eye_outer"],
    "Inner left eye corner": NAMED["right_eye_inner"],
    "Inner right eye corner": NAMED["left_eye_inner"],
    "Outer right eye corner": NAMED["left_eye_outer"],
    "Nose saddle left": RIGHT_NOSE_ROOT,
    "Nose saddle right": LEFT_NOSE_ROOT,
    "Left nose peak": NAMED["right_wing"],
    "Nose tip": NAMED["nose_tip"],
    "Right nose peak": NAMED["left_wing"],
    "Left mouth corner": NAMED["right_mouth_corner"],
    "Upper lip outer middle": NAMED["upper_lip_top"],
    "Right mouth corner": NAMED["left_mouth_corner"],
    "Upper lip inner middle": NAMED["upper_lip_inner"],
    "Lower lip inner middle": NAMED["lower_lip_inner"],
    "Lower lip outer middle": NAMED["lower_lip_bottom"],
    "Chin middle": NAMED["chin"],
    "Left ear lobe": None,
    "Right ear lobe": None,
}
"""Label to row of our 83 landmarks; ear lobes have none."""
LABELLED_ROWS = tuple(sorted(row for row in BOSPHORUS_LABELS.values() if row is not None))
"""The rows that a Bosphorus file can fill."""
_COUNT = re.compile(r"(\d{1,4}) landmarks ?:?", re.IGNORECASE)
_LABELS = {label.casefold(): label for label in BOSPHORUS_LABELS}
_WITH_INDEX, _BARE = 4, 3


def read_bnd(path: Path) -> Landmarks:
    """The 83 landmarks of a ``.bnd`` file, NaN where not tracked.

    The vertex index is not used: the coordinates are the same point, and stay right when vertices are renumbered.
    """
    return _points(_rows(path), _WITH_INDEX, path)


def read_bndplus(path: Path) -> Landmarks:
    """The 83 landmarks of a ``.bndplus`` file."""
    rows = _rows(path)
    return _points(rows, _BARE if rows and len(rows[0]) == _BARE else _WITH_INDEX, path)


def read_tbnd(path: Path) -> Landmarks:
    """The 83 landmarks of a ``.tbnd`` file, right-handed."""
    rows = _rows(path)
    if not rows or len(rows[0]) != _BARE:
        raise ScanError("wrong-count", path, "the first line is not pitch, yaw and roll", "line 1")
    landmarks = _points(rows[1:], _BARE, path)
    landmarks[:, 2] *= -1
    return landmarks


def _rows(path: Path) -> list[list[float]]:
    lines = read_text(path, MAX_LANDMARK_BYTES).replace(b",", b" ").splitlines()
    rows = ([_number(word, path, f"line {place}") for word in line.split()] for place, line in enumerate(lines, 1))
    return [row for row in rows if row]


def _points(rows: list[list[float]], width: int, path: Path) -> Landmarks:
    spare = width == _WITH_INDEX and len(rows) == LANDMARK_COUNT + 1
    if spare and all(value == 0 or np.isnan(value) for value in rows[-1][-3:]):
        rows = rows[:-1]
    if len(rows) != LANDMARK_COUNT:
        raise ScanError("wrong-count", path, f"{len(rows)} rows of points, expected {LANDMARK_COUNT}")
    for place, row in enumerate(rows):
        if len(row) != width:
            raise ScanError("wrong-count", path, f"{len(row)} numbers, expected {width}", f"point {place + 1}")
        if width == _WITH_INDEX and not row[0].is_integer():
            raise ScanError("malformed-number", path, f"the vertex index {row[0]} is not whole", f"point {place + 1}")
    points = np.array(rows)[:, -3:]
    points[(points == 0).all(axis=1) | np.isnan(points).any(axis=1)] = np.nan
    landmarks: Landmarks = points.astype(np.float32)
    return landmarks


def read_lm3(path: Path) -> Landmarks:
    """The labelled points of a Bosphorus scan in our rows; NaN where Bosphorus has no label, or the file no point."""
    landmarks = np.full((LANDMARK_COUNT, 3), np.nan, dtype=np.float32)
    for label, point in _labelled_points(path).items():
        row = BOSPHORUS_LABELS[label]
        if row is not None:
            landmarks[row] = point
    return landmarks


def _labelled_points(path: Path) -> dict[str, list[float]]:
    text = read_text(path, MAX_LANDMARK_BYTES).decode("utf-8", "replace")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    head = next((place for place, line in enumerate(lines) if _COUNT.fullmatch(line)), None)
    if head is None:
        raise ScanError("not-landmarks", path, "there is no line like '22 landmarks:'")
    rest = [(place + 1, line) for place, line in enumerate(lines) if place > head and line and line[0] != "#"]
    declared = int(lines[head].split()[0])
    if len(rest) != 2 * declared or not 1 <= declared <= len(BOSPHORUS_LABELS):
        detail = f"{declared} landmarks declared, {len(rest) / 2:g} given, at most {len(BOSPHORUS_LABELS)} exist"
        raise ScanError("wrong-count", path, detail, f"line {head + 1}")
    points: dict[str, list[float]] = {}
    for (place, written), (_, words) in zip(rest[::2], rest[1::2], strict=True):
        label = _LABELS.get(written.casefold())
        if label is None:
            raise ScanError("unknown-label", path, f"{written[:40]!r} is no landmark of Bosphorus", f"line {place}")
        if label in points:
            raise ScanError("repeated-label", path, f"{label!r} is given twice", f"line {place}")
        numbers = [_number(word.encode(), path, f"line {place + 1}") for word in words.split()]
        if len(numbers) != 3 or not np.isfinite(numbers).all():
            raise ScanError("wrong-count", path, f"{words[:60]!r} is not a point of 3 numbers", f"line {place + 1}")
        points[label] = numbers
    return points


def _number(word: bytes, path: Path, place: str) -> float:
    """A coordinate as written; ``nan`` is one."""
    shown = word[:40].decode("ascii", "replace")
    try:
        value = float(word.replace(b"_", b"x"))  # Python reads 1_0 as ten
    except ValueError:
        raise ScanError("malformed-number", path, f"{shown!r} is not a number", place) from None
    if abs(value) > MAX_COORDINATE:
        raise ScanError("not-finite", path, f"{shown} is no coordinate", place)
    return value
