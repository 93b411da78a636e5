"""Corpora: folder conventions, one a module; names to rows, nothing is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from affect4d.scans.corpora.bu4dfe import find_bu4dfe
from affect4d.scans.corpora.folder import find_folder_scans

__all__ = ["CORPORA", "Corpus", "corpus_named"]


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus layout.

    Attributes:
        name: What parameters call it.
        description: What its folder must look like, for people.
        find_scans: Folder to table: the columns of :data:`~affect4d.scans.corpora.table.SCAN_COLUMNS`; paths relative
        to it.
    """

    name: str
    description: str
    find_scans: Callable[[Path], pd.DataFrame]


CORPORA: Mapping[str, Corpus] = MappingProxyType(
    {
        corpus.name: corpus
        for corpus in (
            Corpus("bu4dfe", "F001/Angry/000.wrl with 000.jpg beside it (BU-4DFE)", find_bu4dfe),
            Corpus("folder", "subject/expression/0000.wrl or .obj, any names", find_folder_scans),
        )
    }
)


def corpus_named(name: str) -> Corpus:
    """The corpus layout of that name.

    Raises:
        ValueError: If there is none; the message lists the known ones.
    """
    if name not in CORPORA:
        known = "; ".join(f"{corpus.name}: {corpus.description}" for corpus in CORPORA.values())
        raise ValueError(f"There is no corpus layout {name!r}. Known layouts: {known}.")
    return CORPORA[name]
