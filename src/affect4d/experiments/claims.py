"""The ten claims of the papers that this project measures, and what runs on disk say of each; none is typed by hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from affect4d.evaluation.significance import holm
from affect4d.experiments.evidence import Evidence, Finding
from affect4d.experiments.verdicts import FEWEST, SURE, verdict

REACH = 0.05
"""Accuracy that one may be behind and still be called within reach."""
Said = Literal["holds", "does not hold", "undecided", "not measured", "left out"]
_UNKNOWN = (float("-inf"), float("inf"))


def _surely_better(finding: Finding) -> bool:
    return verdict(finding.interval or _UNKNOWN, finding.p, finding.subjects) == "holds"


def _worse(finding: Finding) -> float:
    """Uncorrected p of being worse; 1 unless the interval and what a study has corrected say so, too."""
    _, high = finding.interval or _UNKNOWN
    p = finding.p if finding.p_worse is None else finding.p_worse
    if high >= 0 or p >= SURE:
        return 1.0
    return p if finding.raw_p is None else finding.raw_p


def _out_of_reach(finding: Finding) -> float:
    """What the interval alone tells: of a one-sided p, that it is below 0.025."""
    _, high = finding.interval or _UNKNOWN
    return SURE / 2 if high < -REACH else 1.0


def _apart(finding: Finding) -> float:
    """What the interval alone tells: that the two are further than :data:`REACH` apart, either way."""
    low, high = finding.interval or _UNKNOWN
    return SURE / 2 if low > REACH or high < -REACH else 1.0


@dataclass(frozen=True)
class Rule:
    """How the parts of a claim are judged.

    Attributes:
        holds: Whether a part surely holds.
        fails: p of its opposite, uncorrected; 1 where that is not sure even by itself.
    """

    holds: Callable[[Finding], bool]
    fails: Callable[[Finding], float]

    def words(self, parts: Sequence[Finding]) -> list[Said]:
        """One word a part; of fewer than :data:`FEWEST` people, undecided; what is stale is left out.

        A claim holds where each part does, which needs no correction (an intersection–union test: Berger 1982). One
        part that fails settles it, so that failing is Holm-corrected over the parts.
        """
        counted = [place for place, part in enumerate(parts) if not part.stale]
        failing = holm([self.fails(parts[place]) if _decides(parts[place]) else 1.0 for place in counted])
        words: list[Said] = ["left out"] * len(parts)
        for place, p in zip(counted, failing, strict=True):
            words[place] = "does not hold" if p < SURE else self._without_failing(parts[place])
        return words

    def _without_failing(self, part: Finding) -> Said:
        return "holds" if _decides(part) and self.holds(part) else "undecided"


def _decides(part: Finding) -> bool:
    return part.subjects >= FEWEST


BETTER = Rule(_surely_better, _worse)
"""Surely better or surely worse where interval and test agree."""
SOONER = Rule(lambda finding: finding.p < SURE, lambda finding: 1.0 if finding.p_worse is None else finding.p_worse)
"""Whether it got there sooner in surely more seeds, or later in surely more."""
WITHIN_REACH = Rule(lambda finding: (finding.interval or _UNKNOWN)[0] > -REACH, _out_of_reach)
"""Whether it surely is less than :data:`REACH` behind, or surely more; the interval decides."""


THE_SAME = Rule(lambda finding: max(map(abs, finding.interval or _UNKNOWN)) < REACH, _apart)
"""Whether the two surely lie within :data:`REACH` of each other, or surely further apart; the interval decides."""


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        number: As in the list of claims.
        statement: What is claimed.
        ask: Finds what was measured.
        rule: Judges each of them.
        how: What to run to measure it.
        parts: How many findings it takes: with fewer it may fail, and cannot hold.
    """

    number: int
    statement: str
    ask: Callable[[Evidence], Sequence[Finding]]
    rule: Rule
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


def all_together(verdicts: Sequence[Said]) -> Said:
    """A claim about several things holds where each does; one that does not settles it. What is left out is silent."""
    if set(verdicts) <= {"left out"}:
        return "not measured"
    for word in ("does not hold", "undecided"):
        if word in verdicts:
            return word
    return "holds"


CLAIMS: tuple[Claim, ...] = (
    Claim(
        1, "AffectVLM's loss converges sooner than cross-entropy, InfoNCE and triplets",
        lambda found: found.convergence("cross_entropy", "class_infonce", "triplets"), SOONER,
        "kedro run --pipeline=study_convergence", parts=3,
    ),
    Claim(
        2, "Augmented prompts help", lambda found: found.arms("ablation", "bare_prompts"), BETTER,
        "kedro run --pipeline=study_ablation",
    ),
    Claim(
        3, "Mixed view augmentation helps", lambda found: found.arms("ablation", "unmixed", "unaugmented"), BETTER,
        "kedro run --pipeline=study_ablation", parts=2,
    ),
    Claim(
        4, "Several views beat one", lambda found: found.arms("ablation", "front"), BETTER,
        "kedro run --pipeline=study_ablation",
    ),
    Claim(
        5, "Distributed training changes nothing but the time",
        lambda found: found.arms("distribution", "two", "three"), THE_SAME,
        "kedro run --pipeline=study_distribution", parts=2,
    ),
    Claim(
        6, "SMILE-VLM beats the unsupervised baselines",
        lambda found: [
            *found.arms("smile_ablation", "simclr", "alignment_only", "no_alignment"),
            *found.paired("smile_vlm.linear_probe", "random_tower.linear_probe"),
        ],
        BETTER, "kedro run --pipeline=study_smile_ablation", parts=4,
    ),
    Claim(
        7, f"SMILE-VLM comes within reach of supervised training ({100 * REACH:.0f} points), or exceeds it",
        lambda found: found.paired("smile_vlm.linear_probe", "cross_entropy"), WITHIN_REACH, "kedro run",
    ),
    Claim(
        8, "Each of SMILE-VLM's three terms earns its place",
        lambda found: found.arms("smile_ablation", "no_decorrelation", "no_redundancy", "no_alignment"), BETTER,
        "kedro run --pipeline=study_smile_ablation", parts=3,
    ),
    Claim(9, "SMILE-VLM carries over to micro-expressions", lambda found: found.written(9), BETTER,
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


def answer_claims(evidence: Evidence) -> list[ClaimRow]:
    """Every claim with what was found; one that nothing was found about is not measured."""
    rows = []
    for claim in CLAIMS:
        findings = tuple(claim.ask(evidence))
        verdicts = tuple(claim.rule.words(findings))
        word = all_together(verdicts)
        if word == "holds" and len(findings) - verdicts.count("left out") < claim.parts:
            word = "undecided"
        rows.append(ClaimRow(claim.number, claim.statement, word, findings, verdicts, claim.how))
    return rows


def as_document(rows: Sequence[ClaimRow]) -> list[dict[str, Any]]:
    """Plain values for JSON."""
    return [asdict(row) for row in rows]


def finding_document(finding: Finding) -> Mapping[str, Any]:
    """Plain values of a finding, as :class:`~affect4d.experiments.evidence.Evidence` reads them."""
    return asdict(finding)
