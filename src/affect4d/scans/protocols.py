"""The field's evaluation protocols, by name: which subjects and scans of a corpus, and which folds.

Most are recalled from the literature and say so: check a protocol against the paper you compare with. Families differ
(60 subjects or all, scores per scan, window or sequence) and do not compare with each other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from affect4d.scans.corpora import corpus_named
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.splits import SubjectSplit, draw_folds, draw_split

RECALLED = "recalled, check against the paper"
ANY = "any"
FIXED_DRAW = 0
"""Seed of the subjects that a protocol draws once and for all."""


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
        name: What it is called.
        corpus: Name in :data:`~affect4d.scans.corpora.CORPORA`; ``"any"`` for all.
        description: What is done, for people.
        source: How far that is verified.
        selection: Which rows take part.
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
class Drawn:
    """A protocol on a table.

    Attributes:
        rows: Scans that take part.
        folds: Who is trained on and who is tested on; empty where training is on another corpus.
    """

    rows: pd.DataFrame
    folds: tuple[SubjectSplit, ...]


def draw(protocol: Protocol, table: pd.DataFrame, seed: int = 0, round_number: int = 0) -> Drawn:
    """Choose a protocol's scans and draw its folds.

    A copy with fewer people than the protocol asks for gives what it has.

    Args:
        protocol: Which.
        table: A corpus table or a scan manifest.
        seed: Of the folds, and of the subjects where they are redrawn.
        round_number: Which repetition of the cross-validation.

    Raises:
        ValueError: If nothing takes part, or there are fewer people than folds; the message names the protocol.
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
    """One for every fold, as each is tested once; two where each fold draws whom it tests on."""
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


SIX_OF_60 = "ten folds of 54 and 6 subjects, subject-independent"
PROTOCOLS: tuple[Protocol, ...] = (
    Protocol(
        "P1", "bu3dfe", f"60 subjects drawn once, levels 3–4, {SIX_OF_60}",
        selection=Selection(levels=(3, 4)), subjects=60,
    ),
    Protocol(
        "P2", "bu3dfe", f"60 subjects redrawn each round, levels 3–4, {SIX_OF_60}",
        selection=Selection(levels=(3, 4)), subjects=60, redrawn=True,
    ),
    Protocol(
        "subset_I", "bu3dfe", f"60 subjects, levels 3–4, {SIX_OF_60}",
        selection=Selection(levels=(3, 4)), subjects=60,
    ),
    Protocol(
        "subset_II", "bu3dfe", f"60 subjects, levels 1–4, {SIX_OF_60}",
        selection=Selection(levels=(1, 2, 3, 4)), subjects=60,
    ),
    Protocol(
        "subset_II_all", "bu3dfe", "all 100 subjects, levels 1–4, ten folds",
        selection=Selection(levels=(1, 2, 3, 4)),
    ),
    Protocol(
        "60_of_65", "bosphorus", f"60 of the 65 subjects with all six expressions, one scan each, {SIX_OF_60}",
        source="65 of 105 read in public reader code; the draw is recalled, check against the paper",
        selection=Selection(tasks=("E",), all_six=True, one_take=True), subjects=60,
    ),
    Protocol("ten_fold_60", "bu4dfe", f"60 subjects, {SIX_OF_60}", subjects=60),
    Protocol("ten_fold_all", "bu4dfe", "all subjects, ten folds, subject-independent"),
    Protocol(
        "cross_dataset", "bp4d", "trained on BU-4DFE, tested on tasks T1 (happiness) and T8 (disgust)",
        selection=Selection(tasks=("T1", "T8")), trained_on="bu4dfe", folds=0,
    ),
    Protocol(
        "ten_fold_tasks", "bp4d", "all eight tasks as classes, ten folds, subject-independent",
        selection=Selection(expressions_only=False),
    ),
    Protocol(
        "leave_one_subject_out", "fourdme", "every subject tested once; UF1 from counts summed over folds, UAR",
        source="published description", selection=Selection(expressions_only=False), folds=0,
    ),
    Protocol(
        "leave_one_subject_out", "casme3", "every subject tested once; UF1 from counts summed over folds, UAR",
        selection=Selection(expressions_only=False), folds=0,
    ),
)  # fmt: skip

GENERAL: tuple[str, ...] = ("10-fold", "leave-one-subject-out", "5-draws")
"""Protocols of any corpus that tables show; any other number goes before ``-fold`` and ``-draws``, too."""
DRAWN_SHARE = 0.2
"""Share of the subjects that each of the repeated draws tests on."""


def general_protocol(name: str, corpus: str = ANY) -> Protocol | None:
    """A protocol any corpus can serve: ``K-fold``, ``leave-one-subject-out``, ``N-draws``, ``cross-dataset``.

    Returns:
        None if the name is of another kind.
    """
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
    """The protocols of a corpus, by name, those of any corpus last, as its own.

    Raises:
        ValueError: If there is no such corpus.
    """
    corpus_named(corpus)
    own = {one.name: one for one in PROTOCOLS if one.corpus == corpus}
    general = (general_protocol(name, corpus) for name in GENERAL)
    return MappingProxyType({**own, **{one.name: one for one in general if one is not None}})


def protocol_named(corpus: str, name: str) -> Protocol:
    """A protocol of a corpus, its own or a general one (see :func:`general_protocol`).

    Raises:
        ValueError: If there is none of that name; the message lists those there are.
    """
    known = protocols_of(corpus)
    found = known.get(name) or general_protocol(name, corpus)
    if found is None:
        raise ValueError(
            f"Corpus {corpus} has no protocol {name!r}; it has {', '.join(known)} (any number before -fold and -draws)."
        )
    return found


def protocol_table(corpus: str, table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Every protocol of a corpus on the scans that are there.

    Args:
        corpus: Name of the layout.
        table: Its corpus table or scan manifest.
        seed: Of the draws.

    Returns:
        One row a protocol: ``protocol``, ``subjects``, ``sequences``, ``scans``, ``folds``, ``train`` and ``test``
        (subjects a fold: ``"54"``, or ``"10–11"`` where folds differ), ``trained_on``, ``source``, ``description``. A
        protocol that these scans cannot serve has no folds, and its description says why.
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
