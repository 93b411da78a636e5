"""Results of a study, and their provenance."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from affect4d.evaluation.significance import holm, sign_flip_test, sign_test, subject_interval
from affect4d.experiments.settings import StudyOptions
from affect4d.experiments.variants import Variant
from affect4d.scans.splits import SubjectSplit
from affect4d.store import code_version, content_key, table_digest

FRACTION_OF_BEST = 0.9
SIGNIFICANCE = 0.05
FEWEST_SUBJECTS = 10
"""With fewer, every verdict is inconclusive: an interval over so few says little."""
Verdict = Literal["supported", "refuted", "inconclusive"]


@dataclass(frozen=True)
class VariantResult:
    """One variant beside its reference, the study's first unless it names another; without one: 0, NaN and ""."""

    variant: str
    description: str
    accuracy: float  # mean over seeds and sequences, 0…1
    interval: tuple[float, float]  # 95 %, over subjects
    seed_spread: float  # standard deviation over seeds
    difference: float  # accuracy of the reference minus this one's
    difference_interval: tuple[float, float]
    p: float  # of a two-sided permutation test over subjects, Holm-corrected over the variants
    verdict: Verdict | Literal[""]  # on the claim that the reference is better
    epochs: float  # mean to 90 % of the best final accuracy of the seed, as ``seconds``
    seconds: float
    reached: int  # seeds that got there
    sooner: int  # seeds in which the first variant was; ``later`` likewise
    sooner_p: float  # of a one-sided sign test
    later: int = 0
    seeds: int = 0
    subjects: int = 0
    against: str = ""  # the reference
    raw_p: float = float("nan")  # uncorrected


def compare_variants(
    variants: Sequence[Variant], predictions: pd.DataFrame, curves: pd.DataFrame, generator: np.random.Generator
) -> list[VariantResult]:
    """Compare every variant with the first, or with the one it names.

    Args:
        predictions: Columns ``variant``, ``seed``, ``sequence``, ``subject``, ``expression``, ``predicted``.
        curves: Columns ``variant``, ``seed``, ``epoch``, ``seconds``, ``unseen_accuracy``.
    """
    hits = predictions.assign(hit=(predictions["predicted"] == predictions["expression"]).astype(float))
    wide = hits.pivot_table(index=["subject", "seed", "sequence"], columns="variant", values="hit")
    subjects = wide.index.get_level_values("subject").to_series()
    first = variants[0].name
    references = _references(variants)
    gains = {name: (wide[other] - wide[name]).to_numpy() for name, other in references.items()}
    raw = {name: sign_flip_test(pd.Series(gain), subjects, generator) for name, gain in gains.items()}
    corrected = dict(zip(raw, holm(list(raw.values())), strict=True))
    speed = convergence(curves)
    results = []
    for variant in variants:
        gain = gains.get(variant.name, np.zeros(len(wide)))
        interval = subject_interval(gain, subjects, generator)
        p = corrected.get(variant.name, float("nan"))
        results.append(
            VariantResult(
                variant=variant.name,
                description=variant.description,
                accuracy=float(wide[variant.name].mean()),
                interval=subject_interval(wide[variant.name].to_numpy(), subjects, generator),
                seed_spread=float(wide[variant.name].groupby("seed").mean().std()),
                difference=float(gain.mean()),
                difference_interval=interval,
                p=p,
                verdict=verdict(interval, p, subjects.nunique()) if variant.name in references else "",
                seeds=wide.index.get_level_values("seed").nunique(),
                subjects=subjects.nunique(),
                against=references.get(variant.name, ""),
                raw_p=raw.get(variant.name, float("nan")),
                **_speed(speed, variant.name, first),
            )
        )
    return results


def _references(variants: Sequence[Variant]) -> dict[str, str]:
    """The reference of each variant that has one which was run."""
    named = {variant.name: variant.against or variants[0].name for variant in variants}
    return {name: other for name, other in named.items() if name != other and other in named}


def verdict(interval: tuple[float, float], p: float, subjects: int) -> Verdict:
    """Whether a difference is above zero (supported), below (refuted), or neither; interval and test must agree."""
    if subjects < FEWEST_SUBJECTS:
        return "inconclusive"
    if p < SIGNIFICANCE and interval[0] > 0:
        return "supported"
    return "refuted" if p < SIGNIFICANCE and interval[1] < 0 else "inconclusive"


def convergence(curves: pd.DataFrame) -> pd.DataFrame:
    """Epochs (from 1) and seconds to 90 % of the best final accuracy, by variant and seed; NaN: never reached."""
    ordered = curves.sort_values(["variant", "seed", "epoch"])
    final = ordered.groupby(["variant", "seed"])["unseen_accuracy"].last()
    goals = FRACTION_OF_BEST * final.groupby("seed").max()
    reached = ordered[ordered["unseen_accuracy"] >= ordered["seed"].map(goals)]
    firsts = reached.groupby(["variant", "seed"])[["epoch", "seconds"]].first()
    firsts["epochs"] = firsts.pop("epoch") + 1
    return firsts.reindex(final.index)[["epochs", "seconds"]]


def as_document(results: Sequence[VariantResult]) -> list[dict[str, Any]]:
    """Plain values for JSON; NaN as null."""
    return [
        {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in asdict(row).items()}
        for row in results
    ]


def from_document(rows: Sequence[Mapping[str, Any]]) -> list[VariantResult]:
    """The results that :func:`as_document` wrote."""
    nan: Any = float("nan")
    return [VariantResult(**{name: nan if value is None else value for name, value in row.items()}) for row in rows]


def _speed(speed: pd.DataFrame, variant: str, first: str) -> dict[str, Any]:
    rows = {name: speed.xs(name, level="variant") for name in (variant, first)}
    own, reference = (rows[name]["epochs"].fillna(np.inf) for name in (variant, first))
    sooner, later = int((reference < own).sum()), int((reference > own).sum())
    return {
        "epochs": float(rows[variant]["epochs"].mean()),
        "seconds": float(rows[variant]["seconds"].mean()),
        "reached": int(rows[variant]["epochs"].notna().sum()),
        "sooner": sooner,
        "later": later,
        "sooner_p": float("nan") if variant == first else sign_test(sooner, later),
    }


@dataclass(frozen=True)
class DataProvenance:
    """Data and code that an experiment depends on."""

    corpus: str
    benchmark: str  # that it was generated for, its version and how it differs from the frozen one
    subjects: int
    sequences: int
    split: str  # digest of the run's split, as are the following
    data: str  # of corpus, labelled sequences and split: what results are about
    views: str  # of the images
    code: str  # that a trial depends on

    @classmethod
    def of(
        cls, raw_corpus: Mapping[str, Any], split: SubjectSplit, sequences: pd.DataFrame, views: pd.DataFrame
    ) -> Self:
        """The provenance of the present data; ``views`` is the view manifest."""
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
    """Data, code, seeds and parameters of a study."""

    basis: DataProvenance
    seeds: tuple[int, ...]
    redraw: bool  # every seed but the first has other test subjects
    tested: int  # number of test subjects in all
    changes: Mapping[str, Any] | None  # parameters that differ from ``conf/base``, by dotted name; None: not known
    commit: str  # with a ``+`` where files differed from it; "" without git
    made: str  # end of the last trial, UTC

    @classmethod
    def of(
        cls,
        basis: DataProvenance,
        options: StudyOptions,
        predictions: pd.DataFrame,
        started_with: Mapping[str, Any],
        made: datetime.datetime,
    ) -> Self:
        """The provenance of a study that has just been run; ``started_with`` is the catalog entry ``run_info``."""
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
