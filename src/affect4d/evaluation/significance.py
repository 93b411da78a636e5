"""Confidence intervals over subjects and seeds, and paired significance tests of two models on the same sequences."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64
from scipy.stats import binomtest, permutation_test, t, ttest_1samp

COVERAGE = 0.95
DRAWS = 1000
PERMUTATIONS = 9999


@dataclass(frozen=True)
class PairedComparison:
    """Difference in accuracy (first minus second) with its 95 % interval over subjects, and p values."""

    difference: float
    interval: tuple[float, float]
    first_only: int  # sequences that only the first classifies correctly
    second_only: int
    mcnemar: float | None  # exact p; None where some sequences were tested twice
    permutation: float  # p of swapping the models subject by subject
    corrected: float  # the same after Holm's correction


def cluster_bootstrap(
    statistic: Callable[[Int64[np.ndarray, "draws clusters"]], Float[np.ndarray, " draws"]],
    clusters: int,
    generator: np.random.Generator,
    draws: int = DRAWS,
    coverage: float = COVERAGE,
) -> tuple[float, float]:
    """Percentile-bootstrap interval of a statistic of resampled clusters (subjects), whose samples are dependent."""
    return percentile_interval(statistic(generator.integers(clusters, size=(draws, clusters))), coverage)


def percentile_interval(
    values: Sequence[float] | Float[np.ndarray, " draws"], coverage: float = COVERAGE
) -> tuple[float, float]:
    """Bounds between which the given fraction of bootstrap values lies."""
    low, high = np.quantile(values, [(1 - coverage) / 2, (1 + coverage) / 2])
    return float(low), float(high)


def subject_interval(
    values: Float[np.ndarray, " sequences"],
    subjects: "pd.Series[str]",
    generator: np.random.Generator,
    draws: int = DRAWS,
    coverage: float = COVERAGE,
) -> tuple[float, float]:
    """Bootstrap interval, over subjects, of the mean of one value per sequence."""
    groups = pd.Series(np.asarray(values, dtype=float)).groupby(subjects.to_numpy())
    sums, counts = groups.sum().to_numpy(), groups.count().to_numpy()

    def means(picks: Int64[np.ndarray, "draws clusters"]) -> Float[np.ndarray, " draws"]:
        return np.asarray(sums[picks].sum(axis=1) / counts[picks].sum(axis=1))

    return cluster_bootstrap(means, len(sums), generator, draws, coverage)


@dataclass(frozen=True)
class CrossedComparison:
    """Mean difference between two variants trained with several seeds and tested on the same sequences."""

    difference: float
    interval: tuple[float, float]  # 95 %, the hull of the two below
    seed_interval: tuple[float, float]  # of Student's t over the seeds' differences: these subjects, any training
    crossed_interval: tuple[float, float]  # of the bootstrap over seeds and subjects: any subjects, any training
    p: float  # of the paired t-test over seeds; 1 with a single seed


def compare_crossed(
    gains: Float[np.ndarray, "seeds sequences"],
    subjects: "pd.Series[str]",
    generator: np.random.Generator,
    draws: int = DRAWS,
    coverage: float = COVERAGE,
) -> CrossedComparison:
    """Compare two variants by their paired differences of every seed (row) on every test sequence (column).

    Seeds and subjects are crossed random factors. With a single seed the interval covers subjects only.
    """
    by_seed = gains.mean(axis=1)
    crossed = crossed_interval(gains, subjects, generator, draws, coverage)
    own, p = _paired_t(by_seed, coverage) if len(gains) > 1 else (crossed, 1.0)
    hull = min(own[0], crossed[0]), max(own[1], crossed[1])
    return CrossedComparison(float(by_seed.mean()), hull, own, crossed, p)


def crossed_interval(
    values: Float[np.ndarray, "seeds sequences"],
    subjects: "pd.Series[str]",
    generator: np.random.Generator,
    draws: int = DRAWS,
    coverage: float = COVERAGE,
) -> tuple[float, float]:
    """Percentile interval of a mean by resampling seeds and, independently, subjects (Owen 2007, "pigeonhole")."""
    codes, names = pd.factorize(subjects.to_numpy())
    member = np.eye(len(names))[codes]  # sequences × subjects
    sums, counts = values @ member, member.sum(axis=0)
    picked_seeds = generator.multinomial(len(values), np.full(len(values), 1 / len(values)), size=draws)
    picked_subjects = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    totals = ((picked_seeds @ sums) * picked_subjects).sum(axis=1)
    return percentile_interval(totals / (len(values) * (picked_subjects @ counts)), coverage)


def _paired_t(differences: Float[np.ndarray, " seeds"], coverage: float) -> tuple[tuple[float, float], float]:
    """Student's interval of a mean, and the two-sided p that it is zero; differences without any spread are exact."""
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    if spread == 0:
        return (mean, mean), float(mean == 0)
    half = t.ppf((1 + coverage) / 2, len(differences) - 1) * spread / np.sqrt(len(differences))
    return (mean - half, mean + half), float(ttest_1samp(differences, 0.0).pvalue)


def compare_models(
    predictions: pd.DataFrame, pairs: Iterable[tuple[str, str]], generator: np.random.Generator
) -> dict[tuple[str, str], PairedComparison]:
    """Compare pairs of models by column ``model``, Holm-corrected; a pair of which one is missing is left out."""
    tables = {str(name): table for name, table in predictions.groupby("model")}
    present = [pair for pair in pairs if pair[0] in tables and pair[1] in tables]
    found = [compare_predictions(tables[first], tables[second], generator) for first, second in present]
    corrected = holm([one.permutation for one in found])
    return {pair: replace(one, corrected=p) for pair, one, p in zip(present, found, corrected, strict=True)}


def compare_predictions(
    first: pd.DataFrame, second: pd.DataFrame, generator: np.random.Generator, permutations: int = PERMUTATIONS
) -> PairedComparison:
    """Compare two prediction tables about the same sequences, which may be in different order."""
    hits = _paired_hits(first, second)
    gain = hits["first"] - hits["second"]
    first_only, second_only = int((gain > 0).sum()), int((gain < 0).sum())
    permutation = sign_flip_test(gain, hits["subject"], generator, permutations=permutations)
    return PairedComparison(
        difference=float(gain.mean()),
        interval=subject_interval(gain.to_numpy(), hits["subject"], generator),
        first_only=first_only,
        second_only=second_only,
        mcnemar=mcnemar(first_only, second_only),
        permutation=permutation,
        corrected=permutation,
    )


def mcnemar(first_only: int, second_only: int) -> float:
    """Exact two-sided p that two models with these counts of one-sided successes are equally good (McNemar 1947)."""
    discordant = first_only + second_only
    return float(binomtest(first_only, discordant).pvalue) if discordant else 1.0


def sign_flip_test(
    gains: "pd.Series[float]",
    subjects: "pd.Series[str]",
    generator: np.random.Generator,
    *,
    alternative: Literal["two-sided", "greater"] = "two-sided",
    permutations: int = PERMUTATIONS,
) -> float:
    """The p of a permutation test in which the sum of each subject's gains (one per sequence) changes sign at random.

    At most ``permutations`` are drawn, and all enumerated where there are fewer. It is 1 for fewer than two subjects.
    """
    sums = gains.groupby(subjects.to_numpy()).sum().to_numpy().round(9)  # so that exact zeros are ties
    if len(sums) < 2:
        return 1.0
    result: Any = permutation_test(
        (sums,),
        lambda values, axis: np.sum(values, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=permutations,
        alternative=alternative,
        rng=generator,
    )
    return float(result.pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """The p values, corrected for how many there are (Holm 1979), in the same order."""
    order = np.argsort(values)
    adjusted = np.empty(len(values))
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = largest
    return [float(value) for value in adjusted]


def sign_test(wins: int, losses: int) -> float:
    """One-sided p that wins are no more frequent than losses; ties are left out."""
    decided = wins + losses
    return float(binomtest(wins, decided, alternative="greater").pvalue) if decided else 1.0


def _paired_hits(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Columns subject, first, second: 1 where the model is correct; one row per sequence."""
    if set(first["sequence"]) != set(second["sequence"]) or len(first) != len(second):
        raise ValueError("The two prediction tables are not about the same sequences: a paired test has no pairs.")
    left, right = first.set_index("sequence"), second.set_index("sequence")
    right = right.loc[left.index]
    return pd.DataFrame(
        {
            "subject": left["subject"],
            "first": (left["predicted"] == left["expression"]).astype(float),
            "second": (right["predicted"] == right["expression"]).astype(float),
        }
    )
