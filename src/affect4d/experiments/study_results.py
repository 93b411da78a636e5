"""Results of a study: accuracy of every variant with intervals, paired differences, a verdict, and convergence."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from affect4d.evaluation.metrics import subject_interval
from affect4d.evaluation.significance import holm, sign_flip_test, sign_test
from affect4d.experiments.variants import Variant

FRACTION_OF_BEST = 0.9
SIGNIFICANCE = 0.05
FEWEST_SUBJECTS = 10
"""With fewer, every verdict is inconclusive: an interval over so few says little."""
Verdict = Literal["supported", "refuted", "inconclusive"]


@dataclass(frozen=True)
class VariantResult:
    """One variant beside its reference (``against``), which is the study's first unless the variant names another.

    ``accuracy`` (mean over seeds and sequences, 0…1) has a 95 % ``interval`` over subjects and a standard deviation
    over seeds. ``difference`` is the reference's accuracy minus this one's, ``p`` that of a two-sided permutation test
    over subjects, Holm-corrected over the variants (``raw_p``: uncorrected), and ``verdict`` is on the claim that the
    reference is better; without a reference they are 0, NaN and "". ``epochs`` and ``seconds`` are means to 90 % of the
    best final accuracy of the seed, which ``reached`` seeds got to; the first variant was ``sooner`` or ``later`` than
    this one in so many, with a one-sided sign test.
    """

    variant: str
    description: str
    accuracy: float
    interval: tuple[float, float]
    seed_spread: float
    difference: float
    difference_interval: tuple[float, float]
    p: float
    verdict: Verdict | Literal[""]
    epochs: float
    seconds: float
    reached: int
    sooner: int
    sooner_p: float
    later: int = 0
    seeds: int = 0
    subjects: int = 0
    against: str = ""
    raw_p: float = float("nan")


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
    """Whether a difference is significantly above zero (supported), below (refuted), or neither.

    Interval and test must agree, with :data:`FEWEST_SUBJECTS` or more.
    """
    if subjects < FEWEST_SUBJECTS:
        return "inconclusive"
    if p < SIGNIFICANCE and interval[0] > 0:
        return "supported"
    return "refuted" if p < SIGNIFICANCE and interval[1] < 0 else "inconclusive"


def convergence(curves: pd.DataFrame) -> pd.DataFrame:
    """Epochs and seconds to 90 % of the best final accuracy that any variant has with the same seed.

    Returns:
        Indexed by variant and seed: ``epochs`` (1 = after the first) and ``seconds``, NaN where it is never reached.
    """
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
    return [VariantResult(**_with_nan(row)) for row in rows]


def _with_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: float("nan") if value is None else value for name, value in row.items()}


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
