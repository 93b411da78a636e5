"""Bosphorus landmark files: labelled points of the range image (``.lm3``, mm) and of its picture (``.lm2``, pixels).

Text with CRLF: comment lines, ``22 landmarks:``, then label and coordinates turn by turn. The count is the file's own;
labels may be missing. In a label "left" is the **picture's** left, which is the subject's right (verified on such
files).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from affect4d.arrays import Landmarks
from affect4d.scans.landmarks import LANDMARK_COUNT, NAMED
from affect4d.scans.readers.landmark_tables import MAX_LANDMARK_BYTES, number
from affect4d.scans.readers.limits import read_capped
from affect4d.scans.scan import ScanError

RIGHT_NOSE_ROOT, LEFT_NOSE_ROOT = 36, 46
BOSPHORUS_LABELS: Mapping[str, int | None] = MappingProxyType(
    {
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
)
"""Label to row of our 83 landmarks; ear lobes have none."""
LABELLED_ROWS = tuple(sorted(row for row in BOSPHORUS_LABELS.values() if row is not None))
"""The rows that a Bosphorus file can fill."""
_COUNT = re.compile(r"(\d{1,4}) landmarks ?:?", re.IGNORECASE)
_KNOWN = {label.casefold(): label for label in BOSPHORUS_LABELS}


def read_lm3(path: Path) -> Landmarks:
    """Read the labelled points of a Bosphorus scan.

    Returns:
        ``float32`` [83, 3] in the scan's own frame; NaN in the rows that Bosphorus does not label, or that are missing.

    Raises:
        ScanError: If the file is not a list of known labels, each with three numbers.
    """
    landmarks = np.full((LANDMARK_COUNT, 3), np.nan, dtype=np.float32)
    for label, point in _labelled_points(path, 3).items():
        row = BOSPHORUS_LABELS[label]
        if row is not None:
            landmarks[row] = point
    return landmarks


def read_picture_landmarks(path: Path) -> Mapping[str, tuple[float, float]]:
    """Read the labelled points of a scan's picture (``.lm2``).

    Returns:
        Label, as Bosphorus writes it, to column and row in pixels from the top left.

    Raises:
        ScanError: If the file is not a list of known labels, each with two numbers.
    """
    return {label: (point[0], point[1]) for label, point in _labelled_points(path, 2).items()}


def _labelled_points(path: Path, axes: int) -> dict[str, list[float]]:
    text = read_capped(path, MAX_LANDMARK_BYTES).decode("utf-8", "replace")
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
    for (place, label), (_, words) in zip(rest[::2], rest[1::2], strict=True):
        known = _KNOWN.get(label.casefold())
        if known is None:
            raise ScanError("unknown-label", path, f"{label[:40]!r} is no landmark of Bosphorus", f"line {place}")
        if known in points:
            raise ScanError("repeated-label", path, f"{known!r} is given twice", f"line {place}")
        points[known] = _coordinates(words, axes, path, f"line {place + 1}")
    return points


def _coordinates(line: str, axes: int, path: Path, place: str) -> list[float]:
    numbers = [number(word.encode(), path, place) for word in line.split()]
    if len(numbers) != axes or not np.isfinite(numbers).all():
        raise ScanError("wrong-count", path, f"{line[:60]!r} is not a point of {axes} numbers", place)
    return numbers
