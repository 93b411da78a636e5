"""The table every corpus gives: one row a scan that is there, before any of it is read."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from affect4d.scans.readers.texture import SUFFIXES

ATTRIBUTES = ("gender", "age_group", "skin_tone")
SCAN_COLUMNS = (
    "sequence", "subject", "expression", "frame", "scan", "texture", "landmark_file", *ATTRIBUTES,
)  # fmt: skip
SUBJECTS_FILE = "subjects.csv"


def scan_table(rows: Iterable[Mapping[str, Any]], root: Path) -> pd.DataFrame:
    """Rows in the common columns, sorted by sequence and frame, with the attributes of ``<root>/subjects.csv``.

    An attribute the file does not give keeps the row's own value, if it has one.

    Raises:
        ValueError: If ``subjects.csv`` is not a table with a ``subject`` column, or names a subject twice.
    """
    table = pd.DataFrame(list(rows), columns=list(SCAN_COLUMNS))
    given = read_attributes(root)
    for name in ATTRIBUTES:
        found = table["subject"].map(given[name]) if name in given else pd.Series(None, index=table.index, dtype=object)
        table[name] = found.where(found.notna(), table[name])
    text = [name for name in SCAN_COLUMNS if name != "frame"]
    types: dict[str, Any] = {**dict.fromkeys(text, "str"), "frame": "int64"}
    return table.astype(types).sort_values(["sequence", "frame"], ignore_index=True)


def read_attributes(root: Path) -> pd.DataFrame:
    """Gender, age group and skin tone that people gave for each subject, indexed by subject; empty without the file."""
    file = root / SUBJECTS_FILE
    if not file.is_file():
        return pd.DataFrame()
    try:
        table = pd.read_csv(file, dtype="str", skipinitialspace=True)
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not a CSV table: {error}") from error
    if "subject" not in table.columns or table["subject"].duplicated().any():
        raise ValueError(f"{file} needs a column 'subject' with every subject once; it has {list(table.columns)}.")
    return table.set_index("subject")


def beside(paths: Mapping[str, str], scan: str) -> str | None:
    """The picture with a scan's own stem, among listed paths keyed by their lower-case form."""
    stem = scan[: scan.rfind(".")].lower()
    return next((paths[stem + suffix] for suffix in SUFFIXES if stem + suffix in paths), None)
