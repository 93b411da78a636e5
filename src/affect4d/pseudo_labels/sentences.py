"""Prompts of a pseudo-label: sentences about the emotion and about the action units."""

from itertools import combinations
from typing import Any

import pandas as pd

from affect4d.prompts.compose import possible_prompts, sequence_generator
from affect4d.prompts.templates import ACTION_UNIT_TEMPLATES, EMOTION_ACTION_UNIT_TEMPLATES, fill
from affect4d.prompts.vocabulary import ACTION_UNIT_PHRASES, vocabulary_of
from affect4d.pseudo_labels.options import PseudoLabelOptions

PSEUDO_PROMPT_COLUMNS = ("sequence", "prompt", "pseudo_label", "confidence", "source")
STILL_PROMPTS = ("a face at rest", "a still face", "a relaxed, neutral face", "a face without a clear movement")


def write_sentences(pseudo_labels: pd.DataFrame, options: PseudoLabelOptions) -> pd.DataFrame:
    """Prompts of every pseudo-label, sampled by the seed and the sequence's name alone.

    Args:
        pseudo_labels: One row a sequence: ``PSEUDO_LABEL_COLUMNS``.

    Returns:
        One row a prompt: ``sequence``, ``prompt``, ``pseudo_label``, ``confidence``, ``source``.
    """
    rows = [
        (row.sequence, prompt, row.pseudo_label, row.confidence, options.source)
        for row in pseudo_labels.itertuples()
        for prompt in _sentences(row, options)
    ]
    return pd.DataFrame(rows, columns=list(PSEUDO_PROMPT_COLUMNS))


def _sentences(row: Any, options: PseudoLabelOptions) -> list[str]:
    """Half about the emotion, half about the AUs; all about the one where the other is missing."""
    rng = sequence_generator(options.seed, row.sequence)
    about_units: list[str] = rng.permutation(_action_unit_sentences(row.emotion, tuple(row.action_units))).tolist()
    if not row.emotion:
        return about_units[: options.prompts_per_sequence]
    about_emotion: list[str] = rng.permutation(possible_prompts(row.emotion)).tolist()
    half = options.prompts_per_sequence // 2 if about_units else 0
    return [*about_emotion[: options.prompts_per_sequence - half], *about_units[:half]]


def _action_unit_sentences(emotion: str, units: tuple[str, ...]) -> list[str]:
    """Every sentence about these AUs, with words of the emotion where they are typical of one."""
    if not units:
        return [] if emotion else list(STILL_PROMPTS)
    words: dict[str, str] = {}
    if emotion:
        own = vocabulary_of(emotion)
        words = {"adjective": own.adjectives[0], "noun": own.nouns[0], "action": own.actions[0]}
    templates = (*ACTION_UNIT_TEMPLATES, *(EMOTION_ACTION_UNIT_TEMPLATES if emotion else ()))
    lists = _phrase_lists(units)
    return [fill(template, {**words, "phrases": phrases}) for template in templates for phrases in lists]


def _phrase_lists(units: tuple[str, ...]) -> list[str]:
    """Phrases of all AUs and of every pair, in the first and the second wording."""
    brows = ("AU1", "AU2")
    merged = tuple(dict.fromkeys("AU1+2" if set(brows) <= set(units) and one in brows else one for one in units))
    choices = [merged, *combinations(merged, 2)] if len(merged) > 2 else [merged]
    return [", ".join(ACTION_UNIT_PHRASES[one][wording] for one in choice) for choice in choices for wording in (0, 1)]
