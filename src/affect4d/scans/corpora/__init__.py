"""Corpora: one module each declares how its files are found and which protocols it has; a new one is a line here."""

from collections.abc import Mapping

from affect4d.scans.corpora.bosphorus import BOSPHORUS
from affect4d.scans.corpora.bp4d import BP4D
from affect4d.scans.corpora.bu3dfe import BU3DFE
from affect4d.scans.corpora.bu4dfe import BU4DFE
from affect4d.scans.corpora.casme3 import CASME3
from affect4d.scans.corpora.corpus_class_and_scan_table import Corpus, Whole
from affect4d.scans.corpora.folder import FOLDER
from affect4d.scans.corpora.fourdme import FOURDME

__all__ = ["CORPORA", "Corpus", "Whole", "corpus_named"]

CORPORA: Mapping[str, Corpus] = {
    corpus.name: corpus for corpus in (BU3DFE, BU4DFE, BOSPHORUS, BP4D, FOURDME, CASME3, FOLDER)
}


def corpus_named(name: str, pattern: str | None = None) -> Corpus:
    """The corpus layout of that name, with a pattern of its files where it takes one; a ValueError lists all names."""
    if name not in CORPORA:
        known = "; ".join(f"{corpus.name}: {corpus.description}" for corpus in CORPORA.values())
        raise ValueError(f"There is no corpus layout {name!r}. Known layouts: {known}.")
    corpus = CORPORA[name]
    return corpus if pattern is None else corpus.by_pattern(pattern)
