"""Pseudo-labels by a pretrained vision-language model, class-balanced over the emotions.

After MultiviewVLM (arXiv 2505.09336): prompt ensembles, balanced assignment, a confidence threshold. The similarities
come from :func:`affect4d.evaluation.prompt_similarity.prompt_similarities`.
"""

import numpy as np
import pandas as pd
from scipy.special import softmax

from affect4d.pseudo_labels.options import PseudoLabelOptions
from affect4d.pseudo_labels.sinkhorn import balancing_offsets, top_margin
from affect4d.scans.expression import EXPRESSIONS


def label_by_similarity(
    similarities: pd.DataFrame, train: pd.Series, scale: float, options: PseudoLabelOptions
) -> pd.DataFrame:
    """The emotion whose prompts fit each sequence best.

    Args:
        similarities: Cosine of each sequence (the index) with the prompt ensemble of each of ``EXPRESSIONS``.
        train: True where a sequence is of a training subject; balance is fitted on those alone.

    Returns:
        One row a sequence: ``PSEUDO_LABEL_COLUMNS``; confidence is the margin of the best probability over the second.

    Raises:
        ValueError: If no sequence is of a training subject, or none reaches the confidence.
    """
    if not train.any():
        raise ValueError("No sequence of a training subject has images: check the subject split.")
    logits = scale * similarities[list(EXPRESSIONS)].to_numpy()
    if options.balanced:
        logits = logits + balancing_offsets(logits[train.to_numpy()], temperature=1.0)
    confidence = top_margin(np.asarray(softmax(logits, axis=1)))
    emotion = np.array(EXPRESSIONS, dtype=object)[logits.argmax(axis=1)]
    found = pd.DataFrame(
        {
            "sequence": similarities.index,
            "pseudo_label": emotion,
            "confidence": confidence,
            "emotion": emotion,
            "action_units": [()] * len(similarities),
        }
    )
    confident = found[confidence >= options.zero_shot.confidence].reset_index(drop=True)
    if confident.empty:
        raise ValueError(
            f"No sequence reaches a confidence of {options.zero_shot.confidence}, the highest is "
            f"{confidence.max():.3f}: lower pseudo_labels.zero_shot.confidence."
        )
    return confident
