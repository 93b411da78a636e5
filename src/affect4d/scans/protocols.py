"""The field's evaluation protocols: which subjects and scans of a corpus take part, and the folds.

Most are recalled from the literature and say so: check a protocol against the paper you compare with. Families differ
(60 subjects or all, scores per scan, window or sequence) and do not compare with each other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from affect4d.scans.corpora import CORPORA, corpus_named
from affect4d.scans.corpora.corpus_class_and_scan_table import ANY, Protocol, Selection
from affect4d.scans.splits import SubjectLeakError, SubjectSplit, check_disjoint, draw_folds, draw_split

FIXED_DRAW = 0  # seed of the subjects that a protocol draws once and for all


@dataclass(frozen=True, slots=True)
class Drawn:
    """A protocol on a table: its rows, and its folds; no folds where training is on another corpus."""

    rows: pd.DataFrame
    folds: tuple[SubjectSplit, ...]


def draw(protocol: Protocol, table: pd.DataFrame, seed: int = 0, round_number: int = 0) -> Drawn:
    """Choose a protocol's scans and draw its folds; a copy with fewer subjects than it names gives what it has.

    ``seed`` is that of the folds, and of the subjects where they are redrawn.

    Raises:
        ValueError: If nothing takes part, or there are fewer subjects than folds; the message names the protocol.
    """
    rows = protocol.selection.rows(table)
    names = sorted(rows["subject"].unique())
    if protocol.subjects is not None and len(names) > protocol.subjects:
        words = [seed, round_number] if protocol.redrawn else [FIXED_DRAW]
        chosen = np.random.default_rng(words).choice(names, protocol.subjects, replace=False)
        rows = rows[rows["subject"].isin(chosen)]
        names = sorted(chosen.tolist())
    count, needed = protocol.folds or len(names), _subjects_needed(protocol)
    if len(names) < needed:
        raise ValueError(
            f"Protocol {protocol.name} of {protocol.corpus} needs {needed} subjects; {len(names)} take part."
        )
    fold_seed = int(np.random.default_rng([seed, round_number]).integers(2**31)) if round_number else seed
    return Drawn(rows, _splits(protocol, names, count, fold_seed))


def _subjects_needed(protocol: Protocol) -> int:
    """One for every fold, as each is tested once; two where each fold draws its test subjects."""
    if protocol.trained_on is not None:
        return 1
    return max(protocol.folds, 2) if protocol.test_share is None else 2


def _splits(protocol: Protocol, names: list[str], count: int, seed: int) -> tuple[SubjectSplit, ...]:
    if protocol.trained_on is not None:
        return ()
    if protocol.test_share is None:
        return draw_folds(names, count, seed)
    seeds = np.random.default_rng(seed).integers(2**31, size=count)
    return tuple(draw_split(names, protocol.test_share, int(one)) for one in seeds)


PROTOCOLS: tuple[Protocol, ...] = tuple(protocol for corpus in CORPORA.values() for protocol in corpus.protocols)
"""Protocols of single corpora; each corpus declares its own."""
GENERAL: tuple[str, ...] = ("10-fold", "leave-one-subject-out", "5-draws")
"""Protocols of any corpus that tables show; any other number goes before ``-fold`` and ``-draws``, too."""
DRAWN_SHARE = 0.2  # share of the subjects that each of the repeated draws tests on


def general_protocol(name: str, corpus: str = ANY) -> Protocol | None:
    """A protocol of any corpus, or None: ``K-fold``, ``leave-one-subject-out``, ``N-draws``, ``cross-dataset``."""
    if name == "cross-dataset":
        return Protocol(name, corpus, "trained on another corpus, tested on all of this one", "ours", trained_on=ANY)
    numbered = re.fullmatch(r"([1-9]\d{0,3})-(fold|draws)", name)
    shared: dict[str, Any] = {"source": "ours", "selection": Selection(expressions_only=False)}
    if name == "leave-one-subject-out":
        return Protocol(name, corpus, "all labelled scans, every subject tested once, alone", folds=0, **shared)
    if numbered is None:
        return None
    count, kind = int(numbered[1]), numbered[2]
    if kind == "fold":
        return Protocol(name, corpus, f"all labelled scans, {count} folds, subject-independent", folds=count, **shared)
    described = f"all labelled scans, {DRAWN_SHARE:.0%} of the subjects drawn to test on, {count} times"
    return Protocol(name, corpus, described, folds=count, test_share=DRAWN_SHARE, **shared)


TABLE_COLUMNS = (
    "protocol", "subjects", "sequences", "scans", "folds", "train", "test", "trained_on", "source", "description",
)  # fmt: skip


def protocols_of(corpus: str) -> Mapping[str, Protocol]:
    """The protocols of a corpus, by name, those of any corpus last, as its own."""
    own = {one.name: one for one in corpus_named(corpus).protocols}
    general = (general_protocol(name, corpus) for name in GENERAL)
    return {**own, **{one.name: one for one in general if one is not None}}


def protocol_named(corpus: str, name: str) -> Protocol:
    """A corpus's own protocol, or a general one (:func:`general_protocol`); a ValueError lists those there are."""
    known = protocols_of(corpus)
    found = known.get(name) or general_protocol(name, corpus)
    if found is None:
        raise ValueError(
            f"Corpus {corpus} has no protocol {name!r}; it has {', '.join(known)} (any number before -fold and -draws)."
        )
    return found


def protocol_table(corpus: str, table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Every protocol of a corpus on the scans that are there, one row each (:data:`TABLE_COLUMNS`).

    ``train`` and ``test`` are subjects a fold: ``"54"``, or ``"10–11"`` where folds differ. A protocol that these scans
    cannot serve has no folds, and its description says why.
    """
    rows = [_described(protocol, table, seed) for protocol in protocols_of(corpus).values()]
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS))


def _described(protocol: Protocol, table: pd.DataFrame, seed: int) -> dict[str, Any]:
    described = {"protocol": protocol.name, "trained_on": protocol.trained_on or "", "source": protocol.source}
    try:
        drawn = draw(protocol, table, seed)
    except ValueError as error:
        drawn = Drawn(protocol.selection.rows(table), ())
        described["description"] = f"{protocol.description}. Not possible here: {error}"
    return {
        "description": protocol.description,
        **described,
        "subjects": drawn.rows["subject"].nunique(),
        "sequences": drawn.rows["sequence"].nunique(),
        "scans": len(drawn.rows),
        "folds": len(drawn.folds),
        "train": _range([len(fold.train) for fold in drawn.folds]),
        "test": _range([len(fold.test) for fold in drawn.folds]),
    }


def _range(counts: list[int]) -> str:
    if not counts:
        return ""
    return str(min(counts)) if min(counts) == max(counts) else f"{min(counts)}–{max(counts)}"


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold, numbered from 0 over all rounds (repetitions of the cross-validation)."""

    number: int
    round: int
    split: SubjectSplit
    validation: tuple[str, ...]  # training subjects that only a temperature is chosen by
    sequences: tuple[str, ...]  # that take part, of either side, sorted

    def __post_init__(self) -> None:
        """Refuse validation subjects that are no training subjects, and a fold with nobody left to fit on."""
        others = sorted(set(self.validation) - set(self.split.train))
        if others:
            raise SubjectLeakError(f"Validation subjects that are not training subjects: {', '.join(others)}.")
        check_disjoint(self.validation, self.split.test)
        _ = self.fitted

    @property
    def fitted(self) -> SubjectSplit:
        """Subjects that everything is fitted on, and those unseen: validation and test subjects."""
        train = tuple(set(self.split.train) - set(self.validation))
        return SubjectSplit(train, (*self.split.test, *self.validation), self.split.seed)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        parts = {name: getattr(self, name) for name in ("number", "round", "validation", "sequences")}
        return {**parts, "split": self.split.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Fold":
        """The fold that :meth:`to_dict` wrote; a changed split is a ``ValueError``."""
        names = tuple(values["validation"]), tuple(values["sequences"])
        return cls(values["number"], values["round"], SubjectSplit.from_dict(values["split"]), *names)


def draw_all(
    protocol: Protocol, table: pd.DataFrame, seed: int = 0, rounds: int = 1, validation: float = 0.0
) -> tuple[Fold, ...]:
    """Every fold of a protocol: a pure function of the protocol, the table's rows (in any order) and the numbers.

    Args:
        table: A corpus table, a scan manifest, or one row a sequence: ``sequence``, ``subject``, ``expression``,
            ``label``, ``level``, ``task``.
        validation: Share of each fold's training subjects that is held out to calibrate by; 0 for none.

    Raises:
        ValueError: If the protocol cannot be served by these rows, or is trained on another corpus.
    """
    ordered = table.sort_values([name for name in ("sequence", "frame") if name in table])
    folds: list[Fold] = []
    for repeated in range(rounds):
        drawn = draw(protocol, ordered, seed, repeated)
        if not drawn.folds:
            raise ValueError(f"Protocol {protocol.name} trains on {protocol.trained_on}: it has no folds of its own.")
        names = tuple(sorted(drawn.rows["sequence"].unique()))
        for split in drawn.folds:
            folds.append(Fold(len(folds), repeated, split, hold_out(split, validation), names))
    return tuple(folds)


def hold_out(split: SubjectSplit, share: float) -> tuple[str, ...]:
    """Some training subjects, drawn by the split's own digest: at least one for any share (0…0.5), never all."""
    if not 0 <= share <= 0.5:
        raise ValueError(f"A share of {share} of the training subjects cannot be held out: 0 to 0.5.")
    if not share:
        return ()
    if len(split.train) < 2:
        raise ValueError(f"Nobody can be held out of {len(split.train)} training subject: set the share to 0.")
    count = max(1, round(share * len(split.train)))
    order = np.random.default_rng(int(split.digest[:16], 16)).permutation(len(split.train))[:count]
    return tuple(sorted(split.train[place] for place in order))
