"""Micro-expressions in the classes of 4DME: fleeting, faint, a few actions each, at times of two classes at once.

The classes are those of Li et al., "4DME: A Spontaneous 4D Micro-Expression Dataset With Multimodalities", IEEE TAC
2022: several may hold for one clip. Which actions speak for which class follows what its kind of corpora report
(lip corners for Positive; brows and lids for Negative and Surprise; pressed and dimpled lips for Repression). [ours]
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from affect4d.scans.expression import MICRO_EXPRESSIONS

MICRO_ACTIONS: Mapping[str, tuple[Mapping[str, float], ...]] = MappingProxyType(
    {
        "positive": ({"AU12": 1.0}, {"AU12": 0.8, "AU6": 1.0}, {"AU6": 0.9, "AU12": 1.0, "AU25": 0.5}),
        "negative": ({"AU4": 1.0}, {"AU4": 0.8, "AU7": 1.0}, {"AU9": 1.0, "AU10": 0.6}, {"AU15": 1.0, "AU4": 0.6}),
        "surprise": ({"AU1": 1.0, "AU2": 1.0}, {"AU1": 0.8, "AU2": 0.9, "AU5": 0.9}, {"AU5": 1.0, "AU2": 0.7}),
        "repression": ({"AU24": 1.0}, {"AU14": 1.0}, {"AU17": 1.0, "AU24": 0.7}, {"AU14": 0.8, "AU23": 0.8}),
        "others": ({"AU18": 1.0}, {"AU16": 0.9}, {"AU20": 0.9}, {"AU1": 0.8, "AU18": 0.8}),
    }
)
"""Ways to show each class, one of which is drawn; weights at full strength."""

TOGETHER: tuple[tuple[str, str], ...] = (
    ("negative", "repression"),
    ("positive", "repression"),
    ("negative", "surprise"),
    ("positive", "surprise"),
)
"""Classes that occur in one clip."""


def draw_micro_labels(rng: np.random.Generator, several: float) -> tuple[str, ...]:
    """Draw the classes of one clip.

    Args:
        rng: Draws them.
        several: Chance of two.

    Returns:
        One or two of ``MICRO_EXPRESSIONS``, in their order.
    """
    if rng.random() < several:
        pair = TOGETHER[int(rng.integers(len(TOGETHER)))]
        return tuple(sorted(pair, key=MICRO_EXPRESSIONS.index))
    return (MICRO_EXPRESSIONS[int(rng.integers(len(MICRO_EXPRESSIONS)))],)


def draw_micro_actions(labels: tuple[str, ...], rng: np.random.Generator) -> dict[str, float]:
    """Actions of one clip at full strength: one way of each of its classes, the stronger where two share an action."""
    shown: dict[str, float] = {}
    for label in labels:
        ways = MICRO_ACTIONS[label]
        for action, weight in ways[int(rng.integers(len(ways)))].items():
            shown[action] = max(weight, shown.get(action, 0.0))
    return shown
