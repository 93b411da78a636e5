"""The table every corpus gives: one row a scan that is there, before any of it is read."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from affect4d.scans.corpora.label_sheets import read_sheet, whole_number
from affect4d.scans.expression import expression_or_none
from affect4d.scans.readers.texture import SUFFIXES

ATTRIBUTES = ("gender", "age_group", "skin_tone", "ethnicity")
LABELS = ("label", "level", "task", "actions", "onset", "apex", "offset")
WHOLE_NUMBERS = ("level", "onset", "apex", "offset")
HIGHEST_LEVEL = 4
ONE_A_SEQUENCE = ("subject", "expression", "label")
"""Of which a sequence has one at most: what is trained and told apart is the sequence."""
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
    ``.attrs["duplicates"]``; subjects and sequences that these files name and nobody has, in ``.attrs["unmatched"]``.

    Raises:
        ValueError: If one of these files is not a table with a column ``subject``, or ``sequence``, names one twice,
            has an unknown column or a number that cannot be, or names nothing that is there; if a sequence has several
            subjects, expressions or labels.
    """
    table = pd.DataFrame(list(rows), columns=list(SCAN_COLUMNS))
    unmatched = [
        *_fill(table, "subject", root / SUBJECTS_FILE, ATTRIBUTES),
        *_fill(table, "sequence", root / SEQUENCES_FILE, ("expression", *LABELS)),
    ]
    types: dict[str, Any] = {
        **dict.fromkeys(SCAN_COLUMNS, "str"),
        **dict.fromkeys(WHOLE_NUMBERS, "Int64"),
        "frame": "int64",
    }
    ordered = table.astype(types).sort_values(["sequence", "frame", "scan"], ignore_index=True)
    twice = ordered.duplicated(["sequence", "frame"])
    unique = ordered[~twice].reset_index(drop=True)
    _check_sequences(unique, root)
    unique.attrs["duplicates"] = ordered.loc[twice, "scan"].tolist()
    unique.attrs["unmatched"] = unmatched
    return unique


def _check_sequences(table: pd.DataFrame, root: Path) -> None:
    counts = table.groupby("sequence")[list(ONE_A_SEQUENCE)].nunique()
    for name in ONE_A_SEQUENCE:
        mixed = counts.index[counts[name] > 1]
        if len(mixed):
            found = sorted(table.loc[table["sequence"] == mixed[0], name].dropna().unique())
            raise ValueError(
                f"{root}: the sequence {mixed[0]!r} has more than one {name}: {', '.join(found[:6])} "
                f"({len(mixed)} such sequences). A sequence is one person showing one thing: in scans.csv, give each "
                "its own name in a column 'sequence'; in a label sheet, keep one row for it."
            )


def read_given(file: Path, key: str, names: Sequence[str]) -> pd.DataFrame:
    """What people gave for each subject, or sequence, indexed by it, as the manifest says it; empty without the file.

    Args:
        names: The others it may have.

    Raises:
        ValueError: If it is not a table with that column, names one twice, has an unknown column, or a number that
            cannot be.
    """
    if not file.is_file():
        return pd.DataFrame()
    table = read_sheet(file)
    if key not in table.columns or table[key].duplicated().any():
        raise ValueError(f"{file} needs a column '{key}' with every {key} once; it has {list(table.columns)}.")
    unknown = [name for name in table.columns if name not in (key, *names)]
    if unknown:
        raise ValueError(f"{file} has unknown columns {', '.join(unknown)}. It may have {', '.join((key, *names))}.")
    rows = [_told(row, f"{file}, {key} {row[key]}") for row in table.to_dict("records")]
    return pd.DataFrame(rows, index=table[key], dtype=object)


def _told(row: Mapping[Any, Any], place: str) -> dict[str, Any]:
    """A row with its numbers as numbers and its expression as one of the six; of another word, only a label is made."""
    told = {str(name): check_number(name, cell, place) if name in WHOLE_NUMBERS else cell for name, cell in row.items()}
    word = row.get("expression")
    if word is not None:
        told["expression"] = expression_or_none(word)
        told["label"] = told.get("label") or told["expression"] or word.lower()
    return told


def check_number(name: str, cell: Any, place: str) -> int | None:
    """A cell of one of the columns of whole numbers; None where it is empty.

    Raises:
        ValueError: If it says something else, or is a level above 4; the message begins with the place.
    """
    number = whole_number(cell)
    if cell is not None and (number is None or (name == "level" and number > HIGHEST_LEVEL)):
        wanted = f"1 to {HIGHEST_LEVEL}, 0 for neutral" if name == "level" else "the number of a frame"
        raise ValueError(f"{place}: {name} is {cell!r}. Give {wanted}, or leave it empty.")
    return number


def _fill(table: pd.DataFrame, key: str, file: Path, names: Sequence[str]) -> list[str]:
    """Put what is given in the place of the rows' own values; return whom it names and nobody has.

    Raises:
        ValueError: If nothing it names is there.
    """
    given = read_given(file, key, names)
    there = set(table[key])
    unmatched = [str(one) for one in given.index if one not in there]
    if len(table) and unmatched and len(unmatched) == len(given):
        raise ValueError(
            f"{file} names no {key} that is there: it says e.g. {unmatched[0]!r}, the paths say {table[key].iloc[0]!r}."
            f" Write it so, or remove the file; if that is no {key}, the paths are made otherwise: give their pattern "
            "under corpus_patterns in conf/local/globals.yml."
        )
    for name in (name for name in names if name in given):
        found = table[key].map(given[name]).astype(object)
        table[name] = found.where(found.notna(), table[name])
    if "label" in given:
        alone = given["label"].notna() & (given["expression"].isna() if "expression" in given else True)
        _follow_labels(table, table[key].isin(given.index[alone]))
    return unmatched


def _follow_labels(table: pd.DataFrame, told: "pd.Series[bool]") -> None:
    """Rows that were told a label, and none of the six expressions, have the label's expression, or none."""
    named = table["label"].map(expression_or_none, na_action="ignore").astype(object)
    other = told & table["expression"].notna() & (table["expression"] != named)
    table.loc[other, "expression"] = named[other]


def beside(paths: Mapping[str, str], scan: str) -> str | None:
    """The picture with a scan's own stem, among listed paths keyed by their lower-case form."""
    stem = scan[: scan.rfind(".")].lower()
    return next((paths[stem + suffix] for suffix in SUFFIXES if stem + suffix in paths), None)
