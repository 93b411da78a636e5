"""Action units (FACS), and which of them show which expression.

The emotion tables follow the EMFACS convention; that subjects differ in the units they show for one emotion (a unit
counts as typical when most people show it) follows Du, Tao and Martinez, "Compound facial expressions of emotion",
PNAS 2014. The ways to show a micro-expression follow the clips of 4DME and its kind (Li et al., "4DME: A Spontaneous
4D Micro-Expression Dataset With Multimodalities", IEEE TAC 2022): lip corners for Positive; brows and lids for Negative
and Surprise; pressed and dimpled lips for Repression. [ours]

The 52 face coefficients of ARKit (``ARFaceAnchor.BlendShapeLocation``, Apple's documentation) are given as action units
by :data:`ARKIT_UNITS`.
"""

import csv
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from affect4d.scans.alignment.face_landmarker import BLENDSHAPES

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

PUBLISHED_FILE = Path(__file__).with_name("emotion_action_units.csv")
"""Variants of every emotion by source; docs/open-4dfer.md cites the sources.

``units`` always shown, with FACS intensities A to E where the source gives them; ``optional`` ones with their chance.
"""
USUAL_STRENGTH: Mapping[str, float] = {"AU5": 0.8, "AU16": 0.6, "AU17": 0.7, "AU25": 0.7, "AU26": 0.7}
"""Weight at full intensity of a unit that a published table gives without intensity; 1 for the others."""
INTENSITIES: Mapping[str, float] = {"": 1.0, "A": 0.2, "B": 0.4, "C": 0.65, "D": 0.85, "E": 1.0}
SUBSTITUTES: Mapping[str, tuple[str, float]] = {"AU11": ("AU10", 0.35), "AU27": ("AU26", 1.4), "AU43": ("AU45", 1.0)}
"""Nearest of our units, and its share, for units that the face models lack: nasolabial furrow, stretched mouth, closed
eyes."""


@dataclass(frozen=True, slots=True)
class EmotionVariant:
    """One published way to show an emotion."""

    units: Mapping[str, float]  # always shown, with their weight at full intensity
    optional: Mapping[str, tuple[float, float]]  # weight, and the chance of each


MICRO_VARIANTS: Mapping[str, tuple[Mapping[str, float], ...]] = {
    "positive": ({"AU12": 1.0}, {"AU12": 0.8, "AU6": 1.0}, {"AU6": 0.9, "AU12": 1.0, "AU25": 0.5}),
    "negative": ({"AU4": 1.0}, {"AU4": 0.8, "AU7": 1.0}, {"AU9": 1.0, "AU10": 0.6}, {"AU15": 1.0, "AU4": 0.6}),
    "surprise": ({"AU1": 1.0, "AU2": 1.0}, {"AU1": 0.8, "AU2": 0.9, "AU5": 0.9}, {"AU5": 1.0, "AU2": 0.7}),
    "repression": ({"AU24": 1.0}, {"AU14": 1.0}, {"AU17": 1.0, "AU24": 0.7}, {"AU14": 0.8, "AU23": 0.8}),
    "others": ({"AU18": 1.0}, {"AU16": 0.9}, {"AU20": 0.9}, {"AU1": 0.8, "AU18": 0.8}),
}
"""Ways to show each class of micro-expression, one of which is drawn; weights at full strength."""

ARKIT: tuple[str, ...] = (*BLENDSHAPES, "tongueOut")
"""Column order of every array of ARKit's coefficients, each 0…1; ``Left`` is the subject's."""

ARKIT_UNITS: Mapping[str, Mapping[str, float]] = {
    "AU1": {"browInnerUp": 0.77},
    "AU2": {"browOuterUp": 1.0},
    "AU4": {"browDown": 0.71},
    "AU5": {"eyeWide": 0.83},
    "AU6": {"cheekSquint": 1.0},
    "AU7": {"eyeSquint": 0.77},
    "AU9": {"noseSneer": 1.0},
    "AU10": {"mouthUpperUp": 1.11},
    "AU12": {"mouthSmile": 1.11},
    "AU14": {"mouthDimple": 1.0},
    "AU15": {"mouthFrown": 1.0},
    "AU16": {"mouthLowerDown": 1.11},
    "AU17": {"mouthShrugLower": 1.0},
    "AU18": {"mouthPucker": 1.0},
    "AU20": {"mouthStretch": 1.0},
    "AU22": {"mouthFunnel": 1.11},
    "AU24": {"mouthPressLeft": 0.5, "mouthPressRight": 0.5},
    "AU25": {"jawOpen": 1.0, "mouthClose": -1.0, "mouthLowerDownLeft": 0.5, "mouthLowerDownRight": 0.5},
    "AU26": {"jawOpen": 1.54},
    "AU28": {"mouthRollLower": 0.63, "mouthRollUpper": 0.63},
    "AU34": {"cheekPuff": 1.0},
    "AU45": {"eyeBlink": 1.0},
    "jaw_left": {"jawLeft": 1.25, "jawRight": -1.25},
    "mouth_left": {"mouthLeft": 1.25, "mouthRight": -1.25},
    "gaze_left": {"eyeLookOutLeft": 0.7, "eyeLookInLeft": -0.7, "eyeLookInRight": 0.7, "eyeLookOutRight": -0.7},
    "gaze_up": {"eyeLookUpLeft": 0.9, "eyeLookDownLeft": -0.9, "eyeLookUpRight": 0.9, "eyeLookDownRight": -0.9},
}
"""Each unit as a weighted sum of ARKit's coefficients; a name without side stands for the unit's own side.

Pairs follow the table in ICT-FaceKit's README (Li et al. 2020) and Ozel's "ARKit to FACS cheat sheet". A factor is
one over the strength of that shape in the unit (:data:`affect4d.synthetic.ict_facekit.SHAPES`), so that both move the
face alike; those of the gaze turn the eyes by 0.6 rad at 1, as measured on recordings. AU25 has no coefficient: it is
what the open jaw and the lower lip open [ours]. AU23 has none, and is always 0.
"""


def units_of_arkit(coefficients: Float64[np.ndarray, "frames arkit"]) -> ActionTrack:
    """Action-unit weights of ARKit's coefficients: 0…``STRONGEST_OF_ARKIT``, from -1 for units with a direction."""
    return np.asarray(np.clip(coefficients @ _ARKIT_MATRIX, _LEAST, STRONGEST_OF_ARKIT))


def _arkit_column(unit: str) -> list[float]:
    name, _, side = unit.partition("_")
    given = ARKIT_UNITS.get(unit, ARKIT_UNITS.get(name, {}))
    ends = ("", {"L": "Left", "R": "Right"}.get(side, ""))
    return [sum(given[key] for key in given if name in {key + end for end in ends}) for name in ARKIT]


STRONGEST_OF_ARKIT = 1.2  # as of the units of generated faces
_LEAST = np.array([0.0 if unit.startswith("AU") else -1.0 for unit in ACTION_UNITS])
_ARKIT_MATRIX = np.array([_arkit_column(unit) for unit in ACTION_UNITS]).T


@functools.cache
def published_tables() -> Mapping[str, Mapping[str, tuple[EmotionVariant, ...]]]:
    """Published variants by source and emotion, read from :data:`PUBLISHED_FILE`."""
    tables: dict[str, dict[str, tuple[EmotionVariant, ...]]] = {}
    with PUBLISHED_FILE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            units = dict(_published_unit(word) for word in row["units"].split())
            chances = dict(word.split(":") for word in row["optional"].split())
            weighed = ((*_published_unit(word), float(chance)) for word, chance in chances.items())
            optional = {unit: (weight, chance) for unit, weight, chance in weighed}
            source = tables.setdefault(row["source"], {})
            source[row["expression"]] = (*source.get(row["expression"], ()), EmotionVariant(units, optional))
    return tables


def _published_unit(word: str) -> tuple[str, float]:
    """``"5B"`` as our unit and its weight at full intensity."""
    found = re.fullmatch(r"(\d+)([A-E]?)", word)
    if found is None:
        raise ValueError(f"{PUBLISHED_FILE}: {word!r} is no action unit with an optional intensity A to E, such as 5B.")
    name, share = SUBSTITUTES.get(f"AU{found[1]}", (f"AU{found[1]}", 1.0))
    return name, USUAL_STRENGTH.get(name, 1.0) * share * INTENSITIES[found[2]]


def weights_of(shown: Mapping[str, float]) -> ActionWeights:
    """Weights in the order of ``ACTION_UNITS``; a unit named without its side is shown on both."""
    both = (unit.removesuffix("_L").removesuffix("_R") for unit in ACTION_UNITS)
    return np.array([shown.get(unit, shown.get(pair, 0.0)) for unit, pair in zip(ACTION_UNITS, both, strict=True)])
