"""A corpus: what is declared of it, the table of its scans (a row each, before any is read), and its completeness."""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from affect4d.scans.corpora.file_patterns_and_label_sheets import (
    matching_paths,
    paths_by_name,
    read_sheet,
    whole_number,
)
from affect4d.scans.expression import EXPRESSIONS, expression_or_none, label_for
from affect4d.scans.readers.mesh_checks_and_textures import SUFFIXES

RECALLED = "recalled, check against the paper"
ANY = "any"
SIX_OF_60 = "ten folds of 54 and 6 subjects, subject-independent"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a corpus take part: scans of the six expressions, or all that have a label."""

    expressions_only: bool = True
    levels: tuple[int, ...] = ()  # intensities; empty for all, as is ``tasks``
    tasks: tuple[str, ...] = ()
    all_six: bool = False  # only subjects who show all six expressions
    one_take: bool = False  # only the first scan of each subject and expression

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows that take part, of a corpus table or scan manifest."""
        rows = table[table["expression" if self.expressions_only else "label"].notna()]
        rows = rows[rows["level"].isin(self.levels)] if self.levels else rows
        rows = rows[rows["task"].isin(self.tasks)] if self.tasks else rows
        if self.all_six:
            shown = rows.groupby("subject")["expression"].nunique()
            rows = rows[rows["subject"].isin(shown.index[shown == len(EXPRESSIONS)])]
        return rows.drop_duplicates(["subject", "expression"]) if self.one_take else rows


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way of the field to divide a corpus, or ``"any"`` corpus."""

    name: str
    corpus: str
    description: str
    source: str = RECALLED
    selection: Selection = field(default_factory=Selection)
    subjects: int | None = None  # drawn of those eligible; None for all
    redrawn: bool = False  # in every round; otherwise once and for all
    folds: int = 10  # 0 leaves one subject out at a time
    test_share: float | None = None  # of the subjects, drawn in each fold; None where every subject is tested once
    trained_on: str | None = None  # the other corpus that everything is trained on, without folds


def micro_expression_protocol(corpus: str, source: str = RECALLED) -> Protocol:
    """The protocol of micro-expression challenges (MEGC): every labelled clip, one subject left out at a time."""
    description = "every subject tested once; UF1 from counts summed over folds, UAR"
    return Protocol("leave_one_subject_out", corpus, description, source, Selection(expressions_only=False), folds=0)


@dataclass(frozen=True, slots=True)
class Whole:
    """What a complete copy of a corpus holds, as far as it is published, and where that is from; None for unknown."""

    subjects: int | None
    sequences: int | None
    scans: int | None
    source: str
    subject_names: tuple[str, ...] = ()
    sequence_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus and its folder conventions."""

    name: str
    description: str  # what its folder must look like, for people
    find_scans: Callable[..., pd.DataFrame]  # folder → scan table; reads no file but label sheets
    classes: tuple[str, ...] = ()  # words of its ``label`` column, where known
    labelled_tasks: tuple[str, ...] = ()  # whose scans have a label each; empty: all
    whole: Whole | None = None  # a complete copy; None for folders of any content
    has_landmarks: bool = False
    takes_pattern: bool = False  # of file names, in ``find_scans``
    is_depth: bool = False  # depth images, which do not record their camera
    protocols: tuple[Protocol, ...] = ()

    def by_pattern(self, pattern: str) -> "Corpus":
        """This corpus, if it takes one, with its files found by a pattern of file names."""
        if not self.takes_pattern:
            raise ValueError(
                f"The layout {self.name!r} has file names of its own and takes no pattern (given: {pattern!r}). "
                "Leave the pattern out, or use the layout 'folder'."
            )
        return replace(self, find_scans=functools.partial(self.find_scans, pattern=pattern))


def numbered(letters: str, counts: tuple[int, ...], digits: int) -> tuple[str, ...]:
    """Subject names counted from 1 under each letter.

    >>> numbered("FM", (2, 1), 3)
    ('F001', 'F002', 'M001')
    """
    counted = zip(letters, counts, strict=True)
    return tuple(f"{letter}{number:0{digits}d}" for letter, count in counted for number in range(1, count + 1))


ATTRIBUTES = ("gender", "age_group", "skin_tone", "ethnicity")
LABELS = ("label", "level", "task", "actions", "onset", "apex", "offset")
WHOLE_NUMBERS = ("level", "onset", "apex", "offset")
HIGHEST_LEVEL = 4
ONE_A_SEQUENCE = ("subject", "expression", "label")
"""Of which a sequence has one at most, because a model is trained on, and classifies, the sequence."""
SCAN_COLUMNS = (
    "sequence", "subject", "expression", "frame", "scan", "texture", "landmark_file", *ATTRIBUTES, *LABELS,
)  # fmt: skip
"""Files are relative to the corpus; :data:`~affect4d.scans.ingest_tables.SCAN_MANIFEST` describes the other columns."""
SUBJECTS_FILE, SEQUENCES_FILE = "subjects.csv", "sequences.csv"
Paths = Mapping[str, str]


def find_matching(
    pattern: re.Pattern[str], row: Callable[[re.Match[str], Paths], dict[str, Any]], root: Path
) -> pd.DataFrame:
    """The table of the files whose paths fit a pattern; ``row`` makes the row of a match."""
    paths = paths_by_name(root)
    return scan_table([row(match, paths) for match in matching_paths(pattern, paths)], root)


def scan_table(rows: Iterable[Mapping[str, Any]], root: Path) -> pd.DataFrame:
    """Rows in the common columns, sorted by sequence and frame, completed by the tables in the corpus folder.

    ``<root>/subjects.csv`` gives attributes, ``<root>/sequences.csv`` expressions and labels; where they have no value,
    the row keeps its own. Where two files have the same frame of a sequence (``000.wrl`` beside ``0000.wrl``), the
    first by name is kept, and the others are listed in ``.attrs["duplicates"]``; subjects and sequences that the tables
    name and no scan has, in ``.attrs["unmatched"]``.

    Raises:
        ValueError: If one of these tables lacks a column ``subject``, or ``sequence``, names one twice, has an unknown
            column or an impossible number, or names nothing that is there; if a sequence has several subjects,
            expressions or labels.
    """
    table = pd.DataFrame(list(rows), columns=list(SCAN_COLUMNS))
    unmatched = [
        *_fill(table, "subject", root / SUBJECTS_FILE, ATTRIBUTES),
        *_fill(table, "sequence", root / SEQUENCES_FILE, ("expression", *LABELS)),
    ]
    types: dict[str, Any] = {**dict.fromkeys(SCAN_COLUMNS, "str"), **dict.fromkeys(WHOLE_NUMBERS, "Int64")}
    ordered = table.astype({**types, "frame": "int64"}).sort_values(["sequence", "frame", "scan"], ignore_index=True)
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


def read_values(file: Path, key: str, names: Sequence[str]) -> pd.DataFrame:
    """Values by subject, or sequence, as in the manifest; empty without the file. A bad key or number is refused."""
    if not file.is_file():
        return pd.DataFrame()
    table = read_sheet(file)
    if key not in table.columns or table[key].duplicated().any():
        raise ValueError(f"{file} needs a column '{key}' with every {key} once; it has {list(table.columns)}.")
    unknown = [name for name in table.columns if name not in (key, *names)]
    if unknown:
        raise ValueError(f"{file} has unknown columns {', '.join(unknown)}. It may have {', '.join((key, *names))}.")
    rows = [_parsed_values(row, f"{file}, {key} {row[key]}") for row in table.to_dict("records")]
    return pd.DataFrame(rows, index=table[key], dtype=object)


def _parsed_values(row: Mapping[Any, Any], place: str) -> dict[str, Any]:
    values = {
        str(name): check_number(name, cell, place) if name in WHOLE_NUMBERS else cell for name, cell in row.items()
    }
    word = row.get("expression")
    if word is not None:
        values["expression"] = expression_or_none(word)
        values["label"] = values.get("label") or label_for(word)
    return values


def check_number(name: str, cell: Any, place: str) -> int | None:
    """A cell of one of the columns of whole numbers; None where empty. A ``ValueError`` begins with the place."""
    number = whole_number(cell)
    if cell is not None and (number is None or (name == "level" and number > HIGHEST_LEVEL)):
        expected = f"1 to {HIGHEST_LEVEL}, 0 for neutral" if name == "level" else "the number of a frame"
        raise ValueError(f"{place}: {name} is {cell!r}. Give {expected}, or leave it empty.")
    return number


def _fill(table: pd.DataFrame, key: str, file: Path, names: Sequence[str]) -> list[str]:
    """Replace the rows' own values by those of a file; the keys that it names and no row has."""
    given = read_values(file, key, names)
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


def _follow_labels(table: pd.DataFrame, labelled: "pd.Series[bool]") -> None:
    """Rows that were given a label, and none of the six expressions, have the label's expression, or none."""
    named = table["label"].map(expression_or_none, na_action="ignore").astype(object)
    other = labelled & table["expression"].notna() & (table["expression"] != named)
    table.loc[other, "expression"] = named[other]


def image_beside(paths: Paths, scan: str) -> str | None:
    """The image with a scan's own stem, among listed paths keyed by their lower-case form."""
    stem = scan[: scan.rfind(".")].lower()
    return next((paths[stem + suffix] for suffix in SUFFIXES if stem + suffix in paths), None)


COMPLETENESS_COLUMNS = ("item", "found", "expected", "missing", "examples", "source")
EXAMPLES = 6


def completeness(corpus: Corpus, table: pd.DataFrame) -> pd.DataFrame:
    """Counts of a scan table beside those of a complete copy, one row an item.

    Partial copies are normal: what is missing is counted and reported, never an error. ``expected`` and ``missing`` are
    null where the expectation is not known, ``examples`` names some of the missing, ``source`` is its origin.
    """
    rows = [*_of_the_whole(corpus, table), *_within(corpus, table), *_wrong(table)]
    types: dict[str, Any] = {**dict.fromkeys(("found", "expected", "missing"), "Int64"), "examples": "str"}
    return pd.DataFrame(rows, columns=list(COMPLETENESS_COLUMNS)).astype({**types, "item": "str", "source": "str"})


def _of_the_whole(corpus: Corpus, table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    whole = corpus.whole or Whole(None, None, None, "")
    subjects, sequences = set(table["subject"]), set(table["sequence"])
    lacking = [name for name in whole.subject_names if name not in subjects]
    yield _row("subjects", len(subjects), whole.subjects, lacking, whole.source)
    lacking = [name for name in whole.sequence_names if name not in sequences]
    yield _row("sequences", len(sequences), whole.sequences, lacking, whole.source)
    yield _row("scans", len(table), whole.scans, (), whole.source)


def _within(corpus: Corpus, table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Frames between the first and last of a sequence, and what belongs to every scan that is there."""
    gaps = {name: _gaps(frames) for name, frames in table.groupby("sequence")["frame"]}
    count = sum(missing for missing, _ in gaps.values())
    examples = [f"{name!s}: {', '.join(map(str, first))}" for name, (_, first) in gaps.items() if first]
    yield _row("frames of these sequences", len(table), len(table) + count, examples, "numbers left out in a sequence")
    belonging = {"texture": True, "landmark_file": corpus.has_landmarks, "label": bool(corpus.classes)}
    for column in (name for name, belongs in belonging.items() if belongs):
        all_of_them = column != "label" or not corpus.labelled_tasks
        due = table if all_of_them else table[table["task"].isin(corpus.labelled_tasks)]
        lacking = due.loc[due[column].isna(), "scan"]
        name = {"texture": "textures", "landmark_file": "landmark files", "label": "labels"}[column]
        each = "one a scan" if all_of_them else f"one a scan of {', '.join(corpus.labelled_tasks)}"
        yield _row(name, len(due) - len(lacking), len(due), lacking, each)


def _wrong(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    strays = [name for name, rows in table.dropna(subset=["apex"]).groupby("sequence") if _apex_outside(rows)]
    seen = {
        "apex among the frames of its clip": strays,
        "files that no other file doubles": table.attrs.get("duplicates", ()),
        "files that the table names": table.attrs.get("absent", ()),
        "names in subjects.csv and sequences.csv": table.attrs.get("unmatched", ()),
    }
    for item, wrong in seen.items():
        if wrong:
            total = table["sequence"].nunique() if wrong is strays else len(table) + len(wrong)
            yield _row(item, total - len(wrong), total, wrong, "looked at")


def _row(item: str, found: int, expected: int | None, lacking: Iterable[str], source: str) -> dict[str, Any]:
    examples = list(islice(lacking, EXAMPLES + 1))
    text = "; ".join(examples[:EXAMPLES]) + ("; …" if len(examples) > EXAMPLES else "")
    missing = None if expected is None else max(expected - found, 0)
    return dict(zip(COMPLETENESS_COLUMNS, (item, found, expected, missing, text, source), strict=True))


def _gaps(frames: "pd.Series[int]") -> tuple[int, list[int]]:
    """How many numbers are left out between the first and the last, and the first three of them."""
    there = np.unique(frames.to_numpy()).tolist()
    missing = there[-1] - there[0] + 1 - len(there)
    between = (range(before + 1, after) for before, after in pairwise(there) if missing)
    return missing, list(islice(chain.from_iterable(between), 3))


def _apex_outside(rows: pd.DataFrame) -> bool:
    return not bool(rows["frame"].min() <= rows["apex"].iloc[0] <= rows["frame"].max())
