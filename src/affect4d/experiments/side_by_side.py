"""The claims as several corpora answer them: one row a claim, one column a corpus."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from affect4d.experiments.claims import CLAIMS

NO_ANSWER = "–"


@dataclass(frozen=True)
class Answered:
    """A corpus whose report answered the claims.

    Attributes:
        corpus: Its name.
        day: When its report was made.
    """

    corpus: str
    day: str


@dataclass(frozen=True)
class SideBySide:
    """Verdicts of several corpora; each is its own, none is about all of them together.

    Attributes:
        corpora: Sorted by name.
        rows: Number, statement, and a verdict for each corpus.
    """

    corpora: tuple[Answered, ...]
    rows: tuple[tuple[int, str, tuple[str, ...]], ...]


def side_by_side(answers: Mapping[str, Mapping[str, Any]]) -> SideBySide:
    """Put answers beside each other.

    Args:
        answers: Of each corpus, ``day`` and ``claims``, see :func:`affect4d.experiments.claims.as_document`.
    """
    names = sorted(answers)
    verdicts = [_verdicts(answers[name]["claims"]) for name in names]
    return SideBySide(
        corpora=tuple(Answered(name, answers[name]["day"]) for name in names),
        rows=tuple(
            (claim.number, claim.statement, tuple(found.get(claim.number, NO_ANSWER) for found in verdicts))
            for claim in CLAIMS
        ),
    )


def _verdicts(claims: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    return {row["number"]: row["verdict"] for row in claims}
