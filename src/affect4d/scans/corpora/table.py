"""The table every corpus gives: one row a scan that is there, before any of it is read."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from affect4d.scans.corpora.sheets import read_sheet, whole_number
from affect4d.scans.readers.texture import SUFFIXES

ATTRIBUTES = ("gender", "age_group", "skin_tone", "ethnicity")
LABELS = ("label", "level", "task", "actions", "onset", "apex", "offset")
WHOLE_NUMBERS = ("level", "onset", "apex", "offset")
SCAN_COLUMNS = (
    "sequence", "subject", "expression", "frame", "scan", "texture", "landmark_file", *ATTRIBUTES, *LABELS,
)  # fmt: skip
"""``scan``, ``texture`` and ``landmark_file`` are relative to the corpus; what the others mean is said at
:data:`~affect4d.scans.manifest.SCAN_MANIFEST`."""
SUBJECTS_FILE, SEQUENCES_FILE = "subjects.csv", "sequences.csv"


def scan_table(rows: Iterable[Mapping[str, Any]], root: Path) -> pd.DataFrame:
    """Rows in the common columns, sorted by sequence and frame, with what people say of subjects and sequences.

    ``<root>/subjects.csv`` gives attributes, ``<root>/sequences.csv`` expressions and labels; what they do not give
    keeps the row's own value, if it has one. Where two files claim the same frame
    of a sequence (``000.wrl`` beside ``0000.wrl``), the first by name is kept, and the others are listed in
    ``.attrs["duplicates"]``.

    Raises:
        ValueError: If one of these files is not a table with a column ``subject``, or ``sequence``, or names one twice.
    """
    table = pd.DataFrame(list(rows), columns=list(SCAN_COLUMNS))
    _fill(table, "subject", read_given(root / SUBJECTS_FILE, "subject"), ATTRIBUTES)
    _fill(table, "sequence", read_given(root / SEQUENCES_FILE, "sequence"), ("expression", *LABELS))
    types: dict[str, Any] = {
        **dict.fromkeys(SCAN_COLUMNS, "str"),
        **dict.fromkeys(WHOLE_NUMBERS, "Int64"),
        "frame": "int64",
    }
    ordered = table.astype(types).sort_values(["sequence", "frame", "scan"], ignore_index=True)
    twice = ordered.duplicated(["sequence", "frame"])
    unique = ordered[~twice].reset_index(drop=True)
    unique.attrs["duplicates"] = ordered.loc[twice, "scan"].tolist()
    return unique


def read_given(file: Path, key: str) -> pd.DataFrame:
    """What people gave for each subject, or sequence, indexed by it; empty without the file.

    Raises:
        ValueError: If it is not a table with that column, or names one twice.
    """
    if not file.is_file():
        return pd.DataFrame()
    table = read_sheet(file)
    if key not in table.columns or table[key].duplicated().any():
        raise ValueError(f"{file} needs a column '{key}' with every {key} once; it has {list(table.columns)}.")
    return table.set_index(key)


def _fill(table: pd.DataFrame, key: str, given: pd.DataFrame, names: Iterable[str]) -> None:
    """Put what is given in the place of the rows' own values."""
    for name in (name for name in names if name in given):
        found = table[key].map(given[name])
        found = found.map(whole_number) if name in WHOLE_NUMBERS else found
        table[name] = found.astype(object).where(found.notna(), table[name])


def beside(paths: Mapping[str, str], scan: str) -> str | None:
    """The picture with a scan's own stem, among listed paths keyed by their lower-case form."""
    stem = scan[: scan.rfind(".")].lower()
    return next((paths[stem + suffix] for suffix in SUFFIXES if stem + suffix in paths), None)
