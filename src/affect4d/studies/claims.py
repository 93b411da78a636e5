"""The ten claims of the papers that this project measures, and what runs on disk say of each; none is typed by hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from affect4d.studies.evidence import Evidence, Finding
from affect4d.studies.verdicts import SURE, sign_test

FEWEST = 10
"""People; with fewer, nothing is decided: an interval over so few says little."""
REACH = 0.05
"""Accuracy that one may be behind and still be called within reach."""
Said = Literal["holds", "does not hold", "undecided", "not measured"]


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        number: As in the list of claims.
        statement: What is claimed.
        ask: Finds what was measured.
        judge: One word for one finding.
        how: What to run to measure it.
        parts: How many findings it takes: with fewer it may fail, and cannot hold.
    """

    number: int
    statement: str
    ask: Callable[[Evidence], Sequence[Finding]]
    judge: Callable[[Finding], Said]
    how: str
    parts: int = 1


@dataclass(frozen=True)
class ClaimRow:
    """A claim and its answer."""

    number: int
    statement: str
    verdict: Said
    findings: tuple[Finding, ...]
    verdicts: tuple[Said, ...]
    how: str


def better(finding: Finding) -> Said:
    """Surely better, surely worse, or neither: interval and test must agree."""
    low, high = finding.interval or (float("-inf"), float("inf"))
    if finding.p >= SURE:
        return "undecided"
    return "holds" if low > 0 else "does not hold" if high < 0 else "undecided"


def sooner(finding: Finding) -> Said:
    """Whether it got there sooner in surely more seeds, or later in surely more."""
    if finding.p < SURE:
        return "holds"
    return "does not hold" if sign_test(finding.behind, finding.ahead) < SURE else "undecided"


def within_reach(finding: Finding) -> Said:
    """Whether it surely is less than :data:`REACH` behind, or surely more; the interval decides."""
    low, high = finding.interval or (float("-inf"), float("inf"))
    return "holds" if low > -REACH else "does not hold" if high < -REACH else "undecided"


def all_together(verdicts: Sequence[Said]) -> Said:
    """A claim about several things holds where each does; one that does not settles it."""
    if not verdicts:
        return "not measured"
    for word in ("does not hold", "undecided"):
        if word in verdicts:
            return word
    return "holds"


CLAIMS: tuple[Claim, ...] = (
    Claim(
        1, "AffectVLM's loss converges sooner than cross-entropy, InfoNCE and triplets",
        lambda found: found.convergence("cross_entropy", "class_infonce", "triplets"), sooner,
        "kedro run --pipeline=study_convergence", parts=3,
    ),
    Claim(
        2, "Augmented prompts help", lambda found: found.arms("ablation", "bare_prompts"), better,
        "kedro run --pipeline=study_ablation",
    ),
    Claim(
        3, "Mixed view augmentation helps", lambda found: found.arms("ablation", "unmixed", "unaugmented"), better,
        "kedro run --pipeline=study_ablation", parts=2,
    ),
    Claim(
        4, "Several views beat one", lambda found: found.arms("ablation", "front"), better,
        "kedro run --pipeline=study_ablation",
    ),
    Claim(
        5, "Distributed training changes nothing but the time", lambda found: found.written(5), within_reach,
        "no run compares accuracies; tests/training/test_spread.py compares gradients and weights",
    ),
    Claim(
        6, "SMILE-VLM beats the unsupervised baselines",
        lambda found: [
            *found.arms("smile_ablation", "simclr", "alignment_only", "no_alignment"),
            *found.paired("smile_vlm.linear_probe", "random_tower.linear_probe"),
        ],
        better, "kedro run --pipeline=study_smile_ablation", parts=4,
    ),
    Claim(
        7, f"SMILE-VLM comes within reach of supervised training ({100 * REACH:.0f} points), or exceeds it",
        lambda found: found.paired("smile_vlm.linear_probe", "cross_entropy"), within_reach, "kedro run",
    ),
    Claim(
        8, "Each of SMILE-VLM's three terms earns its place",
        lambda found: found.arms("smile_ablation", "no_decorrelation", "no_redundancy", "no_alignment"), better,
        "kedro run --pipeline=study_smile_ablation", parts=3,
    ),
    Claim(9, "SMILE-VLM carries over to micro-expressions", lambda found: found.written(9), better,
        "kedro run --pipeline=train_smile --params corpus=open-4dmer"),
    Claim(
        10, "Zero-shot recognition works through language",
        lambda found: [
            *found.beside_chance("smile_vlm.zero_shot"),
            *found.beside_chance("smile_vlm.free_text"),
        ],
        better, "kedro run", parts=2,
    ),
)  # fmt: skip


def answer_claims(evidence: Evidence) -> list[ClaimRow]:
    """Every claim with what was found; one that nothing was found about is not measured."""
    rows = []
    for claim in CLAIMS:
        findings = tuple(claim.ask(evidence))
        verdicts = tuple(_judged(claim, finding) for finding in findings)
        verdict = all_together(verdicts)
        if verdict == "holds" and len(findings) < claim.parts:
            verdict = "undecided"
        rows.append(ClaimRow(claim.number, claim.statement, verdict, findings, verdicts, claim.how))
    return rows


def _judged(claim: Claim, finding: Finding) -> Said:
    return claim.judge(finding) if finding.subjects >= FEWEST else "undecided"


def as_document(rows: Sequence[ClaimRow]) -> list[dict[str, Any]]:
    """Plain values for JSON."""
    return [asdict(row) for row in rows]


def finding_document(finding: Finding) -> Mapping[str, Any]:
    """Plain values of a finding, as :class:`~affect4d.studies.evidence.Evidence` reads them."""
    return asdict(finding)
