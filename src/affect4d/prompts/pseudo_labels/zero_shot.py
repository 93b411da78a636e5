"""The source ``zero_shot``: what a pretrained vision-language model says of the pictures, evened out over the emotions.

After MultiviewVLM (arXiv 2505.09336): prompt ensembles, balanced assignment, a confidence threshold. The similarities
come from :mod:`affect4d.pseudo_labels`; here they become findings, without a network and without a label.
"""

import numpy as np
import pandas as pd
from scipy.special import softmax

from affect4d.prompts.pseudo_labels.assignment import balancing_offsets, lead
from affect4d.prompts.pseudo_labels.options import PseudoLabelOptions
from affect4d.scans.expression import EXPRESSIONS


def zero_shot_findings(
    similarities: pd.DataFrame, train: pd.Series, scale: float, options: PseudoLabelOptions
) -> pd.DataFrame:
    """The emotion whose prompts fit each sequence best.

    Args:
        similarities: Cosine of each sequence (the index) with the prompt ensemble of each of ``EXPRESSIONS``.
        train: Whether each sequence is of a training subject; balance is fitted on those alone.
        scale: The model's factor on cosines.
        options: Whether to balance, and the confidence below which a sequence is left out.

    Returns:
        One row a sequence: :data:`affect4d.prompts.pseudo_labels.FINDING_COLUMNS`; confidence is the lead of the best
        probability over the second.

    Raises:
        ValueError: If no sequence is of a training subject, or none is sure enough.
    """
    if not train.any():
        raise ValueError("No sequence of a training subject has pictures: check the subject split.")
    logits = scale * similarities[list(EXPRESSIONS)].to_numpy()
    if options.balanced:
        logits = logits + balancing_offsets(logits[train.to_numpy()], temperature=1.0)
    confidence = lead(np.asarray(softmax(logits, axis=1)))
    emotion = np.array(EXPRESSIONS, dtype=object)[logits.argmax(axis=1)]
    found = pd.DataFrame(
        {
            "sequence": similarities.index,
            "pseudo_label": emotion,
            "confidence": confidence,
            "emotion": emotion,
            "actions": [()] * len(similarities),
        }
    )
    sure = found[confidence >= options.zero_shot.confidence].reset_index(drop=True)
    if sure.empty:
        raise ValueError(
            f"No sequence reaches a confidence of {options.zero_shot.confidence}, the highest is "
            f"{confidence.max():.3f}: lower pseudo_labels.zero_shot.confidence."
        )
    return sure
