"""What is known of a corpus: its name, its folder's shape, how to find its scans, and what a whole copy holds."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from affect4d.scans.expression import EXPRESSIONS

RECALLED = "recalled, check against the paper"
ANY = "any"
SIX_OF_60 = "ten folds of 54 and 6 subjects, subject-independent"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a corpus take part.

    Attributes:
        expressions_only: Only scans of the six expressions; else only labelled ones.
        levels: Intensities; empty for all.
        tasks: Tasks; empty for all.
        all_six: Only subjects who show all six expressions.
        one_take: Only the first scan of each subject and expression.
    """

    expressions_only: bool = True
    levels: tuple[int, ...] = ()
    tasks: tuple[str, ...] = ()
    all_six: bool = False
    one_take: bool = False

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
    """One way of the field to divide a corpus.

    Attributes:
        corpus: The corpus it belongs to; ``"any"`` for all.
        subjects: How many people are drawn of those eligible; None for all.
        redrawn: Whether they are drawn anew in every round; otherwise once and for all.
        folds: How many; 0 leaves one subject out at a time.
        test_share: Share of the subjects each fold draws anew to test on; None where every subject is tested once.
        trained_on: The other corpus that everything is trained on; then nothing here is, and there are no folds.
    """

    name: str
    corpus: str
    description: str
    source: str = RECALLED
    selection: Selection = field(default_factory=Selection)
    subjects: int | None = None
    redrawn: bool = False
    folds: int = 10
    test_share: float | None = None
    trained_on: str | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    """What a complete copy of a corpus holds, as far as it is published.

    Attributes:
        subjects: How many people; None where it is not known for sure.
        scans: How many scans; None where it is not published.
        source: Where these numbers come from, and how far they are verified.
        subject_names: Every subject, where the names are known.
        sequence_names: Every sequence, where the names are known.
    """

    subjects: int | None
    sequences: int
    scans: int | None
    source: str
    subject_names: tuple[str, ...] = ()
    sequence_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus and its folder conventions.

    Attributes:
        description: What its folder must look like, for people.
        find_scans: Folder to table: the columns of :data:`~affect4d.scans.corpora.table.SCAN_COLUMNS`; paths relative
            to it. Of file contents, nothing but label sheets is read.
        classes: Words its ``label`` column holds, where they are known.
        labelled_tasks: Those whose scans have a label each; all, where none is named.
        whole: What a complete copy holds; None for folders of any content.
        find_by_pattern: The same, by a pattern of file names the user gives; None where names are fixed.
        is_depth: Whether scans are depth images, which do not record the camera that took them.
    """

    name: str
    description: str
    find_scans: Callable[[Path], pd.DataFrame]
    classes: tuple[str, ...] = ()
    labelled_tasks: tuple[str, ...] = ()
    whole: Whole | None = None
    has_landmarks: bool = False
    find_by_pattern: Callable[[Path, str], pd.DataFrame] | None = None
    is_depth: bool = False
    protocols: tuple[Protocol, ...] = ()

    def by_pattern(self, pattern: str) -> "Corpus":
        """This corpus with its files found by a pattern (:mod:`affect4d.scans.corpora.file_names`).

        Raises:
            ValueError: If the file names of this corpus are fixed.
        """
        if self.find_by_pattern is None:
            raise ValueError(
                f"The layout {self.name!r} has file names of its own and takes no pattern (given: {pattern!r}). "
                "Leave the pattern out, or use the layout 'folder'."
            )
        return replace(self, find_scans=functools.partial(_found, self.find_by_pattern, pattern))


def _found(find: Callable[[Path, str], pd.DataFrame], pattern: str, root: Path) -> pd.DataFrame:
    return find(root, pattern)


def numbered(letters: str, counts: tuple[int, ...], digits: int) -> tuple[str, ...]:
    """Subject names counted from 1 under each letter.

    >>> numbered("FM", (2, 1), 3)
    ('F001', 'F002', 'M001')
    """
    return tuple(
        f"{letter}{number:0{digits}d}"
        for letter, count in zip(letters, counts, strict=True)
        for number in range(1, count + 1)
    )
