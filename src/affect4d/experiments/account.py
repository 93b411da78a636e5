"""What a study was run on, in a few plain values: so that its answer is not taken for one about something else."""

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import pandas as pd

from affect4d.experiments.options import StudyOptions
from affect4d.scans.splits import SubjectSplit
from affect4d.store import code_version, table_digest


@dataclass(frozen=True)
class Basis:
    """What is measured on, and by which code.

    Attributes:
        corpus: Its name.
        benchmark: The benchmark it was made for, its version, and how it differs from what was frozen; "" where none.
        people: How many there are, on both sides of the split.
        sequences: How many there are.
        split: Digest of the run's own split.
        table: Digest of the sequences and of what the corpus says of them.
        views: Digest of their pictures.
        code: Digest of the code that a trial depends on.
    """

    corpus: str
    benchmark: str
    people: int
    sequences: int
    split: str
    table: str
    views: str
    code: str

    @classmethod
    def of(
        cls, raw_corpus: Mapping[str, Any], split: SubjectSplit, sequences: pd.DataFrame, views: pd.DataFrame
    ) -> Self:
        """The basis of whatever is run now.

        Args:
            raw_corpus: ``name``, and ``benchmark`` where it was made for one.
            split: Of its people.
            sequences: One row a sequence, column ``subject``.
            views: The view manifest: columns ``sequence``, ``checksum``.
        """
        made = raw_corpus.get("benchmark")
        return cls(
            corpus=raw_corpus["name"],
            benchmark=_benchmark(made) if made else "",
            people=int(sequences["subject"].nunique()),
            sequences=len(sequences),
            split=split.digest,
            table=table_digest(sequences),
            views=table_digest(views[["sequence", "checksum"]]),
            code=code_version("affect4d.experiments.trial"),
        )


@dataclass(frozen=True)
class Account:
    """What a study was run on, and how.

    Attributes:
        basis: What was measured on.
        seeds: Of its trainings.
        redraw: Whether every seed but the first tests other people.
        tested: How many people were tested on, all seeds together.
        changes: Parameters that are not as in ``conf/base``, by dotted name; None where that is not known.
        commit: Of the code, with a ``+`` where files differed from it; "" where git cannot tell.
        made: When the last trial ended, UTC, as ISO 8601 writes it.
    """

    basis: Basis
    seeds: tuple[int, ...]
    redraw: bool
    tested: int
    changes: Mapping[str, Any] | None
    commit: str
    made: str

    @classmethod
    def of(
        cls,
        basis: Basis,
        options: StudyOptions,
        predictions: pd.DataFrame,
        started_with: Mapping[str, Any],
        made: datetime.datetime,
    ) -> Self:
        """The account of a study that has just been run.

        Args:
            basis: What it was run on.
            options: Of the study.
            predictions: All of them; column ``subject``.
            started_with: See :func:`affect4d.tracking.started_with`.
            made: Now.
        """
        return cls(
            basis=basis,
            seeds=options.seeds,
            redraw=options.redraw,
            tested=int(predictions["subject"].nunique()),
            changes=started_with.get("changes"),
            commit=started_with.get("commit", ""),
            made=made.isoformat(timespec="seconds"),
        )

    @classmethod
    def from_document(cls, values: Mapping[str, Any]) -> Self:
        """The account that :meth:`to_document` wrote."""
        return cls(**{**values, "basis": Basis(**values["basis"]), "seeds": tuple(values["seeds"])})

    def to_document(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @property
    def day(self) -> str:
        """When it was made."""
        return self.made[:10]

    def command(self, study: str) -> str:
        """What to type to get a study again; what lies on somebody's disk (``raw_corpus``) is theirs to set."""
        told = {path: value for path, value in (self.changes or {}).items() if not path.startswith("raw_corpus.")}
        changes = [f"{path}={_typed(value)}" for path, value in told.items()]
        return f"kedro run --pipeline=study_{study} --params {','.join([f'corpus={self.basis.corpus}', *changes])}"

    def stale(self, present: Basis) -> str:
        """Why it says nothing about what is there now; "" if it does."""
        then = self.basis
        if then.corpus != present.corpus:
            return f"made on {then.corpus}, not on {present.corpus}"
        if then.table != present.table:
            told = f"{then.people} people and {then.sequences} sequences, now {present.people} and {present.sequences}"
            return f"made on other sequences of the corpus ({told})"
        if then.split != present.split:
            return f"made on another split (then {then.split[:8]}, now {present.split[:8]})"
        return ""

    def remarks(self, present: Basis) -> tuple[str, ...]:
        """What a reader should know though it counts: other pictures, other code, other parameters."""
        said = {
            "other pictures of the same scans": self.basis.views != present.views,
            f"other code{f' ({self.commit[:8]}{self.commit[40:]})' if self.commit else ''}": self.basis.code
            != present.code,
            "parameters not recorded": self.changes is None,
            f"changed: {changes_told(self.changes or {}, most=2)}": bool(self.changes),
        }
        return tuple(remark for remark, is_so in said.items() if is_so)


def changes_told(changes: Mapping[str, Any], most: int | None = None) -> str:
    """Changed parameters as a person reads them; all, or at most so many and the number of the others."""
    told = [f"{path}={value}" for path, value in changes.items()]
    more = len(told) - len(told[:most])
    return ", ".join(told[:most]) + (f" and {more} more" if more else "")


def _typed(value: Any) -> str:
    """As it is typed after ``--params``: a list is joined by ``+``, a value with a comma or a blank is quoted."""
    text = "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"'{text}'" if {",", " "} & set(text) else text


def _benchmark(made: Mapping[str, Any]) -> str:
    same = made["verdict"] == "equal"
    return f"{made['name']} version {made['version']}" + ("" if same else f" ({made['verdict']})")
