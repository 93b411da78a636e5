"""What of a corpus is on this disk: partial copies are normal, and what is missing is counted, never fatal."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice, pairwise
from typing import Any

import numpy as np
import pandas as pd

from affect4d.scans.corpora.corpus import Corpus

COLUMNS = ("item", "found", "expected", "missing", "examples", "source")
EXAMPLES = 6


def completeness(corpus: Corpus, table: pd.DataFrame) -> pd.DataFrame:
    """What a corpus table has beside what a whole copy has.

    Args:
        table: What :attr:`Corpus.find_scans` gave, with its ``attrs``.

    Returns:
        One row an item: ``item``, ``found``, ``expected`` (null where it is not known), ``missing`` (null likewise),
        ``examples`` (some of the missing, in words), ``source`` (where the expectation comes from).
    """
    rows = [*_of_the_whole(corpus, table), *_within(corpus, table), *_noticed(table)]
    types: dict[str, Any] = {**dict.fromkeys(("found", "expected", "missing"), "Int64"), "examples": "str"}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({**types, "item": "str", "source": "str"})


def _of_the_whole(corpus: Corpus, table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Subjects, sequences and scans against those of a complete copy."""
    whole = corpus.whole
    subjects, sequences = set(table["subject"]), set(table["sequence"])
    if whole is None:
        yield _row("subjects", len(subjects), None, (), "")
        yield _row("sequences", len(sequences), None, (), "")
        yield _row("scans", len(table), None, (), "")
        return
    lacking = [name for name in whole.sequence_names if name not in sequences]
    yield _row("subjects", len(subjects), whole.subjects, _not_in(whole.subject_names, subjects), whole.source)
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


def _noticed(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """What is wrong rather than missing; only where it happens."""
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
    return {
        "item": item, "found": found, "expected": expected, "missing": missing, "examples": text, "source": source,
    }  # fmt: skip


def _not_in(names: Iterable[str], found: set[str]) -> list[str]:
    return [name for name in names if name not in found]


def _gaps(frames: "pd.Series[int]") -> tuple[int, list[int]]:
    """How many numbers are left out between the first and the last, and the first three of them."""
    there = np.unique(frames.to_numpy()).tolist()
    missing = there[-1] - there[0] + 1 - len(there)
    between = (range(before + 1, after) for before, after in pairwise(there) if missing)
    return missing, list(islice(chain.from_iterable(between), 3))


def _apex_outside(rows: pd.DataFrame) -> bool:
    return not bool(rows["frame"].min() <= rows["apex"].iloc[0] <= rows["frame"].max())
