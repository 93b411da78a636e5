"""Findings in words: whatever a source found of a sequence, as prompts that speak of the emotion and of the actions."""

from itertools import combinations
from typing import Any

import pandas as pd

from affect4d.prompts.compose import possible_prompts, sequence_generator
from affect4d.prompts.pseudo_labels.options import PseudoLabelOptions
from affect4d.prompts.templates import ACTION_TEMPLATES, EMOTION_ACTION_TEMPLATES, fill
from affect4d.prompts.vocabulary import ACTION_PHRASES, vocabulary_of

PSEUDO_PROMPT_COLUMNS = ("sequence", "prompt", "pseudo_label", "confidence", "source")
STILL_PROMPTS = ("a face at rest", "a still face", "a relaxed, neutral face", "a face without a clear movement")


def prompts_of(findings: pd.DataFrame, options: PseudoLabelOptions) -> pd.DataFrame:
    """Say in words what a source found.

    Args:
        findings: One row a sequence; see :data:`affect4d.prompts.pseudo_labels.FINDING_COLUMNS`.
        options: Source, number of prompts and seed of the draw; each sequence's draw depends on its name alone.

    Returns:
        One row a prompt: ``sequence``, ``prompt``, ``pseudo_label``, ``confidence``, ``source``.
    """
    rows = [
        (row.sequence, prompt, row.pseudo_label, row.confidence, options.source)
        for row in findings.itertuples()
        for prompt in _prompts_of(row, options)
    ]
    return pd.DataFrame(rows, columns=list(PSEUDO_PROMPT_COLUMNS))


def _prompts_of(row: Any, options: PseudoLabelOptions) -> list[str]:
    """Half about the emotion, half about the actions; all about the one where the other is missing."""
    rng = sequence_generator(options.seed, row.sequence)
    about_actions: list[str] = rng.permutation(_action_prompts(row.emotion, tuple(row.actions))).tolist()
    if not row.emotion:
        return about_actions[: options.prompts_per_sequence]
    about_emotion: list[str] = rng.permutation(possible_prompts(row.emotion)).tolist()
    half = options.prompts_per_sequence // 2 if about_actions else 0
    return [*about_emotion[: options.prompts_per_sequence - half], *about_actions[:half]]


def _action_prompts(emotion: str, actions: tuple[str, ...]) -> list[str]:
    """Every sentence about these actions, each once; with words of the emotion where they are typical of one."""
    if not actions:
        return [] if emotion else list(STILL_PROMPTS)
    words: dict[str, str] = {}
    if emotion:
        own = vocabulary_of(emotion)
        words = {"adjective": own.adjectives[0], "noun": own.nouns[0], "action": own.actions[0]}
    templates = (*ACTION_TEMPLATES, *(EMOTION_ACTION_TEMPLATES if emotion else ()))
    listings = _listings(actions)
    return [fill(template, {**words, "phrases": phrases}) for template in templates for phrases in listings]


def _listings(actions: tuple[str, ...]) -> list[str]:
    """The actions in words: all of them, and every pair; in a coder's first and second wording."""
    brows = ("AU1", "AU2")
    merged = tuple(dict.fromkeys("AU1+2" if set(brows) <= set(actions) and one in brows else one for one in actions))
    choices = [merged, *combinations(merged, 2)] if len(merged) > 2 else [merged]
    return [", ".join(ACTION_PHRASES[one][wording] for one in choice) for choice in choices for wording in (0, 1)]
