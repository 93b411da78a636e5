"""A folder of a user's own: ``anyone/take/0.ply`` in all three encodings, told by a table ``scans.csv``."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from affect4d.scans.expression import join_labels
from affect4d.synthetic.layouts.formats.landmarks import bnd_bytes
from affect4d.synthetic.layouts.formats.ply import Encoding, ply_bytes
from affect4d.synthetic.layouts.layout import LabelRow, Layout, Shown, Written, lettered, picture_bytes, put

subject_name = lettered(3)
ENCODINGS: tuple[Encoding, ...] = ("binary_little_endian", "binary_big_endian", "ascii")
TABLE = "scans.csv"


def write(root: Path, shown: Shown) -> tuple[Written, ...]:
    """Write every frame of a take."""
    sequence = _sequence(shown)
    for frame in range(shown.performance.frames):
        stem, scan = root / sequence / str(frame), shown.scan(frame)
        put(stem.with_suffix(".ply"), ply_bytes(scan, f"{frame}.png", ENCODINGS[frame % len(ENCODINGS)]))
        put(stem.with_suffix(".png"), picture_bytes(scan, "PNG"))
        put(stem.with_suffix(".bnd"), bnd_bytes(scan))
    return tuple(Written(sequence, frame, frame) for frame in range(shown.performance.frames))


def label(shown: Shown) -> LabelRow:
    """What the table says of all frames of a take; how many there are stands in for their rows."""
    performance = shown.performance
    return {
        "sequence": _sequence(shown),
        "subject": subject_name(shown.person, shown.gender),
        "expression": performance.expression or "",
        "label": join_labels(performance.labels) or "",
        "onset": performance.onset,
        "apex": performance.apex,
        "offset": performance.offset,
        "frames": performance.frames,
    }


def write_sheet(root: Path, rows: Sequence[LabelRow]) -> None:
    """The table, one row a scan."""
    scans = [
        {"file": f"{row['sequence']}/{frame}.ply", "frame": frame, **row}
        for row in rows
        for frame in range(int(row["frames"]))
    ]
    put(root / TABLE, pd.DataFrame(scans).drop(columns="frames").to_csv(index=False).encode())


def _sequence(shown: Shown) -> str:
    return f"{subject_name(shown.person, shown.gender)}/{shown.performance.name}"


FOLDER = Layout(
    name="folder",
    description="every frame as .ply, .png and .bnd, with the table scans.csv",
    subject_name=subject_name,
    holds=lambda performance: True,
    write=write,
    label=label,
    write_sheet=write_sheet,
)
