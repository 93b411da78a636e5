"""Any folder of scans, found by its own table, by a pattern of file names, or by how its folders nest.

- **By table.** ``scans.csv`` or ``scans.parquet`` at the top has one row a scan: ``file`` (relative to the folder) and
  ``subject``; of the optional columns in :data:`OPTIONAL`, those that are known.
- **By pattern.** ``{subject}/{expression}/{frame}.ply`` (:mod:`affect4d.scans.corpora.file_patterns_and_label_sheets`).
- **By nesting.** One sub-folder a sequence, the files in it its frames, in natural order: ``anna/happy/0001.obj`` is
  subject ``anna``, expression happiness; ``clip7/0001.wrl`` is subject ``clip7``, expression unknown; a scan at the top
  is a sequence and a subject of its own.

Images and landmarks lie beside a scan under its own stem, unless the table has their paths.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from affect4d.scans.corpora.corpus_class_and_scan_table import (
    ATTRIBUTES,
    WHOLE_NUMBERS,
    Corpus,
    check_number,
    find_matching,
    image_beside,
    scan_table,
)
from affect4d.scans.corpora.file_patterns_and_label_sheets import (
    compile_pattern,
    paths_by_name,
    read_sheet,
    whole_number,
)
from affect4d.scans.expression import expression_or_none, label_for
from affect4d.scans.readers import LANDMARK_READERS, READERS, natural_order

TABLES = ("scans.csv", "scans.parquet")
REQUIRED = ("file", "subject")
OPTIONAL = (
    "expression", "frame", "sequence", "texture", "landmark_file", *ATTRIBUTES,
    "label", "level", "task", "actions", "onset", "apex", "offset",
)  # fmt: skip
_DIGITS = re.compile(r"\d+")


def find_folder_scans(root: Path, pattern: str | None = None) -> pd.DataFrame:
    """Scans by a pattern with ``{subject}`` and ``{frame}``, else by the folder's table (checked), else by nesting."""
    if pattern is not None:
        return find_matching(compile_pattern(pattern, required=("subject", "frame")), _matched, root)
    paths = paths_by_name(root)
    table = next((root / paths[name] for name in TABLES if name in paths), None)
    return _by_nesting(root, paths) if table is None else _by_table(root, table, paths)


def _by_table(root: Path, file: Path, paths: Mapping[str, str]) -> pd.DataFrame:
    """The table's rows whose file is there; ``.attrs["absent"]`` lists the others."""
    sheet = read_sheet(file).rename(columns={"scan": "file"})
    _check_columns(sheet, file)
    rows = [_parsed({str(name): value for name, value in row.items()}, file) for row in sheet.to_dict("records")]
    _check_frames(rows, file)
    there = [row for row in rows if row["scan"].lower() in paths]
    table = scan_table([_located(row, paths) for row in there], root)
    table.attrs["absent"] = [row["scan"] for row in rows if row["scan"].lower() not in paths]
    return table


def _check_columns(sheet: pd.DataFrame, file: Path) -> None:
    missing = [name for name in REQUIRED if name not in sheet]
    unknown = [str(name) for name in sheet if name not in (*REQUIRED, *OPTIONAL)]
    if missing or unknown:
        found = f"lacks {', '.join(missing)}" if missing else f"has unknown columns {', '.join(unknown)}"
        raise ValueError(
            f"{file} {found}. It needs the columns {', '.join(REQUIRED)} and may have {', '.join(OPTIONAL)}."
        )


def _parsed(row: dict[str, Any], file: Path) -> dict[str, Any]:
    scan, subject = row.pop("file"), row["subject"]
    if scan is None or subject is None:
        raise ValueError(
            f"{file}: a row without file or subject: file {scan}, subject {subject} (a cell that says NA or None is "
            "empty)."
        )
    word, frame = row.get("expression"), whole_number(row.get("frame"))
    if frame is None and row.get("frame") is not None:
        raise ValueError(
            f"{file}: the frame of {scan} is {row['frame']!r}: give a whole number from 0, or none for a single scan."
        )
    return {
        **row,
        **{name: check_number(name, row.get(name), f"{file}, {scan}") for name in WHOLE_NUMBERS},
        "scan": _inside(scan, file),
        "texture": _inside(row.get("texture"), file),
        "landmark_file": _inside(row.get("landmark_file"), file),
        "expression": expression_or_none(word),
        "label": row.get("label") or label_for(word),
        "sequence": row.get("sequence") or _default_sequence(scan, subject, word, frame),
        "frame": frame or 0,
    }


def _default_sequence(scan: str, subject: str, word: str | None, frame: int | None) -> str:
    """Frames of one folder are a sequence; a scan without a frame number is one of its own."""
    place = PurePosixPath(scan.replace("\\", "/"))
    if frame is None:
        return place.with_suffix("").as_posix()
    folder = place.parent.as_posix()
    return folder if folder != "." else f"{subject}/{word}" if word else subject


def _inside(name: str | None, file: Path) -> str | None:
    """A path of the table with forward slashes, refused where it leads out of the folder."""
    if name is None:
        return None
    place = PurePosixPath(name.replace("\\", "/"))
    if not place.parts or place.is_absolute() or ".." in place.parts or ":" in place.parts[0]:
        raise ValueError(f"{file} names {name!r}, which is not a path inside its folder.")
    return place.as_posix()


def _check_frames(rows: list[dict[str, Any]], file: Path) -> None:
    seen: set[tuple[str, int]] = set()
    for row in rows:
        place = row["sequence"], row["frame"]
        if place in seen:
            raise ValueError(
                f"{file} names frame {place[1]} of sequence {place[0]!r} twice: give a column 'frame', or 'sequence'."
            )
        seen.add(place)


def _located(row: dict[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    scan = paths[row["scan"].lower()]
    given = {name: paths.get(row[name].lower()) for name in ("texture", "landmark_file") if row[name] is not None}
    return {
        **row,
        "scan": scan,
        "texture": image_beside(paths, scan),
        "landmark_file": _landmarks(paths, scan),
        **given,
    }


def _matched(match: re.Match[str], paths: Mapping[str, str]) -> dict[str, Any]:
    fields, scan = match.groupdict(), match[0]
    word = fields.get("expression")
    between = [fields.get(name) for name in ("expression", "clip", "task")]
    return {
        "sequence": "/".join(part for part in (fields["subject"], *between) if part),
        "subject": fields["subject"],
        "expression": expression_or_none(word),
        "frame": int(fields["frame"]),
        "scan": scan,
        "texture": image_beside(paths, scan),
        "landmark_file": _landmarks(paths, scan),
        "label": label_for(word),
        "task": fields.get("task"),
    }


def named_after_expressions(subjects: Iterable[str]) -> list[str]:
    """Subjects with the names of expressions; of more than one, folders were mistaken for subjects."""
    return sorted(name for name in set(subjects) if len(name) > 2 and expression_or_none(name))


def _by_nesting(root: Path, paths: Mapping[str, str]) -> pd.DataFrame:
    """Scans of known formats; frames are numbered from 0 in natural order (2 before 10), one in two formats once."""
    scans = sorted((path for path in paths.values() if Path(path).suffix.lower() in READERS), key=natural_order)
    sequences = groupby(sorted(scans, key=_sequence), key=_sequence)
    rows = [_nested(name, frame, scan, paths) for name, found in sequences for frame, scan in _frames(found)]
    table = scan_table(rows, root)
    table.attrs["numbered"] = _numbered(scan for scan in scans if "/" not in scan)
    return table


def _numbered(names: Iterable[str]) -> list[str]:
    """Names that differ by a number only: frames of one subject or several subjects, which is unknown."""
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(_DIGITS.sub("#", PurePosixPath(name).stem), []).append(name)
    return next((found for found in alike.values() if len(found) > 1), [])


def _sequence(path: str) -> str:
    place = PurePosixPath(path)
    return place.parent.as_posix() if len(place.parts) > 1 else place.stem


def _frames(scans: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Scans of a sequence, each with the number of its frame: that of the first scan of its stem."""
    numbers: dict[str, int] = {}
    for scan in scans:
        yield numbers.setdefault(_stem(scan), len(numbers)), scan


def _stem(path: str) -> str:
    return path[: path.rfind(".")].lower()


def _nested(sequence: str, frame: int, scan: str, paths: Mapping[str, str]) -> dict[str, Any]:
    words = sequence.split("/")
    found = (expression_or_none(word) for word in reversed(words[1:] or words) if len(word) > 2)
    expression = next((word for word in found if word), None)
    return {
        "sequence": sequence,
        "subject": words[0],
        "expression": expression,
        "frame": frame,
        "scan": scan,
        "texture": image_beside(paths, scan),
        "landmark_file": _landmarks(paths, scan),
        "label": expression,
    }


def _landmarks(paths: Mapping[str, str], scan: str) -> str | None:
    stem = _stem(scan)
    return next((paths[stem + suffix] for suffix in LANDMARK_READERS if stem + suffix in paths), None)


FOLDER = Corpus(
    name="folder",
    description="a table scans.csv, or subject/expression/0000.wrl with any names and any known format",
    find_scans=find_folder_scans,
    takes_pattern=True,
)
