"""Results of a study, and their provenance."""

import datetime
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from jaxtyping import Float

from affect4d.evaluation.significance import compare_crossed, crossed_interval, holm, sign_test
from affect4d.experiments.settings import StudyOptions
from affect4d.experiments.variants import Variant
from affect4d.scans.scan_source_and_corpus_folder import PART_JOINT, part_names
from affect4d.scans.splits import SubjectSplit
from affect4d.store import code_version, content_key, table_digest

FRACTION_OF_BEST = 0.9
SIGNIFICANCE = 0.05
FEWEST_SUBJECTS, FEWEST_SEEDS = 10, 2
"""With fewer, every verdict is inconclusive."""
EQUIVALENCE_MARGIN = 0.02
"""Difference in accuracy within which two variants count as equivalent."""
CrossedHits = Float[np.ndarray, "seeds sequences"]  # 1 where a variant is right
Verdict = Literal["supported", "refuted", "equivalent", "inconclusive"]


@dataclass(frozen=True)
class VariantResult:
    """One variant beside its reference, the study's first unless it names another; without one: 0, NaN and ""."""

    variant: str
    description: str
    accuracy: float  # mean over seeds and sequences, 0…1
    interval: tuple[float, float]  # 95 %, over seeds and subjects
    seed_spread: float  # standard deviation over seeds
    difference: float  # accuracy of the reference minus this one's
    difference_interval: tuple[float, float]
    p: float  # of a paired t-test over seeds, Holm-corrected over the primary contrasts, or over the others
    verdict: Verdict | Literal[""]  # on the claim that the reference is better; "": none is given
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
    primary: bool = True  # a contrast that was named before the trials ran
    majority: float = 0.0  # share of the most frequent expression among the test sequences
    parts: Mapping[str, float] = field(default_factory=dict)  # accuracy on each part of a mixture; empty otherwise


def compare_variants(
    variants: Sequence[Variant],
    predictions: pd.DataFrame,
    curves: pd.DataFrame,
    generator: np.random.Generator,
    primary: Collection[str] = (),
) -> list[VariantResult]:
    """Compare every variant with the first, or with the one it names; seeds and test subjects are crossed.

    Args:
        predictions: Columns ``variant``, ``seed``, ``sequence``, ``subject``, ``expression``, ``predicted``.
        curves: Columns ``variant``, ``seed``, ``epoch``, ``seconds``, ``unseen_accuracy``.
        primary: Variants whose contrasts were named before the trials ran; none: all.

    Raises:
        ValueError: If a variant was not tested with every seed on every sequence.
    """
    hits, subjects = _crossed_hits(predictions)
    references = _references(variants)
    compared = {
        name: compare_crossed(hits[other] - hits[name], subjects, generator) for name, other in references.items()
    }
    corrected = _corrected({name: found.p for name, found in compared.items()}, primary)
    majority = predictions["expression"].value_counts(normalize=True).max()
    speed, first, seeds = convergence(curves), variants[0].name, len(next(iter(hits.values())))
    results = []
    for variant in variants:
        own, found = hits[variant.name], compared.get(variant.name)
        interval = found.interval if found else (0.0, 0.0)
        p = corrected.get(variant.name, float("nan"))
        results.append(
            VariantResult(
                variant=variant.name,
                description=variant.description,
                accuracy=float(own.mean()),
                interval=crossed_interval(own, subjects, generator),
                seed_spread=float(own.mean(axis=1).std(ddof=1)) if seeds > 1 else float("nan"),
                difference=found.difference if found else 0.0,
                difference_interval=interval,
                p=p,
                verdict=verdict(interval, p, subjects.nunique(), seeds) if found else "",
                seeds=seeds,
                subjects=subjects.nunique(),
                against=references.get(variant.name, ""),
                raw_p=found.p if found else float("nan"),
                primary=not primary or variant.name in primary,
                majority=float(majority),
                parts=_by_part(own, subjects),
                **_speed(speed, variant.name, first),
            )
        )
    return results


def _by_part(hits: CrossedHits, subjects: "pd.Series[str]") -> dict[str, float]:
    """Accuracy on each part of a mixture of corpora."""
    if not subjects.str.contains(PART_JOINT, regex=False).all():
        return {}
    parts = part_names(subjects).to_numpy()
    return {str(part): float(hits[:, parts == part].mean()) for part in dict.fromkeys(parts)}


def _crossed_hits(
    predictions: pd.DataFrame,
) -> tuple[dict[str, Float[np.ndarray, "seeds sequences"]], "pd.Series[str]"]:
    """1 where a variant is right, by variant, seed and sequence; and the subject of each sequence."""
    hits = predictions.assign(hit=(predictions["predicted"] == predictions["expression"]).astype(float))
    wide = hits.pivot_table(index=["variant", "seed"], columns="sequence", values="hit")
    if wide.isna().any(axis=None):
        variant, seed = wide.index[wide.isna().any(axis=1)][0]
        raise ValueError(f"{variant!r} with seed {seed} lacks predictions: run the study again, it resumes.")
    subjects = hits.drop_duplicates("sequence").set_index("sequence")["subject"][wide.columns]
    return {str(name): rows.to_numpy() for name, rows in wide.groupby("variant")}, subjects


def _corrected(raw: Mapping[str, float], primary: Collection[str]) -> dict[str, float]:
    """The p values corrected among the primary contrasts, and those of the others among themselves."""
    families = [
        [name for name in raw if (name in primary or not primary) is is_primary] for is_primary in (True, False)
    ]
    return {
        name: p for family in families for name, p in zip(family, holm([raw[name] for name in family]), strict=True)
    }


def _references(variants: Sequence[Variant]) -> dict[str, str]:
    """The reference of each variant that has one which was run."""
    named = {variant.name: variant.against or variants[0].name for variant in variants}
    return {name: other for name, other in named.items() if name != other and other in named}


def verdict(interval: tuple[float, float], p: float, subjects: int, seeds: int) -> Verdict:
    """Whether a difference is above zero (supported), below (refuted), within the margin, or undetermined.

    Above and below need interval and test to agree.
    """
    if subjects < FEWEST_SUBJECTS or seeds < FEWEST_SEEDS:
        return "inconclusive"
    if p < SIGNIFICANCE and interval[0] > 0:
        return "supported"
    if p < SIGNIFICANCE and interval[1] < 0:
        return "refuted"
    return "equivalent" if max(map(abs, interval)) < EQUIVALENCE_MARGIN else "inconclusive"


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
class RegisteredContrasts:
    """The primary contrasts of a study, as they were fixed before its first trial on some data."""

    study: str
    primary: tuple[str, ...]
    day: str  # ISO 8601

    @classmethod
    def fixed(cls, file: Path, options: StudyOptions, day: str) -> Self:
        """Those that an earlier run wrote to the file, else those of the options, which are written there."""
        if file.exists():
            known = json.loads(file.read_text(encoding="utf-8"))
            return cls(known["study"], tuple(known["primary"]), known["day"])
        own = cls(options.name, options.primary, day)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(own)), encoding="utf-8")
        return own

    @property
    def digest(self) -> str:
        """Digest of study and contrasts."""
        return content_key(study=self.study, primary=self.primary)

    def changed(self, options: StudyOptions) -> str:
        """How the options differ, with the remedy; "" if they do not."""
        if self.primary == options.primary:
            return ""
        return (
            f"The primary contrasts were fixed on {self.day} as {_names(self.primary)}, and are now "
            f"{_names(options.primary)}: no verdict is given. Set studies.{self.study}.primary back."
        )


def _names(primary: Sequence[str]) -> str:
    return ", ".join(primary) or "all"


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
    training_subjects: int | None  # drawn for every seed; None: all
    tested: int  # number of test subjects
    primary: tuple[str, ...]  # variants whose contrasts are decided on; empty: all
    contrasts: str  # digest of study and primary contrasts, as they were fixed before the first trial
    changed_contrasts: str  # how they have changed since, so that no verdict is given; ""
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
        registered: "RegisteredContrasts",
    ) -> Self:
        """The provenance of a study that has just been run; ``started_with`` is the catalog entry ``run_info``."""
        return cls(
            basis=basis,
            seeds=options.seeds,
            training_subjects=options.training_subjects,
            tested=int(predictions["subject"].nunique()),
            primary=options.primary,
            contrasts=registered.digest,
            changed_contrasts=registered.changed(options),
            changes=started_with.get("changes"),
            commit=started_with.get("commit", ""),
            made=made.isoformat(timespec="seconds"),
        )

    @classmethod
    def from_document(cls, values: Mapping[str, Any]) -> Self:
        """The provenance that :meth:`to_document` wrote."""
        lists = {name: tuple(values[name]) for name in ("seeds", "primary")}
        return cls(**{**values, "basis": DataProvenance(**values["basis"]), **lists})

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
        """The reason why the study does not count for the present data and code; "" if it does."""
        if self.basis.data != present.data:
            return f"made on {_described(self.basis)}; the present data are {_described(present)}"
        if self.basis.code != present.code:
            commit = f" ({self.commit[:8]}{self.commit[40:]})" if self.commit else ""
            return f"made by other code or libraries{commit}: run the study again"
        return ""

    def remarks(self, present: DataProvenance) -> tuple[str, ...]:
        """Differences that leave the study valid: other images, other parameters."""
        applies = {
            "other images of the same scans": self.basis.views != present.views,
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
