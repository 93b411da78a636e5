"""Bosphorus' layout: the apex of every expression, and a neutral face, as range images with named landmarks.

Quirks: a background of −1e9, v from top to bottom, CRLF landmark files, of which every third person's lack the chin.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from affect4d.scans.corpora.bosphorus import sequence_name
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.readers.landmark_files import BOSPHORUS_LABELS
from affect4d.scans.scan import FaceScan
from affect4d.synthetic.layouts.formats.bnt import bnt_bytes
from affect4d.synthetic.layouts.formats.landmarks import landmarks_of, lm_bytes
from affect4d.synthetic.layouts.layout import Layout, Shown, Written, is_posed, picture_bytes, put, texture_of

CODES: Mapping[str, str] = MappingProxyType(
    {
        "anger": "ANGER",
        "disgust": "DISGUST",
        "fear": "FEAR",
        "happiness": "HAPPY",
        "sadness": "SADNESS",
        "surprise": "SURPRISE",
    }
)
SOMETIMES_MISSING = "Chin middle"


def subject_name(person: int, gender: str) -> str:
    """``bs000``: women and men in one row."""
    return f"bs{person:03d}"


def write(root: Path, shown: Shown) -> tuple[Written, ...]:
    """Write the apex of a take; with the person's first take, the neutral face too."""
    performance = shown.performance
    expression = str(performance.expression)
    take = int(performance.name.removeprefix(expression).removeprefix("-") or 1) - 1
    wanted = [("E", CODES[expression], take, performance.apex)]
    if expression == EXPRESSIONS[0]:
        wanted.append(("N", "N", take, 0))
    return tuple(_write_scan(root, shown, *one) for one in wanted)


def _write_scan(root: Path, shown: Shown, group: str, code: str, take: int, frame: int) -> Written:
    subject, scan = subject_name(shown.person, shown.gender), shown.scan(frame)
    stem = f"{subject}_{group}_{code}_{take}"
    left_out = {SOMETIMES_MISSING} if shown.person % 3 == 2 else set()
    points = {label: row for label, row in BOSPHORUS_LABELS.items() if row is not None and label not in left_out}
    put(root / subject / f"{stem}.bnt", bnt_bytes(scan, f"{stem}.png"))
    put(root / subject / f"{stem}.png", picture_bytes(scan, "PNG"))
    put(root / subject / f"{stem}.lm3", lm_bytes({label: landmarks_of(scan)[row] for label, row in points.items()}))
    put(root / subject / f"{stem}.lm2", lm_bytes({label: _pixel(scan, row) for label, row in points.items()}))
    return Written(sequence_name(subject, group, code, take), 0, frame, neutral=group == "N")


def _pixel(scan: FaceScan, row: int) -> np.ndarray:
    """Where a landmark is in the picture: the texture coordinates of the nearest vertex."""
    assert scan.texture_coordinates is not None
    nearest = int(np.linalg.norm(scan.vertices - landmarks_of(scan)[row], axis=1).argmin())
    u, v = scan.texture_coordinates[nearest]
    height, width = texture_of(scan).shape[:2]
    return np.array([u * (width - 1), (1 - v) * (height - 1)])


BOSPHORUS = Layout(
    name="bosphorus",
    description="the apex of each expression and a neutral face as .bnt range images, .png, .lm2 and .lm3",
    subject_name=subject_name,
    holds=is_posed,
    write=write,
)
