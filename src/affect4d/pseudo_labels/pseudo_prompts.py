"""Pseudo-labeled prompts from one of four sources, behind one function: unlabelled scans in, prompts out."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, get_args

import pandas as pd

from affect4d.prompts.action_unit_captions import ShownUnit, compose_captions
from affect4d.prompts.emotion_prompts import possible_prompts, sequence_generator
from affect4d.pseudo_labels.action_units_and_emotion_prototypes import describe_patterns
from affect4d.pseudo_labels.clusters_and_zero_shot import label_by_clusters, label_by_similarity
from affect4d.pseudo_labels.landmark_pseudo_labels import (
    label_by_geometry,
    measured_by_blendshapes,
    measured_by_rules,
    subject_of,
)
from affect4d.pseudo_labels.options import PseudoLabelOptions, PseudoLabelSource, refuse_labels

PSEUDO_PROMPT_COLUMNS = ("sequence", "prompt", "pseudo_label", "confidence", "source")
STILL_PROMPTS = ("a face at rest", "a still face", "a relaxed, neutral face", "a face without a clear movement")


def write_sentences(pseudo_labels: pd.DataFrame, options: PseudoLabelOptions) -> pd.DataFrame:
    """Prompts (``PSEUDO_PROMPT_COLUMNS``) of every pseudo-label, sampled by the seed and the sequence's name alone."""
    rows = [
        (row.sequence, prompt, row.pseudo_label, row.confidence, options.source)
        for row in pseudo_labels.itertuples()
        for prompt in _sentences(row, options)
    ]
    return pd.DataFrame(rows, columns=list(PSEUDO_PROMPT_COLUMNS))


def _sentences(row: Any, options: PseudoLabelOptions) -> list[str]:
    """Half about the emotion, half about the AUs; all about the one where the other is missing."""
    rng = sequence_generator(options.seed, row.sequence)
    units = tuple(ShownUnit(unit) for unit in row.action_units)
    if not row.emotion:
        written = compose_captions(units, options.prompts_per_sequence, rng)
        return written or rng.permutation(STILL_PROMPTS).tolist()[: options.prompts_per_sequence]
    about_units = compose_captions(units, options.prompts_per_sequence // 2, rng, row.emotion)
    about_emotion: list[str] = rng.permutation(possible_prompts(row.emotion)).tolist()
    return [*about_emotion[: options.prompts_per_sequence - len(about_units)], *about_units]


SOURCES: tuple[PseudoLabelSource, ...] = get_args(PseudoLabelSource)

BlendshapeScores: TypeAlias = Callable[[], pd.DataFrame]
"""Blendshape scores: ``sequence``, ``frame``, one column a blendshape."""
Similarities: TypeAlias = Callable[[], tuple[pd.DataFrame, float]]
"""Cosine of every sequence (the index) with every expression's prompts, and the model's factor on cosines."""


def write_pseudo_prompts(
    scans: pd.DataFrame,
    train: Sequence[str],
    options: PseudoLabelOptions,
    similarities: Similarities | None = None,
    blendshapes: BlendshapeScores | None = None,
) -> pd.DataFrame:
    """Pseudo-labeled prompts of every sequence.

    Args:
        scans: One row a scan: ``sequence``, ``subject``, ``frame``, ``landmarks``; it must not hold labels.
        similarities: Called for the source ``zero_shot`` alone.
        blendshapes: Called for the source ``blendshapes`` alone.

    Returns:
        One row a prompt: ``PSEUDO_PROMPT_COLUMNS``. Sequences without a pseudo-label have no row;
        ``attrs["unmeasured"]`` lists them.

    Raises:
        ValueError: If the table has a label column, or a source lacks what it needs; the message names the remedy.
    """
    refuse_labels(scans.columns)
    table = write_sentences(_labelled(scans, train, options, similarities, blendshapes), options)
    named = set(table["sequence"])
    table.attrs["unmeasured"] = [name for name in subject_of(scans).index if name not in named]
    return table


def _labelled(
    scans: pd.DataFrame,
    train: Sequence[str],
    options: PseudoLabelOptions,
    similarities: Similarities | None,
    blendshapes: BlendshapeScores | None,
) -> pd.DataFrame:
    if options.source == "geometry":
        return label_by_geometry(scans, train, options)
    if options.source == "blendshapes":
        if blendshapes is None:
            raise ValueError("The source blendshapes needs blendshape scores, which studies do not compute.")
        rules, scores = measured_by_blendshapes(blendshapes(), subject_of(scans), train, options)
        return describe_patterns(scores, rules.emotions(scores), options)
    in_training = subject_of(scans).isin(list(train))
    if options.source == "cluster":
        rules, scores = measured_by_rules(scans, train, options)
        return label_by_clusters(scores, in_training[scores.index], rules, scores, options)
    if similarities is None:
        raise ValueError("The source zero_shot needs the similarities of a pretrained model.")
    cosines, scale = similarities()
    return label_by_similarity(cosines, in_training[cosines.index], scale, options)
