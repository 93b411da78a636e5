"""Captions: sentences about what a face does, by its action units with side and strength, in several wordings."""

import csv
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from affect4d.prompts.emotion_prompts import (
    PROMPT_COLUMNS,
    PromptOptions,
    fill,
    sequence_generator,
    slots,
    vocabulary_of,
)
from affect4d.scans.action_unit_truth import PRESENT
from affect4d.store import file_digest

CAPTION = "caption"  # source of a prompt in tables
WORDINGS_FILE = Path(__file__).with_name("action_unit_wordings.csv")
ABSENT = 0.05  # strength below which a unit may be said not to be shown
WEAK, STRONG = 0.35, 0.7  # strengths below and above which a word for it may be added
WEAKLY: tuple[str, ...] = ("", " slightly", " a little", " faintly")
STRONGLY: tuple[str, ...] = ("", " strongly", " clearly", " markedly")
UNEVEN = 0.3  # difference of the two sides from which the stronger side alone is described
MOST_DESCRIBED = 3  # units in one caption
LONGEST = 20  # words, so that the 32 tokens of the compact text encoder suffice
NEGATED = 0.125  # share of captions that also say what is not shown
ATTEMPTS = 4  # draws for each caption that is wanted; repeated ones are dropped

TEMPLATES: tuple[str, ...] = (
    "{clauses}",
    "a face in which {clauses}",
    "in this face, {clauses}",
    "a person's face: {clauses}",
    "a scan which shows that {clauses}",
    "here {clauses}",
    "on the face of this person, {clauses}",
    "what moves: {clauses}",
    "one can see that {clauses}",
    "compared with rest, {clauses}",
    "a facial movement: {clauses}",
    "this 3D scan shows how {clauses}",
    "the face changes: {clauses}",
    "a head whose face has moved: {clauses}",
    "at this moment {clauses}",
    "a portrait in which {clauses}",
    "it can be seen that {clauses}",
    "a close view: {clauses}",
    "on this scan, {clauses}",
    "the features have moved so that {clauses}",
    "seen from the front, {clauses}",
    "a description of the face: {clauses}",
    "the muscles act so that {clauses}",
    "in this rendering {clauses}",
    "the person's features: {clauses}",
    "a human face, and {clauses}",
    "look: {clauses}",
    "a still of a face where {clauses}",
    "a face, {clauses}",
    "an observer notes that {clauses}",
)
EMOTION_TEMPLATES: tuple[str, ...] = (
    "a {adjective} face in which {clauses}",
    "an expression of {noun}: {clauses}",
    "a person {action}: {clauses}",
    "a look of {noun}, as {clauses}",
    "this person is {adjective}: {clauses}",
)
"""Templates of captions that also name the expression: half of those whose expression is known."""


class Wording(NamedTuple):
    """A clause about one unit, with a slot ``how`` for its strength."""

    both: str
    one: str  # with a slot ``side``; empty for units without sides


@dataclass(frozen=True, slots=True)
class ShownUnit:
    """An action unit that a face shows."""

    unit: str  # "AU12"
    side: str = ""  # "left" or "right", the subject's; "": both, or a unit without sides
    strength: float | None = None  # 0…1; None: not known


@functools.cache
def wordings() -> Mapping[str, tuple[Wording, ...]]:
    """Wordings by unit; ``AU1+2`` stands for the whole brow."""
    found: dict[str, tuple[Wording, ...]] = {}
    with WORDINGS_FILE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            found[row["unit"]] = (*found.get(row["unit"], ()), Wording(row["both"], row["one"]))
    return found


def wordings_digest() -> str:
    """Digest of the wordings; part of every cache key of captions."""
    return file_digest(WORDINGS_FILE)


def shown_units(strengths: Mapping[str, float]) -> tuple[ShownUnit, ...]:
    """The units of at least :data:`PRESENT`, strongest first.

    Args:
        strengths: 0…1, of units as in :mod:`affect4d.scans.action_unit_truth`; NaN where one is not coded. Of units
            that are coded as shown or not, 1 or 0, the strength is not known.

    >>> shown_units({"AU12_l": 0.9, "AU12_r": 0.8, "AU02_l": 0.6, "AU02_r": 0.0, "AU26": 0.1})
    (ShownUnit(unit='AU12', side='', strength=0.85), ShownUnit(unit='AU2', side='left', strength=0.6))
    """
    found = [_of_sides(unit, known) for unit, known in _by_unit(strengths).items()]
    shown = [one for one in found if one.strength is not None and one.strength >= PRESENT]
    if all(strength in (0.0, 1.0) or np.isnan(strength) for strength in strengths.values()):
        return tuple(replace(one, strength=None) for one in shown)
    return tuple(sorted(shown, key=lambda one: -(one.strength or 0.0)))


def _by_unit(strengths: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Strengths of each unit that has wordings, by side: "l", "r", or "" of a unit without sides."""
    found: dict[str, dict[str, float]] = {}
    for name, strength in strengths.items():
        number, _, side = name.removeprefix("AU").partition("_")
        found.setdefault(f"AU{int(number)}", {})[side] = strength
    return {unit: known for unit, known in found.items() if unit in wordings()}


def _of_sides(unit: str, known: Mapping[str, float]) -> ShownUnit:
    coded = {side: strength for side, strength in known.items() if not np.isnan(strength)}
    if not coded or not wordings()[unit][0].one or "" in coded:
        return ShownUnit(unit, "", max(coded.values(), default=np.nan))
    left, right = coded.get("l", 0.0), coded.get("r", 0.0)
    if abs(left - right) >= UNEVEN:
        return ShownUnit(unit, "left" if left > right else "right", max(left, right))
    return ShownUnit(unit, "", (left + right) / 2)


def absent_units(strengths: Mapping[str, float]) -> tuple[str, ...]:
    """Units that are coded and below :data:`ABSENT` on every side; not AU25, parted lips, where the jaw has dropped."""
    units = _by_unit(strengths)
    absent = [unit for unit, known in units.items() if all(one < ABSENT for one in known.values())]
    jaw_dropped = max(units.get("AU26", {}).values(), default=0.0) >= PRESENT
    return tuple(unit for unit in absent if not (unit == "AU25" and jaw_dropped))


def compose_captions(
    shown: Sequence[ShownUnit],
    count: int,
    generator: np.random.Generator,
    expression: str | None = None,
    absent: Sequence[str] = (),
) -> list[str]:
    """Distinct captions of a face, at most ``count``; none where it shows nothing.

    Args:
        expression: Named by half of the captions, if known.
        absent: Units of which some captions say that they are not shown.
    """
    if not shown:
        return []
    drawn = (_caption(shown, generator, expression, absent) for _ in range(ATTEMPTS * count))
    return list(islice((text for text in dict.fromkeys(drawn) if len(text.split()) <= LONGEST), count))


def with_captions(prompts: pd.DataFrame, strengths: pd.DataFrame, options: PromptOptions) -> pd.DataFrame:
    """Prompts of sequences, a share of them replaced by captions of what the face does, sampled by seed and name.

    Args:
        prompts: As of :func:`~affect4d.prompts.emotion_prompts.compose_prompts`; only those of its templates give way.
        strengths: 0…1, a row a sequence and a column a unit; NaN where one is not coded.

    Returns:
        The same columns; the source of a caption is "caption".
    """
    known_of = dict(zip(strengths.index, strengths.to_dict("records"), strict=True))
    wanted = round(options.captions * options.prompts_per_sequence)
    rows: list[tuple[str, ...]] = []
    for sequence, given in prompts.groupby("sequence", sort=False):
        captions: list[str] = []
        expression = str(given["expression"].iloc[0])
        if sequence in known_of and given["source"].iloc[0] == "template":
            known = {str(unit): float(strength) for unit, strength in known_of[sequence].items()}
            generator = sequence_generator(options.seed, f"caption {sequence}")
            captions = compose_captions(shown_units(known), wanted, generator, expression, absent_units(known))
        kept = given.iloc[: options.prompts_per_sequence - len(captions)]
        rows += kept[list(PROMPT_COLUMNS)].itertuples(index=False, name=None)
        rows += [(str(sequence), caption, expression, CAPTION) for caption in captions]
    return pd.DataFrame(rows, columns=list(PROMPT_COLUMNS))


def swap_sides(caption: str) -> str:
    """The caption of the mirror image.

    >>> swap_sides("the left brow is raised and the upper lip is raised on the right")
    'the right brow is raised and the upper lip is raised on the left'
    """
    return re.sub(r"\b(left|right)\b", lambda side: "left" if side[0] == "right" else "right", caption)


def _caption(
    shown: Sequence[ShownUnit], generator: np.random.Generator, expression: str | None, absent: Sequence[str]
) -> str:
    described = generator.permutation(len(shown))[: generator.integers(1, MOST_DESCRIBED + 1)]
    clauses = [_clause(one, generator) for one in _with_whole_brow([shown[place] for place in sorted(described)])]
    if absent and generator.random() < NEGATED:
        negated = list(denials(absent))
        clauses += [negated[generator.integers(len(negated))]] if negated else []
    words = {"clauses": _listed(clauses)}
    templates = TEMPLATES
    if expression is not None and generator.random() < 0.5:
        own, templates = vocabulary_of(expression), EMOTION_TEMPLATES
        kinds = {"adjective": own.adjectives, "noun": own.nouns, "action": own.actions}
        words |= {kind: of[generator.integers(len(of))] for kind, of in kinds.items()}
    template = templates[generator.integers(len(templates))]
    return fill(template, {name: words[name] for name in slots(template)})


def _with_whole_brow(shown: Sequence[ShownUnit]) -> list[ShownUnit]:
    """The units, AU1 and AU2 of one side as one, as strong as the weaker."""
    brow = [one for one in shown if one.unit in ("AU1", "AU2")]
    if len(brow) < 2 or brow[0].side != brow[1].side:
        return list(shown)
    known = [one.strength for one in brow if one.strength is not None]
    whole = ShownUnit("AU1+2", brow[0].side, min(known) if len(known) == 2 else None)
    return [whole, *(one for one in shown if one not in brow)]


def _clause(one: ShownUnit, generator: np.random.Generator) -> str:
    known = wordings()[one.unit]
    wording = known[generator.integers(len(known))]
    degrees: tuple[str, ...] = ("",)
    if one.strength is not None:
        degrees = WEAKLY if one.strength < WEAK else STRONGLY if one.strength > STRONG else degrees
    how = degrees[generator.integers(len(degrees))]
    return (wording.one if one.side else wording.both).format(side=one.side, how=how)


def denials(absent: Sequence[str]) -> Iterator[str]:
    """What is not shown ("the lips are not parted"), by the wordings with a form of *to be*."""
    for unit in absent:
        for wording in wordings()[unit]:
            for verb in (" is ", " are "):
                if verb in wording.both:
                    yield wording.both.format(how="").replace(verb, f"{verb}not ", 1)


def unit_sentences(unit: str) -> list[str]:
    """Sentences that a unit is shown, without its strength; none for a unit without wordings.

    >>> unit_sentences("AU12_l")[0], unit_sentences("AU25")[0]
    ('the left lip corner is pulled up', 'the lips are parted')
    """
    number, _, side = unit.removeprefix("AU").partition("_")
    side = {"l": "left", "r": "right"}.get(side, "")
    known = wordings().get(f"AU{int(number)}", ())
    return [(one.one if side else one.both).format(side=side, how="") for one in known]


def _listed(clauses: Sequence[str]) -> str:
    """Clauses as one.

    >>> _listed(["the jaw has dropped", "the lips are parted", "the nose is wrinkled"])
    'the jaw has dropped, the lips are parted and the nose is wrinkled'
    """
    return clauses[0] if len(clauses) == 1 else f"{', '.join(clauses[:-1])} and {clauses[-1]}"
