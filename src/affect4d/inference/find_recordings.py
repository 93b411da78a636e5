"""Recordings at a path: single scans, and sequences of scans with numbered names."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_changes
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import pandas as pd

from affect4d.scans.corpora.corpus_class_and_scan_table import image_beside
from affect4d.scans.corpora.file_patterns_and_label_sheets import list_files
from affect4d.scans.corpora.folder import TABLES
from affect4d.scans.readers import LANDMARK_READERS, READERS, natural_order
from affect4d.scans.readers.range_image import Intrinsics
from affect4d.scans.scan_source_and_corpus_folder import FileSource

Grouping = Literal["auto", "sequences", "single"]
"""Numbered scans of a folder form a sequence; all scans of a folder do; or none."""

BY_NAME = "folder"
COLUMNS = ["subject", "scan", "texture", "landmark_file", "frame"]
_NUMBERED = re.compile(r"(.*?)(\d+)")


@dataclass(frozen=True, slots=True)
class ScanRecording:
    """A single scan, or a sequence; small enough to send to another process."""

    name: str  # path of the scan or of the sequence's folder, relative to root
    subject: str | None
    root: Path
    rows: tuple[Mapping[str, Any], ...]  # one a scan, in order of frame: scan, texture, landmark_file, frame
    is_sequence: bool
    camera: Intrinsics | None = None  # of depth images

    @property
    def source(self) -> FileSource:
        """Reader of the rows."""
        return FileSource(self.root, camera=self.camera)

    def singly(self) -> "list[ScanRecording]":
        """One recording for each scan, to find the one that crashes the reader."""
        return [with_changes(self, rows=(row,)) for row in self.rows]


def find_recordings(
    place: Path,
    layout: str = BY_NAME,
    grouping: Grouping = "auto",
    pattern: str | None = None,
    camera: Intrinsics | None = None,
) -> list[ScanRecording]:
    """Every recording at a path, found by names alone; no scan is read.

    Args:
        place: A scan, a folder of scans, or a folder of sequence folders.
        layout: One of :data:`~affect4d.scans.corpora.CORPORA`; ``"folder"`` goes by ``scans.csv`` if there is one,
            else by file names.
        grouping: Sequences of a folder without ``scans.csv``.

    Raises:
        FileNotFoundError: If there is no scan at the path; names what is there.
        ValueError: If the layout is unknown, or lacks its pattern or camera.
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
    in_table = layout != BY_NAME or pattern is not None or any(file.path.lower() in TABLES for file in files)
    groups = _by_sequence(table) if in_table else _by_names(table, grouping)
    recordings = []
    for name, rows in groups:
        subject = str(rows[0]["subject"]) if in_table else None
        named = place.name if name == "." else name
        recordings.append(ScanRecording(named, subject, place, tuple(rows), len(rows) > 1, camera))
    return recordings


def recording_of(scans: Sequence[Path], name: str = "") -> ScanRecording:
    """Single scan, or the frames of one sequence, given one by one."""
    if not scans:
        raise ValueError("There is nothing to predict: give a scan, or a sequence of at least one.")
    root = Path(os.path.commonpath([scan.absolute().parent for scan in scans]))
    rows = tuple(_row(root, scan, frame) for frame, scan in enumerate(scans))
    return ScanRecording(name or (scans[0].name if len(scans) == 1 else root.name), None, root, rows, len(scans) > 1)


def _row(root: Path, scan: Path, frame: int) -> dict[str, Any]:
    folder = scan.absolute().parent
    names = {file.name.lower(): file.name for file in folder.iterdir()} if folder.is_dir() else {}
    stem = scan.name[: scan.name.rfind(".")].lower()
    landmarks = next((names[stem + suffix] for suffix in LANDMARK_READERS if stem + suffix in names), None)
    inside = folder.relative_to(root)
    files = {"scan": scan.name, "texture": image_beside(names, scan.name), "landmark_file": landmarks}
    paths = {kind: None if file is None else (inside / file).as_posix() for kind, file in files.items()}
    return {**paths, "frame": frame}


def _by_sequence(table: pd.DataFrame) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for name, rows in table.groupby("sequence", sort=True):
        yield str(name), _records(rows)


def _by_names(table: pd.DataFrame, grouping: Grouping) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    rows = sorted(_records(table), key=lambda row: (_folder(row), natural_order(row["scan"])))
    for folder, found in groupby(rows, key=_folder):
        scans = list(found)
        if grouping == "sequences" or (grouping == "auto" and _are_frames([row["scan"] for row in scans])):
            yield folder, [{**row, "frame": frame} for frame, row in enumerate(scans)]
        else:
            yield from ((row["scan"], [{**row, "frame": 0}]) for row in scans)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    records = table[COLUMNS].astype(object).where(table[COLUMNS].notna(), None).to_dict("records")
    return [{str(name): value for name, value in record.items()} for record in records]


def _are_frames(scans: Sequence[str]) -> bool:
    """Whether names are one stem and a running number, of one suffix: ``000.wrl``, ``001.wrl``."""
    matches = [_NUMBERED.fullmatch(PurePosixPath(scan).stem) for scan in scans]
    stems = {(match[1], PurePosixPath(scan).suffix) for match, scan in zip(matches, scans, strict=True) if match}
    return len(scans) > 1 and all(matches) and len(stems) == 1


def _folder(row: Mapping[str, Any]) -> str:
    return PurePosixPath(row["scan"]).parent.as_posix()
