"""What moved, named: the facial actions a coder would write down, and the emotion they are typical of, if any."""

import numpy as np
import pandas as pd

from affect4d.prompts.action_coding import action_scores
from affect4d.prompts.pseudo_labels.assignment import lead
from affect4d.prompts.pseudo_labels.options import PseudoLabelOptions

FINDING_COLUMNS = ("sequence", "pseudo_label", "confidence", "emotion", "actions")
"""What every source says of a sequence: its pseudo-label (an emotion, or a pattern as in "AU1+AU4"); how sure it is,
0…1; the emotion ("" where it names none); and the names of the facial actions, strongest first."""

STILL = "still"
"""The pseudo-label of a sequence in which no action stands out."""
NOT_TOGETHER: frozenset[frozenset[str]] = frozenset(
    frozenset(pair)
    for pair in (
        ("AU6", "AU7"),  # two names for a raised lower lid
        ("AU12", "AU15"),
        ("AU12", "AU18"),
        ("AU18", "AU20"),
        ("AU17", "AU25"),
        ("AU17", "AU26"),
        ("AU24", "AU25"),
        ("AU24", "AU26"),
    )
)
"""Actions one description does not name together: opposites, and two names for one movement."""


def name_patterns(scores: pd.DataFrame, emotions: pd.DataFrame, options: PseudoLabelOptions) -> pd.DataFrame:
    """Name the actions of every pattern, and the emotion they are typical of.

    Args:
        scores: One row a sequence (the index), one column a measurement, −1…1.
        emotions: How well each fits each emotion; the same rows.
        options: How strong an action, how clear an emotion must be.

    Returns:
        One row a sequence: :data:`FINDING_COLUMNS`.
    """
    confidence = lead(emotions.to_numpy())
    actions = [named_actions(row, options) for _, row in action_scores(scores).iterrows()]
    typical = [bool(clear > options.confidence and named) for clear, named in zip(confidence, actions, strict=True)]
    emotion = np.where(typical, emotions.idxmax(axis=1), "")
    patterns = ["+".join(sorted(named, key=_unit_number)) or STILL for named in actions]
    return pd.DataFrame(
        {
            "sequence": scores.index,
            "pseudo_label": np.where(typical, emotion, patterns),
            "confidence": confidence,
            "emotion": emotion,
            "actions": actions,
        }
    )


def named_actions(scores: pd.Series, options: PseudoLabelOptions) -> tuple[str, ...]:
    """The actions strong enough to name, strongest first, without opposites and without two names for one movement.

    Where none reaches the threshold, the strongest is named from half of it.
    """
    enough = min(options.action_threshold, max(scores.max(), options.action_threshold / 2))
    named: list[str] = []
    for action in scores[(scores >= enough) & (scores > 0)].sort_values(ascending=False, kind="stable").index:
        if not any(frozenset((action, other)) in NOT_TOGETHER for other in named):
            named.append(str(action))
    return tuple(named[: options.most_actions])


def _unit_number(action: str) -> int:
    return int(action.removeprefix("AU"))
