"""The ten claims of the papers that this project tests, their findings, and verdicts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from affect4d.evaluation.significance import holm, sign_test
from affect4d.experiments.variant_comparison_and_provenance import (
    EQUIVALENCE_MARGIN,
    FEWEST_SEEDS,
    FEWEST_SUBJECTS,
    SIGNIFICANCE,
    DataProvenance,
    StudyProvenance,
    VariantResult,
    from_document,
)
from affect4d.scans.expression import EXPRESSIONS

CHANCE = 1 / len(EXPRESSIONS)
OUTSIDE_INTERVAL = 0.99 * SIGNIFICANCE / 2  # bound of the one-sided p of a value outside a 95 % interval


@dataclass(frozen=True)
class Finding:
    """One measured comparison that bears on a claim: ``first``, which the claim is for, against ``second``."""

    first: str
    second: str
    values: tuple[float | None, float | None]  # accuracies 0…1, or in ``unit``
    difference: float | None  # first minus second, as its interval
    interval: tuple[float, float] | None  # 95 %; of a study over seeds and subjects, else over subjects
    p: float  # corrected for the number of contrasts of a study
    test: str
    seeds: int
    subjects: int
    source: str
    unit: str = "accuracy"  # or "UF1", "epochs"
    sooner: int = 0  # seeds, as ``later``
    later: int = 0
    raw_p: float | None = None  # not corrected
    p_worse: float | None = None  # p of the opposite, where ``p`` is one-sided
    made: str = ""
    remarks: tuple[str, ...] = ()  # differences that leave it valid
    stale: str = ""  # what other data it is about, so that it does not count


@dataclass(frozen=True)
class Evidence:
    """Everything that was measured about the claims; any part may be missing."""

    studies: Mapping[str, Any] = field(default_factory=dict)  # ``provenance`` and ``variants`` by study
    findings: Mapping[int, list[dict[str, Any]]] = field(default_factory=dict)  # of other pipelines, by claim
    present: DataProvenance | None = None  # data that a study counts for; None: any

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
        if not isinstance(document, Mapping) or "contrasts" not in document.get(
            "provenance", {}
        ):  # of an earlier version
            return []
        rows = {row.variant: row for row in from_document(document["variants"])}
        first = next(iter(rows.values()))
        origin = _origin(StudyProvenance.from_document(document["provenance"]), self.present)
        return [replace(compare(first, rows[name], f"study_{study}"), **origin) for name in names if name in rows]

    def beside_chance(self, study: str, *names: str) -> list[Finding]:
        """Variants of a study beside guessing (uniformly, or always the most frequent expression), by the interval."""
        return self._beside_first(study, names, lambda _, own, source: _chance_finding(own, source))

    def stored(self, claim: int) -> list[Finding]:
        """Findings that another pipeline wrote about a claim."""
        return [_finding(row) for row in self.findings.get(claim, [])]


def micro_transfer_findings(predictions: pd.DataFrame, source: str) -> list[Mapping[str, Any]]:
    """Findings on whether SMILE-VLM transfers to micro-expressions: its UF1 against each baseline, by protocol."""
    from affect4d.evaluation.micro_expression_features_and_evaluation import compare_clips

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
    return [asdict(finding) for finding in findings]


def _origin(provenance: StudyProvenance, present: DataProvenance | None) -> dict[str, Any]:
    """When a study was made, and whether it is about the present data."""
    if present is None:
        return {"made": provenance.day, "stale": provenance.changed_contrasts}
    stale = provenance.changed_contrasts or provenance.stale(present)
    return {"made": provenance.day, "remarks": provenance.remarks(present), "stale": stale}


def _accuracy_finding(first: VariantResult, other: VariantResult, source: str) -> Finding:
    return Finding(
        first.description, other.description, (first.accuracy, other.accuracy), other.difference,
        other.difference_interval, other.p, "paired t over seeds, Holm", other.seeds, other.subjects, source,
        raw_p=None if np.isnan(other.raw_p) else other.raw_p,
    )  # fmt: skip


def _chance_finding(own: VariantResult, source: str) -> Finding:
    chance = max(CHANCE, own.majority)
    low, high = own.interval[0] - chance, own.interval[1] - chance
    sure = low > 0 or high < 0
    return Finding(
        own.description, "chance", (own.accuracy, chance), own.accuracy - chance, (low, high),
        OUTSIDE_INTERVAL if sure else 1.0, "interval over seeds and subjects", own.seeds, own.subjects, source,
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


REACH = 0.05  # difference in accuracy up to which a model is within reach of another
NO_ANSWER = "–"
ClaimVerdict = Literal["supported", "refuted", "equivalent", "inconclusive", "not measured", "excluded"]
_UNKNOWN = (float("-inf"), float("inf"))


def _worse(finding: Finding) -> float:
    """Uncorrected p of being worse; 1 unless the interval and a study's corrected p agree."""
    _, high = finding.interval or _UNKNOWN
    p = finding.p if finding.p_worse is None else finding.p_worse
    if high >= 0 or p >= SIGNIFICANCE:
        return 1.0
    return p if finding.raw_p is None else finding.raw_p


def _outside_margin_below(finding: Finding) -> float:
    """Bound of a one-sided p by the interval alone: below 0.025 where it ends below the reach."""
    _, high = finding.interval or _UNKNOWN
    return OUTSIDE_INTERVAL if high < -REACH else 1.0


def _outside_margin(finding: Finding) -> float:
    """The same where the interval lies outside the margin on either side."""
    low, high = finding.interval or _UNKNOWN
    return OUTSIDE_INTERVAL if low > EQUIVALENCE_MARGIN or high < -EQUIVALENCE_MARGIN else 1.0


@dataclass(frozen=True)
class DecisionRule:
    """How the findings of a claim become verdicts; ``refutes`` is the uncorrected p of the opposite."""

    supports: Callable[[Finding], bool]
    refutes: Callable[[Finding], float]

    def verdicts(self, findings: Sequence[Finding]) -> list[ClaimVerdict]:
        """One verdict per finding: inconclusive with too few subjects or seeds, excluded where it is stale.

        A claim is supported where each finding supports it, which needs no correction (an intersection–union test:
        Berger 1982). One that refutes it is enough, so that refutations are Holm-corrected over the findings.
        """
        counted = [place for place, finding in enumerate(findings) if not finding.stale]
        against = holm([self.refutes(findings[place]) if _enough(findings[place]) else 1.0 for place in counted])
        verdicts: list[ClaimVerdict] = ["excluded"] * len(findings)
        for place, p in zip(counted, against, strict=True):
            verdicts[place] = "refuted" if p < SIGNIFICANCE else self._unrefuted(findings[place])
        return verdicts

    def _unrefuted(self, finding: Finding) -> ClaimVerdict:
        if not _enough(finding):
            return "inconclusive"
        if self.supports(finding):
            return "supported"
        return "equivalent" if _within_margin(finding) else "inconclusive"


def _enough(finding: Finding) -> bool:
    """Whether subjects and seeds suffice; micro-expressions are measured with one seed, and over subjects alone."""
    return finding.subjects >= FEWEST_SUBJECTS and (finding.seeds >= FEWEST_SEEDS or finding.unit == "UF1")


def _within_margin(finding: Finding) -> bool:
    return finding.unit == "accuracy" and max(map(abs, finding.interval or _UNKNOWN)) < EQUIVALENCE_MARGIN


BETTER = DecisionRule(lambda finding: finding.p < SIGNIFICANCE and (finding.interval or _UNKNOWN)[0] > 0, _worse)
"""Significantly better or worse, where interval and test agree."""
SOONER = DecisionRule(
    lambda finding: finding.p < SIGNIFICANCE, lambda finding: 1.0 if finding.p_worse is None else finding.p_worse
)
"""Sooner, or later, in significantly more seeds."""
NOT_INFERIOR = DecisionRule(lambda finding: (finding.interval or _UNKNOWN)[0] > -REACH, _outside_margin_below)
"""Within reach of the other, by the interval."""
EQUIVALENT = DecisionRule(_within_margin, _outside_margin)
"""Within the margin of each other, by the interval."""


@dataclass(frozen=True)
class Claim:
    """One claim of the papers, supported by no fewer findings than it has ``parts``."""

    number: int
    statement: str
    find: Callable[[Evidence], Sequence[Finding]]
    rule: DecisionRule
    how: str
    parts: int = 1


@dataclass(frozen=True)
class ClaimResult:
    """A claim with its verdict, and those of its findings."""

    number: int
    statement: str
    verdict: ClaimVerdict
    findings: tuple[Finding, ...]
    verdicts: tuple[ClaimVerdict, ...]
    how: str


@dataclass(frozen=True)
class ClaimsByCorpus:
    """Verdicts of several corpora and scales: ``corpora`` (name, day), ``rows`` (number, statement, verdicts)."""

    corpora: tuple[tuple[str, str], ...]
    rows: tuple[tuple[int, str, tuple[str, ...]], ...]


def combined_verdict(verdicts: Sequence[ClaimVerdict]) -> ClaimVerdict:
    """Verdict on a claim with several findings: refuted by one, supported by all; excluded ones do not count.

    Equivalent: nothing is refuted or inconclusive, and one of its parts makes no difference.
    """
    if set(verdicts) <= {"excluded"}:
        return "not measured"
    words: tuple[ClaimVerdict, ...] = ("refuted", "inconclusive", "equivalent")
    for word in words:
        if word in verdicts:
            return word
    return "supported"


CLAIMS: tuple[Claim, ...] = (
    Claim(
        1, "AffectVLM's loss converges sooner than cross-entropy, InfoNCE and triplets",
        lambda found: found.convergence("cross_entropy", "class_infonce", "triplets"), SOONER,
        "kedro run --pipeline=study_convergence", parts=3,
    ),
    Claim(
        2, "Augmented prompts help", lambda found: found.variants("ablation", "bare_prompts"), BETTER,
        "kedro run --pipeline=study_ablation",
    ),
    Claim(
        3, "Mixed view augmentation helps", lambda found: found.variants("ablation", "unmixed", "unaugmented"), BETTER,
        "kedro run --pipeline=study_ablation", parts=2,
    ),
    Claim(
        4, "Several views beat one", lambda found: found.variants("ablation", "front"), BETTER,
        "kedro run --pipeline=study_ablation",
    ),
    Claim(
        5, "Distributed training changes nothing but the time",
        lambda found: found.variants("distribution", "two", "three"), EQUIVALENT,
        "kedro run --pipeline=study_distribution", parts=2,
    ),
    Claim(
        6, "SMILE-VLM beats the unsupervised baselines",
        lambda found: [
            *found.variants("smile_ablation", "simclr", "alignment_only", "no_alignment"),
            *found.variants("supervision", "untrained"),
        ],
        BETTER, "kedro run --pipeline=study_smile_ablation, study_supervision", parts=4,
    ),
    Claim(
        7,
        f"SMILE-VLM, by a linear probe, comes within {100 * REACH:.0f} points of supervised training, or exceeds it",
        lambda found: found.variants("supervision", "cross_entropy"), NOT_INFERIOR,
        "kedro run --pipeline=study_supervision",
    ),
    Claim(
        8, "Each of SMILE-VLM's three terms improves accuracy",
        lambda found: found.variants("smile_ablation", "no_decorrelation", "no_redundancy", "no_alignment"), BETTER,
        "kedro run --pipeline=study_smile_ablation", parts=3,
    ),
    Claim(9, "SMILE-VLM carries over to micro-expressions", lambda found: found.stored(9), BETTER,
        "kedro run --pipeline=train_smile --params corpus=open-4dmer,train.start_from=smile_vlm"),
    Claim(
        10, "Zero-shot recognition through language is above chance",
        lambda found: found.beside_chance("supervision", "zero_shot", "free_text"), BETTER,
        "kedro run --pipeline=study_supervision", parts=2,
    ),
)  # fmt: skip


def corpus_and_scale(answer: Mapping[str, Any]) -> str:
    """Name of the corpus, with the number of training subjects where it is not all."""
    subjects = answer["training_subjects"]
    return f"{answer['corpus']}, {subjects} training subjects" if subjects else str(answer["corpus"])


def evaluate_claims(evidence: Evidence) -> list[ClaimResult]:
    """Every claim with its findings and verdict; "not measured" without findings."""
    results = []
    for claim in CLAIMS:
        findings = tuple(claim.find(evidence))
        verdicts = tuple(claim.rule.verdicts(findings))
        combined = combined_verdict(verdicts)
        if combined == "supported" and len(findings) - verdicts.count("excluded") < claim.parts:
            combined = "inconclusive"
        results.append(ClaimResult(claim.number, claim.statement, combined, findings, verdicts, claim.how))
    return results


def claims_by_corpus(answers: Sequence[Mapping[str, Any]]) -> ClaimsByCorpus:
    """Verdicts of several corpora and scales beside each other.

    Args:
        answers: ``corpus``, ``training_subjects`` of each seed (None: all), ``day`` and ``claims``; of two on the same
            corpus at the same scale the later counts.
    """
    newest = {corpus_and_scale(answer): answer for answer in answers}
    names = sorted(newest)
    verdicts = [{row["number"]: row["verdict"] for row in newest[name]["claims"]} for name in names]
    return ClaimsByCorpus(
        corpora=tuple((name, newest[name]["day"]) for name in names),
        rows=tuple(
            (claim.number, claim.statement, tuple(found.get(claim.number, NO_ANSWER) for found in verdicts))
            for claim in CLAIMS
        ),
    )
