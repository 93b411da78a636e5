"""Findings about the papers' claims, gathered from studies, the present run's predictions, and stored findings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from affect4d.evaluation.metrics import subject_interval
from affect4d.evaluation.significance import above_chance, compare_predictions, sign_test
from affect4d.experiments.provenance import DataProvenance, StudyProvenance
from affect4d.experiments.study_results import VariantResult, from_document
from affect4d.scans.expression import EXPRESSIONS

CHANCE = 1 / len(EXPRESSIONS)


@dataclass(frozen=True)
class Finding:
    """One measured comparison that bears on a claim: ``first``, which the claim is for, against ``second``.

    ``values`` are accuracies 0…1 or in ``unit`` ("UF1", "epochs"); ``difference`` and its 95 % ``interval`` over
    subjects are first minus second. ``p`` is corrected for the number of variants of a study, ``raw_p`` is not;
    ``p_worse`` is that of the opposite, where ``p`` is one-sided. ``sooner`` and ``later`` count seeds. A finding with
    ``stale`` is about other data and does not count; ``remarks`` are differences that leave it valid.
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
    sooner: int = 0
    later: int = 0
    raw_p: float | None = None
    p_worse: float | None = None
    made: str = ""
    remarks: tuple[str, ...] = ()
    stale: str = ""


def finding_document(finding: Finding) -> Mapping[str, Any]:
    """Plain values of a finding, as :class:`Evidence` reads them."""
    return asdict(finding)


@dataclass(frozen=True)
class Evidence:
    """Everything that was measured about the claims; any part may be missing.

    ``studies`` hold each study's ``provenance`` and ``variants``; ``findings`` are those that other pipelines wrote, by
    number of the claim; ``predictions`` are of every model and baseline of the present run, on every test sequence. A
    study counts if it is about the ``present`` data, or if that is None.
    """

    studies: Mapping[str, Any] = field(default_factory=dict)
    findings: Mapping[int, list[dict[str, Any]]] = field(default_factory=dict)
    predictions: pd.DataFrame | None = None
    seed: int = 0
    present: DataProvenance | None = None

    def variants(self, study: str, *names: str) -> list[Finding]:
        """The first variant of a study beside some others; those that were run."""
        return self._beside_first(study, names, _accuracy_finding)

    def convergence(self, *names: str) -> list[Finding]:
        """The first variant of the study of convergence beside some others: epochs to 90 % of the best end."""
        return self._beside_first("convergence", names, _convergence_finding)

    def _beside_first(
        self, study: str, names: Sequence[str], compare: Callable[[VariantResult, VariantResult, str], Finding]
    ) -> list[Finding]:
        document = self.studies.get(study)
        if not isinstance(document, Mapping) or "provenance" not in document:  # an earlier version's has none
            return []
        rows = {row.variant: row for row in from_document(document["variants"])}
        first = next(iter(rows.values()))
        origin = _origin(StudyProvenance.from_document(document["provenance"]), self.present)
        return [replace(compare(first, rows[name], f"study_{study}"), **origin) for name in names if name in rows]

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
        """A model of the run beside guessing (uniformly, or always the most frequent expression), if it is there."""
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

    def stored(self, claim: int) -> list[Finding]:
        """Findings that another pipeline wrote about a claim."""
        return [_finding(row) for row in self.findings.get(claim, [])]

    @property
    def _run(self) -> str:
        return f"this run, seed {self.seed}"


def micro_transfer_findings(predictions: pd.DataFrame, source: str) -> list[Mapping[str, Any]]:
    """Findings on whether SMILE-VLM transfers to micro-expressions: its UF1 against each baseline, by protocol.

    ``predictions`` are those of :func:`~affect4d.evaluation.micro_evaluation.evaluate_clips`.
    """
    from affect4d.evaluation.micro_evaluation import compare_clips

    tables = {str(name): table for name, table in predictions.groupby("model", sort=False)}
    pairs = [(f"smile_vlm.{name.split('.')[1]}", name) for name in tables if not name.startswith("smile_vlm.")]
    findings = []
    for first, second in pairs:
        found = compare_clips(tables[first], tables[second], np.random.default_rng(0))
        findings.append(
            Finding(
                first, second, found.scores, found.difference, found.interval, found.p, "permutation over subjects", 1,
                found.subjects, source, "UF1",
            )
        )  # fmt: skip
    return [finding_document(finding) for finding in findings]


def _origin(provenance: StudyProvenance, present: DataProvenance | None) -> dict[str, Any]:
    """When a study was made, and whether it is about the present data."""
    if present is None:
        return {"made": provenance.day}
    return {"made": provenance.day, "remarks": provenance.remarks(present), "stale": provenance.stale(present)}


def _accuracy(table: pd.DataFrame) -> float:
    return float((table["predicted"] == table["expression"]).mean())


def _below_chance(table: pd.DataFrame, chance: float) -> float:
    """One-sided p that a model is no worse than guessing: :func:`above_chance` of its misses."""
    missed = table["predicted"] != table["expression"]
    turned = table.assign(predicted=table["expression"].where(missed))
    return above_chance(turned, 1 - chance, np.random.default_rng(0))


def _accuracy_finding(first: VariantResult, other: VariantResult, source: str) -> Finding:
    return Finding(
        first.description, other.description, (first.accuracy, other.accuracy), other.difference,
        other.difference_interval, other.p, "permutation over subjects, Holm", other.seeds, other.subjects, source,
        raw_p=None if np.isnan(other.raw_p) else other.raw_p,
    )  # fmt: skip


def _convergence_finding(first: VariantResult, other: VariantResult, source: str) -> Finding:
    known = [None if np.isnan(value) else value for value in (first.epochs, other.epochs)]
    always = first.reached == other.reached == other.seeds  # else the means are over different seeds
    difference = first.epochs - other.epochs if always else None
    counts = f"sooner in {other.sooner}, later in {other.later}; got there in {first.reached} and {other.reached}"
    return Finding(
        first.description, other.description, (known[0], known[1]), difference, None, other.sooner_p,
        f"signs over seeds, one-sided: {counts}", other.seeds, other.subjects, source, "epochs",
        other.sooner, other.later, p_worse=sign_test(other.later, other.sooner),
    )  # fmt: skip


def _finding(row: Mapping[str, Any]) -> Finding:
    interval = None if row.get("interval") is None else (float(row["interval"][0]), float(row["interval"][1]))
    values = (row["values"][0], row["values"][1])
    known = {name.name: row[name.name] for name in fields(Finding) if name.name in row}
    return Finding(**{**known, "values": values, "interval": interval, "remarks": tuple(row.get("remarks", ()))})
