"""The ten claims of the papers that this project tests, and their verdicts from what was measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from affect4d.evaluation.significance import holm
from affect4d.experiments.claim_evidence import Evidence, Finding
from affect4d.experiments.study_results import FEWEST_SUBJECTS, SIGNIFICANCE, verdict

EQUIVALENCE_MARGIN = 0.05
"""Difference in accuracy within which two models count as equivalent."""
NO_ANSWER = "–"
ClaimVerdict = Literal["supported", "refuted", "inconclusive", "not measured", "excluded"]
_UNKNOWN = (float("-inf"), float("inf"))


def _significantly_better(finding: Finding) -> bool:
    return verdict(finding.interval or _UNKNOWN, finding.p, finding.subjects) == "supported"


def _worse(finding: Finding) -> float:
    """Uncorrected p of being worse; 1 unless the interval and a study's corrected p agree."""
    _, high = finding.interval or _UNKNOWN
    p = finding.p if finding.p_worse is None else finding.p_worse
    if high >= 0 or p >= SIGNIFICANCE:
        return 1.0
    return p if finding.raw_p is None else finding.raw_p


def _outside_margin_below(finding: Finding) -> float:
    """Bound of a one-sided p by the interval alone: below 0.025 where it ends below the margin."""
    _, high = finding.interval or _UNKNOWN
    return SIGNIFICANCE / 2 if high < -EQUIVALENCE_MARGIN else 1.0


def _outside_margin(finding: Finding) -> float:
    """The same where the interval lies outside the margin on either side."""
    low, high = finding.interval or _UNKNOWN
    return SIGNIFICANCE / 2 if low > EQUIVALENCE_MARGIN or high < -EQUIVALENCE_MARGIN else 1.0


@dataclass(frozen=True)
class DecisionRule:
    """How the findings of a claim become verdicts.

    Attributes:
        refutes: Uncorrected p of the opposite; 1 where that is not significant even by itself.
    """

    supports: Callable[[Finding], bool]
    refutes: Callable[[Finding], float]

    def verdicts(self, findings: Sequence[Finding]) -> list[ClaimVerdict]:
        """One verdict per finding: inconclusive below :data:`FEWEST_SUBJECTS`, excluded where it is stale.

        A claim is supported where each finding supports it, which needs no correction (an intersection–union test:
        Berger 1982). One that refutes it is enough, so that refutations are Holm-corrected over the findings.
        """
        counted = [place for place, finding in enumerate(findings) if not finding.stale]
        against = holm([self.refutes(findings[place]) if _enough(findings[place]) else 1.0 for place in counted])
        verdicts: list[ClaimVerdict] = ["excluded"] * len(findings)
        for place, p in zip(counted, against, strict=True):
            verdicts[place] = "refuted" if p < SIGNIFICANCE else self._unless_refuted(findings[place])
        return verdicts

    def _unless_refuted(self, finding: Finding) -> ClaimVerdict:
        return "supported" if _enough(finding) and self.supports(finding) else "inconclusive"


def _enough(finding: Finding) -> bool:
    return finding.subjects >= FEWEST_SUBJECTS


BETTER = DecisionRule(_significantly_better, _worse)
"""Significantly better or worse, where interval and test agree."""
SOONER = DecisionRule(
    lambda finding: finding.p < SIGNIFICANCE, lambda finding: 1.0 if finding.p_worse is None else finding.p_worse
)
"""Sooner, or later, in significantly more seeds."""
NOT_INFERIOR = DecisionRule(
    lambda finding: (finding.interval or _UNKNOWN)[0] > -EQUIVALENCE_MARGIN, _outside_margin_below
)
"""Less than the margin below the other, by the interval."""
EQUIVALENT = DecisionRule(
    lambda finding: max(map(abs, finding.interval or _UNKNOWN)) < EQUIVALENCE_MARGIN, _outside_margin
)
"""Within the margin of each other, by the interval."""


@dataclass(frozen=True)
class Claim:
    """One claim of the papers.

    Attributes:
        parts: Number of findings it takes: with fewer it may be refuted, and cannot be supported.
    """

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
    """Verdicts of several corpora: ``corpora`` (name and day of the report), ``rows`` (number, statement, verdicts)."""

    corpora: tuple[tuple[str, str], ...]
    rows: tuple[tuple[int, str, tuple[str, ...]], ...]


def combined_verdict(verdicts: Sequence[ClaimVerdict]) -> ClaimVerdict:
    """Verdict on a claim with several findings: refuted by one, supported by all; excluded ones do not count."""
    if set(verdicts) <= {"excluded"}:
        return "not measured"
    for word in ("refuted", "inconclusive"):
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
            *found.paired("smile_vlm.linear_probe", "untrained_encoder.linear_probe"),
        ],
        BETTER, "kedro run --pipeline=study_smile_ablation", parts=4,
    ),
    Claim(
        7,
        f"SMILE-VLM comes within reach of supervised training ({100 * EQUIVALENCE_MARGIN:.0f} points), or exceeds it",
        lambda found: found.paired("smile_vlm.linear_probe", "cross_entropy"), NOT_INFERIOR, "kedro run",
    ),
    Claim(
        8, "Each of SMILE-VLM's three terms earns its place",
        lambda found: found.variants("smile_ablation", "no_decorrelation", "no_redundancy", "no_alignment"), BETTER,
        "kedro run --pipeline=study_smile_ablation", parts=3,
    ),
    Claim(9, "SMILE-VLM carries over to micro-expressions", lambda found: found.stored(9), BETTER,
        "kedro run --pipeline=train_smile --params corpus=open-4dmer"),
    Claim(
        10, "Zero-shot recognition works through language",
        lambda found: [
            *found.beside_chance("smile_vlm.zero_shot"),
            *found.beside_chance("smile_vlm.free_text"),
        ],
        BETTER, "kedro run", parts=2,
    ),
)  # fmt: skip


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


def as_document(results: Sequence[ClaimResult]) -> list[dict[str, Any]]:
    """Plain values for JSON."""
    return [asdict(result) for result in results]


def claims_by_corpus(reports: Mapping[str, Mapping[str, Any]]) -> ClaimsByCorpus:
    """Verdicts of several corpora beside each other; ``reports`` are, by corpus, ``day`` and ``claims``."""
    names = sorted(reports)
    verdicts = [{row["number"]: row["verdict"] for row in reports[name]["claims"]} for name in names]
    return ClaimsByCorpus(
        corpora=tuple((name, reports[name]["day"]) for name in names),
        rows=tuple(
            (claim.number, claim.statement, tuple(found.get(claim.number, NO_ANSWER) for found in verdicts))
            for claim in CLAIMS
        ),
    )
