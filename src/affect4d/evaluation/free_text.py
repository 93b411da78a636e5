"""Sentences that nothing trains on, about an expression without its word: ``free_text.csv``.

Half of them say only what the face does (``face``), half only in what situation it is shown (``situation``), ten of
each an expression.

How they are written:

1. One plain English sentence, as one person tells another who cannot see the face. No word for the emotion, and none
   of the vocabulary of ``affect4d/prompts``.
2. *face*: what brows, lids, nose, cheeks, lips and jaw do; nothing about causes. Nothing that these scans cannot show
   (tears, blushing, sweat, gestures). *situation*: what has happened, or what the person is about to do; nothing about
   the face. Another of the six expressions must not fit as well.
3. No pattern of a prompt: no template, no four words in a row of any prompt, caption or description of action units.
4. Best by somebody who has not read those. The author of these had.
5. No sentence is changed, added or left out after a model was scored with it.

Nothing that trains may import this module (``tests/evaluation/test_free_text.py``).
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, get_args

from affect4d.scans.expression import EXPRESSIONS

Kind = Literal["face", "situation"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FREE_TEXT_FILE = Path(__file__).with_name("free_text.csv")

Ensembles = Mapping[str, tuple[str, ...]]
"""Sentences of every expression, in the order of ``EXPRESSIONS``."""


def read_free_text(file: Path = FREE_TEXT_FILE) -> dict[Kind, Ensembles]:
    """Sentences by kind and expression."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {
        kind: {
            name: tuple(row["sentence"] for row in rows if (row["kind"], row["expression"]) == (kind, name))
            for name in EXPRESSIONS
        }
        for kind in KINDS
    }


FREE_TEXT_BY_KIND: Final[Mapping[Kind, Ensembles]] = read_free_text()
FREE_TEXT: Final[Ensembles] = {
    name: tuple(text for kind in KINDS for text in FREE_TEXT_BY_KIND[kind][name]) for name in EXPRESSIONS
}
"""Sentences of both kinds."""
