"""Facial actions as corpora write them (``6+12``, ``L14``, ``AU4(k)``, ``A12A15``), in one spelling."""

import re
from collections.abc import Iterable

from affect4d.scans.expression import LABEL_JOINT

_ACTION = re.compile(
    r"(?P<before>[LR])?\s*A?U?\s*(?P<number>\d{1,2})\s*(?P<after>[LR](?!W|A?U?\d))?(?:[A-E](?![A-Z\d]))?\s*(?P<static>\(K\))?"
)


def parse_actions(text: str) -> str:
    """Actions in the manifest's spelling: ``AU4(k)+AU12_L``, by number, each once.

    A side is kept as the corpus gives it; an intensity letter (``12B``) is dropped; ``(k)`` marks an action that is
    held and does not move (4DME).

    >>> parse_actions("12, L1 + AU4(k)")
    'AU1_L+AU4(k)+AU12'
    """
    found = {_key(match) for match in _ACTION.finditer(text.upper().replace("，", ","))}
    return join_actions(sorted(found))


def join_actions(actions: Iterable[tuple[int, str, bool]]) -> str:
    """Actions given as number, side (``"L"``, ``"R"`` or ``""``) and whether held, as one cell of the manifest."""
    return LABEL_JOINT.join(
        f"AU{number}{f'_{side}' if side else ''}{'(k)' if held else ''}" for number, side, held in actions
    )


def _key(match: re.Match[str]) -> tuple[int, str, bool]:
    return int(match["number"]), match["before"] or match["after"] or "", match["static"] is not None
