"""Pseudo-labeled prompts from one of three sources, behind one function: unlabelled scans in, prompts out."""

from collections.abc import Callable, Sequence
from typing import TypeAlias, get_args

import pandas as pd

from affect4d.pseudo_labels.clusters import label_by_clusters
from affect4d.pseudo_labels.options import PseudoLabelOptions, PseudoLabelSource
from affect4d.pseudo_labels.rules import label_by_geometry, measured_by_rules, refuse_labels, subject_of
from affect4d.pseudo_labels.sentences import write_sentences
from affect4d.pseudo_labels.zero_shot import label_by_similarity

SOURCES: tuple[PseudoLabelSource, ...] = get_args(PseudoLabelSource)

Similarities: TypeAlias = Callable[[], tuple[pd.DataFrame, float]]
"""Cosine of every sequence (the index) with every expression's prompts, and the model's factor on cosines."""


def write_pseudo_prompts(
    scans: pd.DataFrame,
    train: Sequence[str],
    options: PseudoLabelOptions,
    similarities: Similarities | None = None,
) -> pd.DataFrame:
    """Pseudo-labeled prompts of every sequence.

    Args:
        scans: One row a scan: ``sequence``, ``subject``, ``frame``, ``landmarks``; it must not hold labels.
        similarities: Called for the source ``zero_shot`` alone.

    Returns:
        One row a prompt: ``sequence``, ``prompt``, ``pseudo_label`` (an expression, or a pattern as in "AU1+AU4"),
        ``confidence`` (0…1, see the source), ``source``. Sequences without a pseudo-label have no row;
        ``attrs["unmeasured"]`` lists them.

    Raises:
        ValueError: If the table has a label column, or a source lacks what it needs; the message names the remedy.
    """
    refuse_labels(scans)
    table = write_sentences(_labelled(scans, train, options, similarities), options)
    named = set(table["sequence"])
    table.attrs["unmeasured"] = [name for name in subject_of(scans).index if name not in named]
    return table


def _labelled(
    scans: pd.DataFrame, train: Sequence[str], options: PseudoLabelOptions, similarities: Similarities | None
) -> pd.DataFrame:
    """``PSEUDO_LABEL_COLUMNS`` of every sequence, by the source of the options."""
    if options.source == "geometry":
        return label_by_geometry(scans, train, options)
    in_training = subject_of(scans).isin(list(train))
    if options.source == "cluster":
        rules, scores = measured_by_rules(scans, train, options)
        return label_by_clusters(scores, in_training[scores.index], rules, scores, options)
    if similarities is None:
        raise ValueError("The source zero_shot needs the similarities of a pretrained model.")
    cosines, scale = similarities()
    return label_by_similarity(cosines, in_training[cosines.index], scale, options)
