"""What a study says: accuracies with intervals, paired differences, and a word for each claim."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from affect4d.evaluation.metrics import subject_interval
from affect4d.evaluation.significance import holm, sign_flip_test
from affect4d.experiments.setting import Arm

SHARE_OF_BEST = 0.9
SURE = 0.05
FEWEST = 10
"""People; with fewer, nothing is decided: an interval over so few says little."""
Verdict = Literal["holds", "does not hold", "undecided"]


@dataclass(frozen=True)
class ArmResult:
    """One arm beside another, which is the study's first unless the arm says otherwise.

    Attributes:
        arm: Its name.
        description: In words.
        accuracy: Mean over seeds and sequences, 0…1.
        interval: 95 % interval, bootstrapped over subjects.
        seed_spread: Standard deviation of the accuracy over seeds; NaN for one seed.
        behind: Accuracy of the other arm minus this one's; 0 where there is none, as for the first.
        behind_interval: 95 % interval of that difference, over subjects.
        p: Of the permutation test over subjects, two-sided, Holm-corrected over the arms; NaN without another.
        verdict: Whether the other arm is better: surely, surely not (it is surely worse), or undecided.
        epochs: Mean epochs to 90 % of the best final accuracy of the seed; NaN if no seed got there.
        seconds: The same in seconds of training.
        reached: In how many seeds it got there.
        sooner: In how many seeds the first arm got there in fewer epochs than this one.
        later: In how many it got there in more.
        sooner_p: One-sided sign test of ``sooner``, ties left out; NaN for the first.
        seeds: How many trainings of this arm there are.
        subjects: How many people it was asked about, all seeds together.
        against: The other arm; "" where there is none.
        raw_p: ``p`` before it was corrected; NaN without another.
    """

    arm: str
    description: str
    accuracy: float
    interval: tuple[float, float]
    seed_spread: float
    behind: float
    behind_interval: tuple[float, float]
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


def judge(
    arms: Sequence[Arm], predictions: pd.DataFrame, curves: pd.DataFrame, generator: np.random.Generator
) -> list[ArmResult]:
    """Compare every arm with the first, or with the one it names.

    Args:
        arms: Of the study, the first in front.
        predictions: Columns ``arm``, ``seed``, ``sequence``, ``subject``, ``expression``, ``predicted``.
        curves: Columns ``arm``, ``seed``, ``epoch``, ``seconds``, ``unseen_accuracy``.
        generator: Draws bootstrap samples and permutations.
    """
    hits = predictions.assign(hit=(predictions["predicted"] == predictions["expression"]).astype(float))
    wide = hits.pivot_table(index=["subject", "seed", "sequence"], columns="arm", values="hit")
    subjects = wide.index.get_level_values("subject").to_series()
    first = arms[0].name
    others = _others(arms)
    gains = {name: (wide[other] - wide[name]).to_numpy() for name, other in others.items()}
    raw = {name: sign_flip_test(pd.Series(gain), subjects, generator) for name, gain in gains.items()}
    corrected = dict(zip(raw, holm(list(raw.values())), strict=True))
    speed = convergence(curves)
    results = []
    for arm in arms:
        gain = gains.get(arm.name, np.zeros(len(wide)))
        interval = subject_interval(gain, subjects, generator)
        p = corrected.get(arm.name, float("nan"))
        results.append(
            ArmResult(
                arm=arm.name,
                description=arm.description,
                accuracy=float(wide[arm.name].mean()),
                interval=subject_interval(wide[arm.name].to_numpy(), subjects, generator),
                seed_spread=float(wide[arm.name].groupby("seed").mean().std()),
                behind=float(gain.mean()),
                behind_interval=interval,
                p=p,
                verdict=verdict(interval, p, subjects.nunique()) if arm.name in others else "",
                seeds=wide.index.get_level_values("seed").nunique(),
                subjects=subjects.nunique(),
                against=others.get(arm.name, ""),
                raw_p=raw.get(arm.name, float("nan")),
                **_speed(speed, arm.name, first),
            )
        )
    return results


def _others(arms: Sequence[Arm]) -> dict[str, str]:
    """Which arm each is compared with, where it is compared and the other was run."""
    named = {arm.name: arm.against or arms[0].name for arm in arms}
    return {name: other for name, other in named.items() if name != other and other in named}


def verdict(interval: tuple[float, float], p: float, people: int) -> Verdict:
    """Whether a difference is surely above zero, surely below, or neither.

    Interval and test must agree, and be of :data:`FEWEST` people or more.
    """
    if people < FEWEST:
        return "undecided"
    if p < SURE and interval[0] > 0:
        return "holds"
    return "does not hold" if p < SURE and interval[1] < 0 else "undecided"


def convergence(curves: pd.DataFrame) -> pd.DataFrame:
    """Epochs and seconds to 90 % of the best final accuracy any arm has with that seed.

    Returns:
        Indexed by arm and seed: ``epochs`` (1 = after the first) and ``seconds``, NaN where it is never reached.
    """
    ordered = curves.sort_values(["arm", "seed", "epoch"])
    final = ordered.groupby(["arm", "seed"])["unseen_accuracy"].last()
    goals = SHARE_OF_BEST * final.groupby("seed").max()
    reached = ordered[ordered["unseen_accuracy"] >= ordered["seed"].map(goals)]
    firsts = reached.groupby(["arm", "seed"])[["epoch", "seconds"]].first()
    firsts["epochs"] = firsts.pop("epoch") + 1
    return firsts.reindex(final.index)[["epochs", "seconds"]]


def as_document(results: Sequence[ArmResult]) -> list[dict[str, Any]]:
    """Plain values for JSON; NaN as null."""
    return [
        {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in asdict(row).items()}
        for row in results
    ]


def from_document(rows: Sequence[Mapping[str, Any]]) -> list[ArmResult]:
    """The results that :func:`as_document` made plain."""
    return [ArmResult(**_with_nan(row)) for row in rows]


def _with_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: float("nan") if value is None else value for name, value in row.items()}


def _speed(speed: pd.DataFrame, arm: str, first: str) -> dict[str, Any]:
    rows = {name: speed.xs(name, level="arm") for name in (arm, first)}
    own, reference = (rows[name]["epochs"].fillna(np.inf) for name in (arm, first))
    sooner, later = int((reference < own).sum()), int((reference > own).sum())
    return {
        "epochs": float(rows[arm]["epochs"].mean()),
        "seconds": float(rows[arm]["seconds"].mean()),
        "reached": int(rows[arm]["epochs"].notna().sum()),
        "sooner": sooner,
        "later": later,
        "sooner_p": float("nan") if arm == first else sign_test(sooner, later),
    }


def sign_test(sooner: int, later: int) -> float:
    """One-sided p that the first is not sooner more often than later; ties are left out."""
    decided = sooner + later
    return float(binomtest(sooner, decided, alternative="greater").pvalue) if decided else 1.0
