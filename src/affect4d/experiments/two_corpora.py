"""Two corpora as one, to train on one and test on the other: names carry their corpus, images are linked."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from affect4d.experiments.trials import TrialData
from affect4d.scans.folds import Fold, hold_out
from affect4d.scans.protocols import Protocol
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore


def cross_corpus_fold(
    protocol: Protocol, training: pd.DataFrame, tested: pd.DataFrame, seed: int, validation: float
) -> Fold:
    """The one fold of a cross-dataset protocol: trained on all subjects of one corpus, tested on all of the other.

    Args:
        protocol: Selects the sequences of the tested corpus.
        training: Sequences of the corpus that is trained on.
        tested: Sequences of the other.
        seed: Recorded in the split.
        validation: Fraction of the training subjects held out for calibration.

    Raises:
        ValueError: If either side has no sequence of the six expressions.
    """
    rows = training.dropna(subset=["expression"]), protocol.selection.rows(tested)
    train, test = (tuple(part["subject"].unique()) for part in rows)
    split = SubjectSplit(train, test, seed)
    names = tuple(sorted({*rows[0]["sequence"], *rows[1]["sequence"]}))
    return Fold(0, 0, split, hold_out(split, validation), names)


def with_corpus_names(corpus: str, data: TrialData) -> TrialData:
    """The data with subjects and sequences named ``corpus:name``: two corpora may both have an F001."""
    views, rows, scans = (prefixed(corpus, table) for table in (data.views, data.sequences, data.scans))
    return TrialData(views, rows, scans, data.store)


def combined(training: TrialData, tested: TrialData) -> TrialData:
    """Both corpora in one; the images of the first are linked into the store of the second."""
    link_entries(training.views["shard"], training.store, tested.store)
    pairs = ((training.views, tested.views), (training.sequences, tested.sequences), (training.scans, tested.scans))
    views, rows, scans = (pd.concat(pair, ignore_index=True) for pair in pairs)
    return TrialData(views, rows, scans, tested.store)


def link_entries(names: Iterable[str], source: ContentStore, target: ContentStore) -> None:
    """Link entries of one store into another; copy them where the disk has no hard links."""
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
    """The table with its subjects and sequences named ``corpus:name``."""
    names = {name: f"{corpus}:" + table[name].astype(str) for name in ("sequence", "subject")}
    return table.assign(**names)
