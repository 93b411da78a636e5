"""Facial actions (FACS), and which of them show which expression.

The emotion tables follow the EMFACS convention; that people differ in the actions they show for one emotion (an action
counts as typical when most people show it) follows Du, Tao and Martinez, "Compound facial expressions of emotion",
PNAS 2014.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float64

SIDED: tuple[str, ...] = (
    "AU1",  # inner brow raiser
    "AU2",  # outer brow raiser
    "AU4",  # brow lowerer
    "AU5",  # upper lid raiser
    "AU6",  # cheek raiser
    "AU7",  # lid tightener
    "AU9",  # nose wrinkler
    "AU10",  # upper lip raiser
    "AU12",  # lip corner puller
    "AU14",  # dimpler
    "AU15",  # lip corner depressor
    "AU16",  # lower lip depressor
    "AU20",  # lip stretcher
    "AU34",  # cheek puff
    "AU45",  # blink
)
"""Actions with a left and a right half."""
CENTRAL: tuple[str, ...] = (
    "AU17",  # chin raiser
    "AU18",  # lip pucker
    "AU22",  # lip funneler
    "AU23",  # lip tightener
    "AU24",  # lip presser
    "AU25",  # lips part
    "AU26",  # jaw drop
    "AU28",  # lip suck
    "jaw_left",  # signed: the jaw slides to the subject's left (AD30)
    "mouth_left",  # signed: the lips are drawn to the subject's left
    "gaze_left",  # signed: the eyes turn to the subject's left
    "gaze_up",  # signed
)
ACTIONS: tuple[str, ...] = (*(f"{action}_{side}" for action in SIDED for side in "LR"), *CENTRAL)
"""Column order of every array of action weights; ``_L`` is the subject's left."""

Weights = Float64[np.ndarray, " actions"]
ActionTrack = Float64[np.ndarray, "frames actions"]

TYPICAL: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "anger": MappingProxyType({"AU4": 1.0, "AU5": 0.5, "AU7": 0.8, "AU23": 0.7, "AU24": 0.9}),
        "disgust": MappingProxyType({"AU9": 1.0, "AU10": 0.8, "AU4": 0.4, "AU16": 0.4, "AU17": 0.35}),
        "fear": MappingProxyType(
            {"AU1": 0.9, "AU2": 0.5, "AU4": 0.6, "AU5": 0.9, "AU20": 1.0, "AU25": 0.6, "AU26": 0.3}
        ),
        "happiness": MappingProxyType({"AU6": 0.8, "AU12": 1.0, "AU25": 0.7}),
        "sadness": MappingProxyType({"AU1": 0.9, "AU4": 0.6, "AU15": 1.0, "AU17": 0.7}),
        "surprise": MappingProxyType({"AU1": 0.9, "AU2": 1.0, "AU5": 0.7, "AU25": 0.5, "AU26": 0.8}),
    }
)
"""Actions most people show, with their usual strength at full intensity."""

TELLING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "anger": ("AU24", "AU23"),
        "disgust": ("AU9", "AU10"),
        "fear": ("AU20",),
        "happiness": ("AU12",),
        "sadness": ("AU15",),
        "surprise": ("AU2",),
    }
)
"""Actions of which everybody shows at least one: without any, the expression would not be what it is called."""

OCCASIONAL: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "anger": MappingProxyType({"AU9": 0.3, "AU10": 0.3, "AU16": 0.4, "AU17": 0.5, "AU25": 0.5}),
        "disgust": MappingProxyType({"AU6": 0.4, "AU7": 0.6, "AU25": 0.6, "AU26": 0.3, "AU15": 0.3}),
        "fear": MappingProxyType({"AU7": 0.5, "AU16": 0.4, "AU17": 0.3, "AU10": 0.25}),
        "happiness": MappingProxyType({"AU7": 0.4, "AU26": 0.35, "AU2": 0.3, "AU14": 0.5, "AU5": 0.3}),
        "sadness": MappingProxyType({"AU6": 0.4, "AU7": 0.4, "AU20": 0.3, "AU25": 0.4, "AU24": 0.3}),
        "surprise": MappingProxyType({"AU4": 0.2, "AU16": 0.35, "AU12": 0.25, "AU10": 0.25}),
    }
)
"""Actions some people add; many are typical of another expression, but fainter there."""


def weights_of(shown: Mapping[str, float]) -> Weights:
    """Weights in the order of ``ACTIONS``; an action named without its side is shown on both."""
    both = (action.removesuffix("_L").removesuffix("_R") for action in ACTIONS)
    return np.array([shown.get(action, shown.get(pair, 0.0)) for action, pair in zip(ACTIONS, both, strict=True)])
