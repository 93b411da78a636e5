"""Action units (FACS), and which of them show which expression.

The emotion tables follow the EMFACS convention; that subjects differ in the units they show for one emotion (a unit
counts as typical when most people show it) follows Du, Tao and Martinez, "Compound facial expressions of emotion",
PNAS 2014. The ways to show a micro-expression follow the clips of 4DME and its kind (Li et al., "4DME: A Spontaneous
4D Micro-Expression Dataset With Multimodalities", IEEE TAC 2022): lip corners for Positive; brows and lids for Negative
and Surprise; pressed and dimpled lips for Repression. [ours]
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64

BILATERAL: tuple[str, ...] = (
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
"""Units with a left and a right half."""
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
ACTION_UNITS: tuple[str, ...] = (*(f"{unit}_{side}" for unit in BILATERAL for side in "LR"), *CENTRAL)
"""Column order of every array of weights; ``_L`` is the subject's left."""

ActionWeights = Float64[np.ndarray, " units"]  # activation of every unit, in the order of ``ACTION_UNITS``
ActionTrack = Float64[np.ndarray, "frames units"]

TYPICAL: Mapping[str, Mapping[str, float]] = {
    "anger": {"AU4": 1.0, "AU5": 0.5, "AU7": 0.8, "AU23": 0.7, "AU24": 0.9},
    "disgust": {"AU9": 1.0, "AU10": 0.8, "AU4": 0.4, "AU16": 0.4, "AU17": 0.35},
    "fear": {"AU1": 0.9, "AU2": 0.5, "AU4": 0.6, "AU5": 0.9, "AU20": 1.0, "AU25": 0.6, "AU26": 0.3},
    "happiness": {"AU6": 0.8, "AU12": 1.0, "AU25": 0.7},
    "sadness": {"AU1": 0.9, "AU4": 0.6, "AU15": 1.0, "AU17": 0.7},
    "surprise": {"AU1": 0.9, "AU2": 1.0, "AU5": 0.7, "AU25": 0.5, "AU26": 0.8},
}
"""Units that most people show, with their usual strength at full intensity."""

DEFINING: Mapping[str, tuple[str, ...]] = {
    "anger": ("AU24", "AU23"),
    "disgust": ("AU9", "AU10"),
    "fear": ("AU20",),
    "happiness": ("AU12",),
    "sadness": ("AU15",),
    "surprise": ("AU2",),
}
"""Units of which every subject shows at least one: without any, it would be another expression."""

OCCASIONAL: Mapping[str, Mapping[str, float]] = {
    "anger": {"AU9": 0.3, "AU10": 0.3, "AU16": 0.4, "AU17": 0.5, "AU25": 0.5},
    "disgust": {"AU6": 0.4, "AU7": 0.6, "AU25": 0.6, "AU26": 0.3, "AU15": 0.3},
    "fear": {"AU7": 0.5, "AU16": 0.4, "AU17": 0.3, "AU10": 0.25},
    "happiness": {"AU7": 0.4, "AU26": 0.35, "AU2": 0.3, "AU14": 0.5, "AU5": 0.3},
    "sadness": {"AU6": 0.4, "AU7": 0.4, "AU20": 0.3, "AU25": 0.4, "AU24": 0.3},
    "surprise": {"AU4": 0.2, "AU16": 0.35, "AU12": 0.25, "AU10": 0.25},
}
"""Units that some people add; many are typical of another expression, but fainter here."""

MICRO_VARIANTS: Mapping[str, tuple[Mapping[str, float], ...]] = {
    "positive": ({"AU12": 1.0}, {"AU12": 0.8, "AU6": 1.0}, {"AU6": 0.9, "AU12": 1.0, "AU25": 0.5}),
    "negative": ({"AU4": 1.0}, {"AU4": 0.8, "AU7": 1.0}, {"AU9": 1.0, "AU10": 0.6}, {"AU15": 1.0, "AU4": 0.6}),
    "surprise": ({"AU1": 1.0, "AU2": 1.0}, {"AU1": 0.8, "AU2": 0.9, "AU5": 0.9}, {"AU5": 1.0, "AU2": 0.7}),
    "repression": ({"AU24": 1.0}, {"AU14": 1.0}, {"AU17": 1.0, "AU24": 0.7}, {"AU14": 0.8, "AU23": 0.8}),
    "others": ({"AU18": 1.0}, {"AU16": 0.9}, {"AU20": 0.9}, {"AU1": 0.8, "AU18": 0.8}),
}
"""Ways to show each class of micro-expression, one of which is drawn; weights at full strength."""


def weights_of(shown: Mapping[str, float]) -> ActionWeights:
    """Weights in the order of ``ACTION_UNITS``; a unit named without its side is shown on both."""
    both = (unit.removesuffix("_L").removesuffix("_R") for unit in ACTION_UNITS)
    return np.array([shown.get(unit, shown.get(pair, 0.0)) for unit, pair in zip(ACTION_UNITS, both, strict=True)])
