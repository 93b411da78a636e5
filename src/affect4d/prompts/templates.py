"""Sentence templates, and filling them.

Slots: ``{adjective}``, ``{noun}`` or ``{action}`` (exactly one of them), ``{age_group}``, ``{gender}``. A template with
an attribute slot is used only for a subject whose corpus supplies that attribute.
"""

import re
from collections.abc import Mapping
from string import Formatter

BARE = "a face showing {noun}"
"""The only template of unaugmented prompts, filled with the expression's own name."""

PLAIN: tuple[str, ...] = (
    BARE,
    "a {adjective} face",
    "a {adjective} expression",
    "a person looking {adjective}",
    "a 3D scan of a {adjective} face",
    "a face expressing {noun}",
    "a facial expression of {noun}",
    "a person feeling {noun}",
    "a person {action}",
    "someone {action}",
    "the face of a person {action}",
    "a rendered face with a {adjective} look",
    "the look of {noun} on a face",
    "a face full of {noun}",
    "this person is {adjective}",
    "this person appears {adjective}",
    "a portrait of a person {action}",
    "a human face at the height of {noun}",
    "a clear display of {noun}",
    "a face that turns {adjective}",
    "an unmistakably {adjective} face",
    "a close view of someone {action}",
)
"""Templates without attributes, also of the prompt ensembles."""

WITH_GENDER: tuple[str, ...] = (
    "a {adjective} {gender}",
    "a {gender} {action}",
    "a {adjective} expression of a {gender}",
    "the face of a {gender} feeling {noun}",
)
WITH_AGE_GROUP: tuple[str, ...] = (
    "a {age_group} person {action}",
    "a {adjective} {age_group} person",
    "an expression of {noun} on the face of a {age_group} person",
)
WITH_BOTH: tuple[str, ...] = (
    "a {adjective} expression of a {age_group} {gender}",
    "a {age_group} {gender} {action}",
    "a {age_group} {gender} showing {noun}",
    "a {adjective} {age_group} {gender}",
    "the face of a {age_group} {gender} looking {adjective}",
    "a 3D scan of a {age_group} {gender} expressing {noun}",
)
"""The paper's own kind: "a joyful expression of a young female", "an older male smiling" (arXiv 2504.19739)."""

TEMPLATES: tuple[str, ...] = (*PLAIN, *WITH_GENDER, *WITH_AGE_GROUP, *WITH_BOTH)

ACTION_UNIT_TEMPLATES: tuple[str, ...] = (
    "a face with {phrases}",
    "{phrases}",
    "a person whose face shows {phrases}",
    "a facial expression with {phrases}",
)
"""Templates for a list of action-unit phrases."""
EMOTION_ACTION_UNIT_TEMPLATES: tuple[str, ...] = (
    "a {adjective} face with {phrases}",
    "an expression of {noun}: {phrases}",
    "a person {action}, {phrases}",
)
"""Templates for a list of action-unit phrases that is typical of an expression."""


def slots(template: str) -> frozenset[str]:
    """Names of the slots of a template.

    >>> sorted(slots("a {adjective} {gender}"))
    ['adjective', 'gender']
    """
    return frozenset(name for _, name, _, _ in Formatter().parse(template) if name)


def fill(template: str, words: Mapping[str, str]) -> str:
    """Fill the slots and correct "a" and "an".

    >>> fill("a {adjective} {gender}", {"adjective": "angry", "gender": "woman"})
    'an angry woman'
    """
    return re.sub(r"\b([Aa])n? (?=([a-z0-9]))", _article, template.format(**words))


def _article(match: re.Match[str]) -> str:
    vowel = match.group(2) in "aeiou"
    return f"{match.group(1)}n " if vowel else f"{match.group(1)} "
