"""What runs have left on disk about the claims: study results, cross-validations, a hold-out run, and more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from affect4d.evaluation.metrics import subject_interval
from affect4d.evaluation.significance import above_chance, compare_predictions
from affect4d.experiments.account import Account, Basis
from affect4d.experiments.verdicts import ArmResult, from_document, sign_test
from affect4d.scans.expression import EXPRESSIONS

CHANCE = 1 / len(EXPRESSIONS)


@dataclass(frozen=True)
class Finding:
    """One figure, or one pair of figures, about a claim.

    Attributes:
        first: What the claim is for, in words.
        second: What it is compared with.
        values: Of both: accuracy 0…1, or as ``unit`` says; None where there is no such figure.
        difference: First minus second; None where one of them has no figure.
        interval: 95 % interval of the difference, over subjects; None where the test is not about subjects.
        p: Of the test; of a study's arm, corrected for how many arms were run.
        test: Which.
        seeds: How many trainings of each.
        subjects: How many people were tested.
        source: Which run's artefact it was read from.
        unit: ``"accuracy"``, ``"UF1"`` or ``"epochs"``.
        ahead: In how many seeds the first was sooner, where that is what is tested.
        behind: In how many it was later.
        raw_p: ``p`` before a study corrected it; None where nothing was corrected.
        p_worse: Of the opposite, that the first is no worse; None where ``p`` is two-sided.
        made: The day it was measured; "" where that is not told.
        remarks: What a reader should know of how it was measured.
        stale: Why it does not count: it is about other data than those of now; "" where it counts.
    """

    first: str
    second: str
    values: tuple[float | None, float | None]
    difference: float | None
    interval: tuple[float, float] | None
    p: float
    test: str
    seeds: int
    subjects: int
    source: str
    unit: str = "accuracy"
    ahead: int = 0
    behind: int = 0
    raw_p: float | None = None
    p_worse: float | None = None
    made: str = ""
    remarks: tuple[str, ...] = ()
    stale: str = ""


@dataclass(frozen=True)
class Evidence:
    """Everything that is there; nothing of it is needed.

    Attributes:
        studies: Each study's ``account`` and ``arms``, as :meth:`Account.to_document` and
            :func:`affect4d.experiments.verdicts.as_document` made them plain.
        findings: Findings other pipelines wrote about a claim, by its number, as plain values.
        predictions: What every model and baseline of the run says of every unseen sequence.
        seed: Of that run.
        present: What the claims are asked about; None compares a study's account with nothing.
    """

    studies: Mapping[str, Any] = field(default_factory=dict)
    findings: Mapping[int, list[dict[str, Any]]] = field(default_factory=dict)
    predictions: pd.DataFrame | None = None
    seed: int = 0
    present: Basis | None = None

    def arms(self, study: str, *names: str) -> list[Finding]:
        """The first arm of a study beside some others; those that were run."""
        return self._beside_first(study, names, _behind)

    def convergence(self, *names: str) -> list[Finding]:
        """The first arm of the study of convergence beside some others: epochs to 90 % of the best end."""
        return self._beside_first("convergence", names, _sooner)

    def _beside_first(
        self, study: str, names: Sequence[str], compared: Callable[[ArmResult, ArmResult, str], Finding]
    ) -> list[Finding]:
        document = self.studies.get(study)
        if not document:
            return []
        rows = {row.arm: row for row in from_document(arms_of(document))}
        first = next(iter(rows.values()))
        origin = _origin(document, self.present)
        return [replace(compared(first, rows[name], f"study_{study}"), **origin) for name in names if name in rows]

    def paired(self, first: str, second: str) -> list[Finding]:
        """Two models of the run on the same sequences, if both are there."""
        if self.predictions is None or not {first, second} <= set(self.predictions["model"]):
            return []
        one, other = (self.predictions[self.predictions["model"] == name] for name in (first, second))
        outcome = compare_predictions(one, other, np.random.default_rng(0))
        return [
            Finding(
                first, second, (_accuracy(one), _accuracy(other)), outcome.difference, outcome.interval,
                outcome.permutation, "permutation over subjects", 1, one["subject"].nunique(), self._run,
            )
        ]  # fmt: skip

    def beside_chance(self, model: str) -> list[Finding]:
        """A model of the run beside guessing, if it is there: at random, or always the commonest expression."""
        if self.predictions is None or model not in set(self.predictions["model"]):
            return []
        table = self.predictions[self.predictions["model"] == model]
        chance = max(CHANCE, float(table["expression"].value_counts(normalize=True).max()))
        hits = (table["predicted"] == table["expression"]).to_numpy(float) - chance
        return [
            Finding(
                model, "chance", (_accuracy(table), chance), float(hits.mean()),
                subject_interval(hits, table["subject"], np.random.default_rng(0)),
                above_chance(table, chance, np.random.default_rng(0)), "signs over subjects, one-sided", 1,
                table["subject"].nunique(), self._run, p_worse=_below_chance(table, chance),
            )
        ]  # fmt: skip

    def written(self, claim: int) -> list[Finding]:
        """What another pipeline wrote about a claim."""
        return [_plain_finding(row) for row in self.findings.get(claim, [])]

    @property
    def _run(self) -> str:
        return f"this run, seed {self.seed}"


def arms_of(document: Any) -> list[dict[str, Any]]:
    """The arms of a study's result; before studies gave an account of themselves, they were all there was."""
    arms: list[dict[str, Any]] = document["arms"] if isinstance(document, Mapping) else document
    return arms


def _origin(document: Any, present: Basis | None) -> dict[str, Any]:
    """When a study was made, and whether it is about what is there now."""
    if not isinstance(document, Mapping):
        return {"stale": "does not tell what it was made on; run it again (trials that were kept are not)"}
    account = Account.from_document(document["account"])
    if present is None:
        return {"made": account.day}
    return {"made": account.day, "remarks": account.remarks(present), "stale": account.stale(present)}


def _accuracy(table: pd.DataFrame) -> float:
    return float((table["predicted"] == table["expression"]).mean())


def _below_chance(table: pd.DataFrame, chance: float) -> float:
    """One-sided p that a model is no worse than guessing: of what it misses, as above of what it hits."""
    missed = table["predicted"] != table["expression"]
    turned = table.assign(predicted=table["expression"].where(missed))
    return above_chance(turned, 1 - chance, np.random.default_rng(0))


def _behind(first: ArmResult, other: ArmResult, source: str) -> Finding:
    """The first arm beside another."""
    return Finding(
        first.description, other.description, (first.accuracy, other.accuracy), other.behind, other.behind_interval,
        other.p, "permutation over subjects, Holm", other.seeds, other.subjects, source,
        raw_p=None if np.isnan(other.raw_p) else other.raw_p,
    )  # fmt: skip


def _sooner(first: ArmResult, other: ArmResult, source: str) -> Finding:
    known = [None if np.isnan(value) else value for value in (first.epochs, other.epochs)]
    always = first.reached == other.reached == other.seeds  # else the means are over different seeds
    difference = first.epochs - other.epochs if always else None
    told = f"sooner in {other.sooner}, later in {other.later}; got there in {first.reached} and {other.reached}"
    return Finding(
        first.description, other.description, (known[0], known[1]), difference, None, other.sooner_p,
        f"signs over seeds, one-sided: {told}", other.seeds, other.subjects, source, "epochs",
        other.sooner, other.later, p_worse=sign_test(other.later, other.sooner),
    )  # fmt: skip


def _plain_finding(row: Mapping[str, Any]) -> Finding:
    interval = None if row.get("interval") is None else (float(row["interval"][0]), float(row["interval"][1]))
    values = (row["values"][0], row["values"][1])
    return Finding(**{**row, "values": values, "interval": interval, "remarks": tuple(row.get("remarks", ()))})
