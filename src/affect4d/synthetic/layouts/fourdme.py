"""4DME's label sheet, over mesh files in a layout of ours: ``meshes/s01_micro-1/00007.obj`` (its own is not published).

Posed expressions become its classes: happiness Positive, surprise Surprise, the others Negative. Quirks: two classes in
one cell, ``AU4(k)`` for an action held all along, a byte order mark and CRLF, two rows in exchanged order.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from affect4d.scans.corpora.fourdme import COLUMNS
from affect4d.synthetic.layouts.formats.landmarks import bnd_bytes
from affect4d.synthetic.layouts.formats.obj import mtl_bytes, obj_bytes
from affect4d.synthetic.layouts.layout import LabelRow, Layout, Shown, Written, actions_shown, picture_bytes, put
from affect4d.synthetic.performance import Performance

PATTERN = "meshes/{clip}/{frame}.obj"
CLASS_OF = {"happiness": "Positive", "surprise": "Surprise"}
OTHERWISE = "Negative"
SHEET = "labels.csv"


def subject_name(person: int, gender: str) -> str:
    """``s01``: women and men in one row."""
    return f"s{person + 1:02d}"


def write(root: Path, shown: Shown) -> tuple[Written, ...]:
    """Write every frame of a take."""
    subject = subject_name(shown.person, shown.gender)
    clip = f"{subject}_{shown.performance.name}"
    for frame in range(shown.performance.frames):
        stem, scan = root / "meshes" / clip / f"{frame:05d}", shown.scan(frame)
        put(stem.with_suffix(".obj"), obj_bytes(scan, f"{frame:05d}.mtl"))
        put(stem.with_suffix(".mtl"), mtl_bytes(f"{frame:05d}.jpg"))
        put(stem.with_suffix(".jpg"), picture_bytes(scan, "JPEG"))
        put(stem.with_suffix(".bnd"), bnd_bytes(scan))
    return tuple(Written(f"{subject}/{clip}", frame, frame) for frame in range(shown.performance.frames))


def label(shown: Shown) -> LabelRow:
    """The take's row of the label sheet."""
    performance = shown.performance
    subject = subject_name(shown.person, shown.gender)
    held = set(actions_shown(shown.track[performance.onset]))
    at_apex = actions_shown(shown.track[performance.apex])
    return {
        "sub_ID": subject,
        "fold_name": f"{subject}_{performance.name}",
        "Emotion": ", ".join(_classes(performance)),
        "Onset": performance.onset,
        "Apex": performance.apex,
        "Offset": performance.offset,
        "AUs": "+".join(f"AU{number}{'(k)' if number in held else ''}" for number in at_apex),
    }


def _classes(performance: Performance) -> list[str]:
    if performance.expression is not None:
        return [CLASS_OF.get(performance.expression, OTHERWISE)]
    return [label.capitalize() for label in performance.labels]


def write_sheet(root: Path, rows: Sequence[LabelRow]) -> None:
    """The label sheet by clip, its last two rows exchanged."""
    ordered = sorted(rows, key=lambda row: str(row["fold_name"]))
    ordered[-2:] = ordered[:-3:-1]
    text = pd.DataFrame(ordered, columns=list(COLUMNS)).to_csv(index=False, lineterminator="\r\n")
    put(root / SHEET, b"\xef\xbb\xbf" + text.encode())


FOURDME = Layout(
    name="fourdme",
    description="every frame as .obj under a pattern of ours, with 4DME's label sheet",
    subject_name=subject_name,
    holds=lambda performance: bool(performance.labels),
    write=write,
    label=label,
    write_sheet=write_sheet,
    pattern=PATTERN,
)
