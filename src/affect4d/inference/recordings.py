"""What lies at a path: single scans, and sequences of scans whose names are numbered."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_changes
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import pandas as pd

from affect4d.scans.corpora.folder import LANDMARKS, TABLES
from affect4d.scans.corpora.listing import list_files
from affect4d.scans.corpora.table import beside
from affect4d.scans.readers import READERS, natural_order
from affect4d.scans.readers.range_image import Intrinsics
from affect4d.scans.source import FileSource

Grouping = Literal["auto", "sequences", "single"]
"""Whether numbered scans of one folder are frames of a sequence, all scans of a folder are, or none."""
Row = dict[str, Any]

BY_NAME = "folder"
_NUMBERED = re.compile(r"(.*?)(\d+)")


@dataclass(frozen=True, slots=True)
class Recording:
    """A single scan, or a sequence: small enough to travel to another process.

    Attributes:
        name: Path of the scan or of the sequence's folder, relative to ``root``.
        subject: Whose face, where the layout tells.
        root: Folder that the rows' paths are relative to.
        rows: One a scan, in order of frame: ``scan``, ``texture``, ``landmark_file``, ``frame``.
        is_sequence: Whether the scans are one movement of one face.
        camera: What took the scans, where they are depth pictures.
    """

    name: str
    subject: str | None
    root: Path
    rows: tuple[Row, ...]
    is_sequence: bool
    camera: Intrinsics | None = None

    @property
    def source(self) -> FileSource:
        """Reads the rows."""
        return FileSource(self.root, camera=self.camera)

    def singly(self) -> "list[Recording]":
        """A recording for each scan, to find out which of them a process does not survive."""
        return [with_changes(self, rows=(row,)) for row in self.rows]


def find_recordings(
    place: Path,
    layout: str = BY_NAME,
    grouping: Grouping = "auto",
    pattern: str | None = None,
    camera: Intrinsics | None = None,
) -> list[Recording]:
    """Every recording at a path, by name alone; nothing is read.

    Args:
        place: A scan, a folder of scans, or a folder of sequence folders.
        layout: How the folder is laid out, one of :data:`~affect4d.scans.corpora.CORPORA`; ``"folder"`` goes by
            ``scans.csv`` where there is one, and by the names of files.
        grouping: Of a folder without ``scans.csv``: what makes a sequence.
        pattern: Of the paths, in layouts that take one.
        camera: What took the depth pictures, in layouts of such.

    Raises:
        FileNotFoundError: If there is nothing at the path, or nothing in it that is a scan; says what there is.
        ValueError: If there is no such layout, or it needs a pattern or a camera and has none.
    """
    if place.is_file():
        return [with_changes(recording_of([place]), camera=camera)]
    if not place.exists():
        raise FileNotFoundError(f"There is no file or folder {place}: give input= a scan, or a folder of scans.")
    if not any(place.iterdir()):
        raise FileNotFoundError(f"The folder {place} is empty: give a scan, or a folder of scans.")
    files = list_files(place)
    table = FileSource(place, layout, pattern, camera).table()
    if table.empty:
        raise FileNotFoundError(
            f"No scan in {place}: it holds {len(files)} files, e.g. {files[0].path}. "
            f"Scans are {', '.join(READERS)}; other layouts than names of files: --params layout=bu4dfe …"
        )
    told = layout != BY_NAME or pattern is not None or any(file.path.lower() in TABLES for file in files)
    groups = _as_told(table) if told else _by_names(table, grouping)
    return [with_changes(_recording(place, name, rows, told), camera=camera) for name, rows in groups]


def recording_of(scans: Sequence[Path], name: str = "") -> Recording:
    """Scans that are given one by one: a single one, or the frames of one sequence.

    Raises:
        ValueError: If there are none.
    """
    if not scans:
        raise ValueError("There is nothing to predict: give a scan, or a sequence of at least one.")
    root = Path(os.path.commonpath([scan.absolute().parent for scan in scans]))
    rows = tuple(_given(root, scan, frame) for frame, scan in enumerate(scans))
    return Recording(name or (scans[0].name if len(scans) == 1 else root.name), None, root, rows, len(scans) > 1)


def _given(root: Path, scan: Path, frame: int) -> Row:
    """A row with the picture and the landmarks that lie beside the scan."""
    folder = scan.absolute().parent
    names = {file.name.lower(): file.name for file in folder.iterdir()} if folder.is_dir() else {}
    stem = scan.name[: scan.name.rfind(".")].lower()
    marks = next((names[stem + suffix] for suffix in LANDMARKS if stem + suffix in names), None)
    inside = folder.relative_to(root)
    found = {"scan": scan.name, "texture": beside(names, scan.name), "landmark_file": marks}
    return {**{kind: None if one is None else (inside / one).as_posix() for kind, one in found.items()}, "frame": frame}


def _as_told(table: pd.DataFrame) -> Iterator[tuple[str, list[Row]]]:
    for name, rows in table.groupby("sequence", sort=True):
        yield str(name), _rows(rows)


def _by_names(table: pd.DataFrame, grouping: Grouping) -> Iterator[tuple[str, list[Row]]]:
    """Folder after folder: one sequence, or each scan by itself."""
    rows = sorted(_rows(table), key=lambda row: (_folder(row), natural_order(row["scan"])))
    for folder, found in groupby(rows, key=_folder):
        scans = list(found)
        if grouping == "sequences" or (grouping == "auto" and _are_frames([row["scan"] for row in scans])):
            yield folder, [{**row, "frame": frame} for frame, row in enumerate(scans)]
        else:
            yield from ((row["scan"], [{**row, "frame": 0}]) for row in scans)


def _rows(table: pd.DataFrame) -> list[Row]:
    columns = ["subject", "scan", "texture", "landmark_file", "frame"]
    records = table[columns].astype(object).where(table[columns].notna(), None).to_dict("records")
    return [{str(name): value for name, value in record.items()} for record in records]


def _are_frames(scans: Sequence[str]) -> bool:
    """Whether names are one stem and a running number, of one suffix: ``000.wrl``, ``001.wrl`` and so on."""
    matches = [_NUMBERED.fullmatch(PurePosixPath(scan).stem) for scan in scans]
    stems = {(match[1], PurePosixPath(scan).suffix) for match, scan in zip(matches, scans, strict=True) if match}
    return len(scans) > 1 and all(matches) and len(stems) == 1


def _folder(row: Row) -> str:
    return PurePosixPath(row["scan"]).parent.as_posix()


def _recording(root: Path, name: str, rows: list[Row], told: bool) -> Recording:
    """A recording; only a table or a layout tells whose face it is."""
    subject = str(rows[0]["subject"]) if told else None
    return Recording(root.name if name == "." else name, subject, root, tuple(rows), len(rows) > 1)
