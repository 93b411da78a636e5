"""BU-3DFE's layout: four levels of each expression and a neutral face, cropped, beside a raw mesh in another pose.

The levels are frames of the rise to the apex; one that no frame shows is left out. Quirks: CRLF and commas in every
other file; a .bmp called after F2D, for every fifth person a .png called after F3D. The ethnicity codes are made up:
they say nothing of a face.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from affect4d.scans.corpora.bu3dfe import CODES, ETHNICITIES, LEVELS, NEUTRAL_CODE, sequence_name
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.scan import FaceScan
from affect4d.synthetic.layouts.formats.landmarks import bnd_bytes
from affect4d.synthetic.layouts.formats.wrl import wrl_bytes
from affect4d.synthetic.layouts.layout import (
    Layout,
    Shown,
    Written,
    is_first_posed,
    lettered,
    picture_bytes,
    put,
    rising_frames,
)

subject_name = lettered(4)
RAW_TURN = Rotation.from_euler("xyz", (6.0, -9.0, 4.0), degrees=True)
RAW_SHIFT = np.array([14.0, -22.0, 35.0])


def write(root: Path, shown: Shown) -> tuple[Written, ...]:
    """Write up to four levels of a take; with the person's first expression, the neutral face too."""
    expression = shown.performance.expression
    code = next(code for code, name in CODES.items() if name == expression)
    wanted = [(code, level, frame) for level, frame in rising_frames(shown.performance, len(LEVELS)).items()]
    if expression == EXPRESSIONS[0]:
        wanted.append((NEUTRAL_CODE, 0, 0))
    return tuple(_write_scan(root, shown, *one) for one in wanted)


def _write_scan(root: Path, shown: Shown, code: str, level: int, frame: int) -> Written:
    subject, scan = subject_name(shown.person, shown.gender), shown.scan(frame)
    stem = f"{subject}_{code}{level:02d}{ETHNICITIES[shown.person % len(ETHNICITIES)]}"
    kind, picture, suffix = ("F3D", "PNG", ".png") if shown.person % 5 == 4 else ("F2D", "BMP", ".bmp")
    name = f"{stem}_{kind}{suffix}"
    newline, between = (b"\r\n", b", ") if level % 2 else (b"\n", b" ")
    put(root / subject / f"{stem}_F3D.wrl", wrl_bytes(scan, name, newline, between))
    put(root / subject / f"{stem}_F3D.bnd", bnd_bytes(scan))
    put(root / subject / name, picture_bytes(scan, picture))
    put(root / subject / f"{stem}_RAW.wrl", wrl_bytes(_elsewhere(scan), name))
    return Written(sequence_name(subject, code, level), 0, frame, neutral=code == NEUTRAL_CODE)


def _elsewhere(scan: FaceScan) -> FaceScan:
    """The mesh in the scanner's own pose: not aligned with the cropped one."""
    return replace(scan, vertices=(RAW_TURN.apply(scan.vertices) + RAW_SHIFT).astype(np.float32))


BU3DFE = Layout(
    name="bu3dfe",
    description="four levels of each expression and a neutral face as .wrl, .bmp and .bnd, raw meshes beside them",
    subject_name=subject_name,
    holds=is_first_posed,
    write=write,
)
