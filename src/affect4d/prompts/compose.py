"""Prompts of labelled sequences: AffectVLM's augmented textual prompts [summary].

Templates × words × given attributes; each sequence samples a few, so that the text encoder does not learn one sentence
an emotion.
"""

import zlib
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from affect4d.prompts.templates import BARE, PLAIN, TEMPLATES, fill, slots
from affect4d.prompts.vocabulary import age_words, gender_words, vocabulary_of
from affect4d.scans.expression import EXPRESSIONS, parse_expression

PROMPT_COLUMNS = ("sequence", "prompt", "expression", "source")


class PromptOptions(BaseModel):
    """Number and source of the prompts of a sequence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompts_per_sequence: int = Field(default=8, ge=1, le=64, description="most prompts of a sequence")
    seed: int = Field(default=0, ge=0, description="seed of the sample")
    augment: bool = Field(default=True, description="False: one bare prompt, the expression's own name")
    file: str | None = Field(default=None, description="CSV with columns expression, prompt: a prompt set of your own")


def compose_prompts(sequences: pd.DataFrame, options: PromptOptions) -> pd.DataFrame:
    """Prompts of every sequence, sampled by the seed and the sequence's name alone.

    Args:
        sequences: One row a sequence: ``sequence``, ``expression``, and ``gender``, ``age_group`` where given
            (null, or no such column, where not).

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
    """The prompt ensemble of one expression: no attributes, all words.

    Args:
        expression: One of ``EXPRESSIONS``.
        prompt_set: A set of your own, from :func:`read_prompt_set`.

    Raises:
        ValueError: If the expression is unknown.
    """
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
    """The prompt ensemble of each expression: those of the prompt file; else the project's own, or the bare one.

    Prediction uses the kind of prompts that training uses: where training has one bare prompt, so has prediction.

    Raises:
        FileNotFoundError: If the prompt file does not exist.
        ValueError: As :func:`read_prompt_set`.
    """
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
