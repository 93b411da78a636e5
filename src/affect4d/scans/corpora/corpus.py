"""What is known of a corpus: its name, its folder's shape, how to find its scans, and what a whole copy holds."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd


@dataclass(frozen=True, slots=True)
class Whole:
    """What a complete copy of a corpus holds, as far as it is published.

    Attributes:
        subjects: How many people; None where it is not known for sure.
        sequences: How many sequences; in a static corpus each scan is one.
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
        name: What parameters call it.
        description: What its folder must look like, for people.
        find_scans: Folder to table: the columns of :data:`~affect4d.scans.corpora.table.SCAN_COLUMNS`; paths relative
            to it. Of file contents, nothing but label sheets is read.
        classes: Words its ``label`` column holds, where they are known.
        labelled_tasks: Those whose scans have a label each; all, where none is named.
        whole: What a complete copy holds; None for folders of any content.
        has_landmarks: Whether a landmark file belongs to every scan.
        find_by_pattern: The same, by a pattern of file names the user gives; None where names are fixed.
        is_depth: Whether scans are depth pictures, which say nothing of the camera that took them.
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

    def by_pattern(self, pattern: str) -> "Corpus":
        """This corpus with its files found by a pattern (:mod:`affect4d.scans.corpora.pattern`).

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
