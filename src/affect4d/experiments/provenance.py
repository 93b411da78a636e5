"""Provenance of a study: data, code and parameters of its trials, and whether the present data are the same."""

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import pandas as pd

from affect4d.experiments.settings import StudyOptions
from affect4d.scans.splits import SubjectSplit
from affect4d.store import code_version, content_key, table_digest


@dataclass(frozen=True)
class DataProvenance:
    """Data and code that an experiment depends on.

    ``benchmark`` names the benchmark it was generated for, its version and how it differs from the frozen one, or is
    "". ``split``, ``data``, ``views`` and ``code`` are digests: of the run's own split; of the corpus's name, its
    labelled sequences and that split, which are what results are about; of the images; and of the code that a trial
    depends on.
    """

    corpus: str
    benchmark: str
    subjects: int
    sequences: int
    split: str
    data: str
    views: str
    code: str

    @classmethod
    def of(
        cls, raw_corpus: Mapping[str, Any], split: SubjectSplit, sequences: pd.DataFrame, views: pd.DataFrame
    ) -> Self:
        """The provenance of the present data.

        ``raw_corpus`` has ``name``, and ``benchmark`` where it was generated for one; ``views`` is the view manifest.
        """
        benchmark = raw_corpus.get("benchmark")
        return cls(
            corpus=raw_corpus["name"],
            benchmark=_benchmark(benchmark) if benchmark else "",
            subjects=int(sequences["subject"].nunique()),
            sequences=len(sequences),
            split=split.digest,
            data=content_key(corpus=raw_corpus["name"], sequences=table_digest(sequences), split=split.digest),
            views=table_digest(views[["sequence", "checksum"]]),
            code=code_version("affect4d.experiments.trials"),
        )


@dataclass(frozen=True)
class StudyProvenance:
    """Data, code, seeds and parameters of a study.

    With ``redraw``, every seed but the first has other test subjects; ``tested`` is their number in all. ``changes``
    are the parameters that differ from ``conf/base``, by dotted name, or None where that is not known. ``commit`` ends
    with a ``+`` where files differed from it, and is "" without git. ``made`` is the end of the last trial, UTC, ISO
    8601.
    """

    basis: DataProvenance
    seeds: tuple[int, ...]
    redraw: bool
    tested: int
    changes: Mapping[str, Any] | None
    commit: str
    made: str

    @classmethod
    def of(
        cls,
        basis: DataProvenance,
        options: StudyOptions,
        predictions: pd.DataFrame,
        started_with: Mapping[str, Any],
        made: datetime.datetime,
    ) -> Self:
        """The provenance of a study that has just been run.

        ``started_with`` is the catalog entry ``run_info``; ``predictions`` are all of the study's.
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
        """The provenance that :meth:`to_document` wrote."""
        return cls(**{**values, "basis": DataProvenance(**values["basis"]), "seeds": tuple(values["seeds"])})

    def to_document(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @property
    def day(self) -> str:
        """The day it was made, ISO 8601."""
        return self.made[:10]

    def command(self, study: str) -> str:
        """The command that runs a study again; parameters of the local disk (``raw_corpus``) are left out."""
        known = {path: value for path, value in (self.changes or {}).items() if not path.startswith("raw_corpus.")}
        changes = [f"{path}={_argument(value)}" for path, value in known.items()]
        return f"kedro run --pipeline=study_{study} --params {','.join([f'corpus={self.basis.corpus}', *changes])}"

    def stale(self, present: DataProvenance) -> str:
        """The reason why the study does not count for the present data; "" if it does."""
        if self.basis.data == present.data:
            return ""
        return f"made on {_described(self.basis)}; the present data are {_described(present)}"

    def remarks(self, present: DataProvenance) -> tuple[str, ...]:
        """Differences that leave the study valid: other images, other code, other parameters."""
        commit = f" ({self.commit[:8]}{self.commit[40:]})" if self.commit else ""
        applies = {
            "other images of the same scans": self.basis.views != present.views,
            f"other code{commit}": self.basis.code != present.code,
            "parameters not recorded": self.changes is None,
            f"changed: {describe_changes(self.changes or {}, most=2)}": bool(self.changes),
        }
        return tuple(remark for remark, does_apply in applies.items() if does_apply)


def describe_changes(changes: Mapping[str, Any], most: int | None = None) -> str:
    """Changed parameters as text; all, or at most so many and the number of the others."""
    named = [f"{path}={value}" for path, value in changes.items()]
    more = len(named) - len(named[:most])
    return ", ".join(named[:most]) + (f" and {more} more" if more else "")


def _described(basis: DataProvenance) -> str:
    return (
        f"{basis.corpus} with {basis.subjects} subjects and {basis.sequences} sequences "
        f"(split {basis.split[:8]}, data {basis.data[:8]})"
    )


def _argument(value: Any) -> str:
    """As typed after ``--params``: a list is joined by ``+``, a value with a comma or a blank is quoted."""
    text = "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"'{text}'" if {",", " "} & set(text) else text


def _benchmark(made: Mapping[str, Any]) -> str:
    same = made["verdict"] == "equal"
    return f"{made['name']} version {made['version']}" + ("" if same else f" ({made['verdict']})")
