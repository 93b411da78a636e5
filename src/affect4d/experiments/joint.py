"""Two corpora as one, to train on the one and test on the other: names carry their corpus, pictures are linked."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from affect4d.experiments.trial import StudyData
from affect4d.scans.folds import Fold, hold_out
from affect4d.scans.protocols import Protocol
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore


def cross_fold(protocol: Protocol, training: pd.DataFrame, tested: pd.DataFrame, seed: int, validation: float) -> Fold:
    """The one fold of a cross-dataset protocol: everybody of the one corpus, tested on everybody of the other.

    Args:
        protocol: Says which sequences of the tested corpus take part.
        training: Sequences of the corpus that is trained on.
        tested: Sequences of the other.
        seed: Noted in the split.
        validation: Share of the training subjects held out to calibrate by.

    Raises:
        ValueError: If either side has no sequence of the six expressions.
    """
    rows = training.dropna(subset=["expression"]), protocol.selection.rows(tested)
    train, test = (tuple(part["subject"].unique()) for part in rows)
    split = SubjectSplit(train, test, seed)
    names = tuple(sorted({*rows[0]["sequence"], *rows[1]["sequence"]}))
    return Fold(0, 0, split, hold_out(split, validation), names)


def named_after(corpus: str, data: StudyData) -> StudyData:
    """The same data, its subjects and sequences called ``corpus:name``: two corpora may both have an F001."""
    views, rows, scans = (prefixed(corpus, table) for table in (data.views, data.sequences, data.scans))
    return StudyData(views, rows, scans, data.store)


def joined(training: StudyData, tested: StudyData) -> StudyData:
    """Both corpora in one; the pictures of the first are linked into the store of the second."""
    link_entries(training.views["shard"], training.store, tested.store)
    pairs = ((training.views, tested.views), (training.sequences, tested.sequences), (training.scans, tested.scans))
    views, rows, scans = (pd.concat(pair, ignore_index=True) for pair in pairs)
    return StudyData(views, rows, scans, tested.store)


def link_entries(names: Iterable[str], source: ContentStore, target: ContentStore) -> None:
    """Have the entries of one store in another, too; as hard links where the disk allows."""
    for name in names:
        if not target.has(name):
            with target.write(name, durable=False) as partial:
                _link(source.path(name), partial)


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target)


def prefixed(corpus: str, table: pd.DataFrame) -> pd.DataFrame:
    """The table with its subjects and sequences called ``corpus:name``."""
    names = {name: f"{corpus}:" + table[name].astype(str) for name in ("sequence", "subject")}
    return table.assign(**names)
