"""Prompts by the name of an expression: words, sentence templates, and AffectVLM's augmented prompts [summary].

Templates × words × given attributes; each sequence samples a few, so that the text encoder does not learn one sentence
an emotion. Gender and age group are written only where the corpus supplies them; they are never guessed from a face.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

from affect4d.scans.expression import EXPRESSIONS, parse_expression


@dataclass(frozen=True)
class Vocabulary:
    """Words for one expression, by their place in a sentence."""

    adjectives: tuple[str, ...]  # "an angry face"
    nouns: tuple[str, ...]  # "a face full of anger"; the first is the expression's own name
    actions: tuple[str, ...]  # "a person scowling"


VOCABULARY: Mapping[str, Vocabulary] = {
    "anger": Vocabulary(
        ("angry", "furious", "irritated", "enraged", "hostile", "annoyed"),
        ("anger", "rage", "fury", "irritation"),
        ("scowling", "glaring angrily", "frowning in anger"),
    ),
    "disgust": Vocabulary(
        ("disgusted", "repulsed", "revolted", "sickened", "nauseated", "grossed-out"),
        ("disgust", "revulsion", "repulsion", "aversion"),
        ("wrinkling the nose", "grimacing in disgust", "recoiling from a bad smell"),
    ),
    "fear": Vocabulary(
        ("fearful", "afraid", "scared", "frightened", "terrified", "anxious"),
        ("fear", "fright", "terror", "dread"),
        ("cowering", "staring in fear", "shrinking back in fright"),
    ),
    "happiness": Vocabulary(
        ("happy", "joyful", "cheerful", "delighted", "pleased", "glad"),
        ("happiness", "joy", "delight", "amusement"),
        ("smiling", "grinning", "laughing with joy"),
    ),
    "sadness": Vocabulary(
        ("sad", "sorrowful", "unhappy", "dejected", "gloomy", "downcast"),
        ("sadness", "sorrow", "grief", "misery"),
        ("pouting sadly", "close to tears", "grieving"),
    ),
    "surprise": Vocabulary(
        ("surprised", "astonished", "amazed", "startled", "stunned", "astounded"),
        ("surprise", "astonishment", "amazement", "wonder"),
        ("gasping", "gaping in surprise", "staring in amazement"),
    ),
}
"""Every expression of ``EXPRESSIONS``, with at least eight words each, no word twice."""

GENDER_WORDS: Mapping[str, tuple[str, ...]] = {
    "f": ("female", "woman"),
    "female": ("female", "woman"),
    "m": ("male", "man"),
    "male": ("male", "man"),
}
"""Spelling in a corpus, in lower case → the words a prompt may use."""

YOUNG, MIDDLE_AGED, OLDER = "young", "middle-aged", "older"
AGE_WORDS: tuple[str, ...] = (YOUNG, MIDDLE_AGED, OLDER)


def vocabulary_of(expression: str) -> Vocabulary:
    """The words for one expression; a ValueError if it is none of ``EXPRESSIONS``."""
    if expression not in VOCABULARY:
        raise ValueError(f"No words for the expression {expression!r}; known: {', '.join(EXPRESSIONS)}.")
    return VOCABULARY[expression]


def gender_words(gender: object) -> tuple[str, ...]:
    """Words for a gender *as given* by the corpus (``"F"``, ``"male"``); none for any other value."""
    return GENDER_WORDS.get(str(gender).strip().lower(), ())


def age_words(age_group: object) -> tuple[str, ...]:
    """Word for an age group *as given*: a range of years (``"18-30"``), its own word, or nothing.

    >>> age_words("18-30"), age_words("51-70"), age_words("older"), age_words(None)
    (('young',), ('older',), ('older',), ())
    """
    text = str(age_group).strip().lower()
    years = [int(part) for part in text.replace("+", "-").split("-") if part.isdigit()]
    if years:
        return (_age_word(sum(years) / len(years)),)
    return (text,) if text in AGE_WORDS else ()


def _age_word(years: float) -> str:
    if years < 35:
        return YOUNG
    return MIDDLE_AGED if years < 52 else OLDER


BARE = "a face showing {noun}"  # the only template of unaugmented prompts, filled with the expression's own name

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


def slots(template: str) -> frozenset[str]:
    """Names of the slots of a template."""
    return frozenset(name for _, name, _, _ in Formatter().parse(template) if name)


def fill(template: str, words: Mapping[str, str]) -> str:
    """Fill the slots and correct "a" and "an".

    >>> fill("a {adjective} {gender}", {"adjective": "angry", "gender": "woman"})
    'an angry woman'
    """
    filled = template.format(**words)
    return re.sub(r"\b([Aa])n? (?=([a-z0-9]))", lambda match: match[1] + ("n " if match[2] in "aeiou" else " "), filled)


PROMPT_COLUMNS = ("sequence", "prompt", "expression", "source")


class PromptOptions(BaseModel, frozen=True, extra="forbid"):
    """Number and source of the prompts of a sequence."""

    prompts_per_sequence: int = Field(default=8, ge=1, le=64, description="most prompts of a sequence")
    seed: int = Field(default=0, ge=0, description="seed of the sample")
    augment: bool = Field(default=True, description="False: one bare prompt, the expression's own name")
    captions: float = Field(
        default=0.5, ge=0.0, le=1.0, description="share of captions of action units, where a corpus codes them"
    )
    file: str | None = Field(default=None, description="CSV with columns expression, prompt: a prompt set of your own")


def compose_prompts(sequences: pd.DataFrame, options: PromptOptions) -> pd.DataFrame:
    """Prompts of every sequence, sampled by the seed and the sequence's name alone.

    Args:
        sequences: One row a sequence: ``sequence``, ``expression``, and ``gender``, ``age_group`` where given.

    Returns:
        One row a prompt: ``sequence``, ``prompt``, ``expression``, ``source`` ("template", "bare" or "file"). No prompt
        occurs twice in a sequence; there are fewer where a prompt file has fewer.

    Raises:
        ValueError: If an expression is unknown, or the prompt file lacks one.
    """
    prompt_set = custom_prompts(options)
    rows = [
        (row["sequence"], prompt, row["expression"], source)
        for row in sequences.to_dict("records")
        for prompt, source in _prompts_of(row, options, prompt_set)
    ]
    return pd.DataFrame(rows, columns=list(PROMPT_COLUMNS))


def class_prompts(expression: str, prompt_set: Mapping[str, Sequence[str]] | None = None) -> tuple[str, ...]:
    """The prompt ensemble of one expression: no attributes, all words; or that of a prompt set. ValueError: unknown."""
    vocabulary = vocabulary_of(expression)
    if prompt_set is not None:
        return tuple(prompt_set[expression])
    words = {
        "adjective": cycle(vocabulary.adjectives),
        "noun": cycle(vocabulary.nouns),
        "action": cycle(vocabulary.actions),
    }
    return tuple(fill(template, {slot: next(words[slot]) for slot in slots(template)}) for template in PLAIN)


def prompt_ensembles(options: PromptOptions) -> dict[str, tuple[str, ...]]:
    """Each expression's prompt ensemble, of the kind that training uses: of the prompt file, the project's, or bare."""
    prompt_set = custom_prompts(options)
    if prompt_set is None and not options.augment:
        return {expression: (_bare(expression),) for expression in EXPRESSIONS}
    return {expression: class_prompts(expression, prompt_set) for expression in EXPRESSIONS}


def custom_prompts(options: PromptOptions) -> dict[str, tuple[str, ...]] | None:
    """Content of the prompt file; None without one. Part of every cache key: a file may change under its name."""
    return read_prompt_set(Path(options.file)) if options.file else None


def read_prompt_set(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a prompt file: CSV with columns ``expression`` and ``prompt``, any spelling of the expressions.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, an expression is unknown, a prompt is empty, or an expression has no prompt.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no prompt file {path}; it is a CSV with the columns expression and prompt.")
    table = pd.read_csv(path, dtype=str)
    if not {"expression", "prompt"} <= set(table.columns):
        raise ValueError(f"{path} has the columns {list(table.columns)}; it needs expression and prompt.")
    if table[["expression", "prompt"]].isna().any(axis=None) or (table["prompt"].str.strip() == "").any():
        raise ValueError(f"{path} has a row without an expression or without a prompt.")
    prompts = table["prompt"].str.strip().groupby(table["expression"].map(parse_expression)).unique()
    missing = [expression for expression in EXPRESSIONS if expression not in prompts.index]
    if missing:
        raise ValueError(f"{path} has no prompt for {', '.join(missing)}; every expression needs at least one.")
    return {expression: tuple(prompts[expression]) for expression in EXPRESSIONS}


def sequence_generator(seed: int, sequence: str) -> np.random.Generator:
    """Random generator of one sequence, independent of other sequences and their order."""
    return np.random.default_rng([seed, zlib.crc32(sequence.encode())])


def _prompts_of(
    row: Mapping[Any, Any], options: PromptOptions, prompt_set: Mapping[str, Sequence[str]] | None
) -> list[tuple[str, str]]:
    expression = str(row["expression"])
    if prompt_set is not None:
        candidates, source = list(prompt_set[expression]), "file"
    elif options.augment:
        candidates, source = possible_prompts(expression, row.get("gender"), row.get("age_group")), "template"
    else:
        return [(_bare(expression), "bare")]
    rng = sequence_generator(options.seed, str(row["sequence"]))
    chosen = rng.permutation(len(candidates))[: options.prompts_per_sequence]
    return [(candidates[index], source) for index in chosen]


def _bare(expression: str) -> str:
    return fill(BARE, {"noun": vocabulary_of(expression).nouns[0]})


def possible_prompts(expression: str, gender: object = None, age_group: object = None) -> list[str]:
    """Every prompt of one expression and the given attributes; each once."""
    vocabulary = vocabulary_of(expression)
    words = {
        "adjective": vocabulary.adjectives,
        "noun": vocabulary.nouns,
        "action": vocabulary.actions,
        "gender": gender_words(gender),
        "age_group": age_words(age_group),
    }
    prompts = [prompt for template in TEMPLATES for prompt in _fillings(template, words)]
    return list(dict.fromkeys(prompts))


def _fillings(template: str, words: Mapping[str, Sequence[str]]) -> list[str]:
    """The template with every combination of words for its slots; none where a slot has no word."""
    filled: list[dict[str, str]] = [{}]
    for slot in sorted(slots(template)):
        filled = [{**chosen, slot: word} for chosen in filled for word in words[slot]]
    return [fill(template, chosen) for chosen in filled]
