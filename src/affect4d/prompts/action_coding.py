"""From what moved to the facial actions that move it so, and from actions to the emotions they are typical of.

Data, and two small calculations. No number here was fitted to a corpus: the effects are the appearance changes the
Facial Action Coding System describes (Ekman, Friesen and Hager 2002), coarsened to 1 (defining) and ½ or ¼ (usual);
the emotions are the field's common table of prototypes. [ours]
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from affect4d.prompts.action_measurement import MEASUREMENTS
from affect4d.scans.expression import EXPRESSIONS

ACTION_EFFECTS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "AU1": {"inner_brow_raise": 1, "outer_brow_raise": 0.25},
        "AU2": {"outer_brow_raise": 1, "inner_brow_raise": 0.5},
        "AU4": {"brow_gathering": 1, "inner_brow_raise": -0.5, "outer_brow_raise": -0.25},
        "AU5": {"upper_lid_raise": 1, "eye_opening": 1},
        "AU6": {"lower_lid_raise": 1, "eye_opening": -0.5},
        "AU7": {"lower_lid_raise": 1, "eye_opening": -1},
        "AU9": {"nose_wing_raise": 1, "upper_lip_raise": 0.5, "inner_brow_raise": -0.5},
        "AU10": {"upper_lip_raise": 1, "nose_wing_raise": 0.5, "nose_widening": 0.5, "lip_parting": 0.5},
        "AU12": {"lip_corner_raise": 1, "mouth_widening": 1, "lip_corner_pull_back": 0.5, "nose_widening": 0.5},
        "AU15": {"lip_corner_raise": -1},
        "AU16": {"lower_lip_lowering": 0.5, "lip_parting": 0.5},
        "AU17": {"jaw_drop": -1, "lower_lip_lowering": -1, "lip_parting": -0.5},
        "AU18": {"mouth_widening": -1, "lip_protrusion": 1, "lip_corner_pull_back": -0.5},
        "AU20": {"mouth_widening": 1, "lip_corner_pull_back": 0.5, "lip_corner_raise": -0.25},
        "AU24": {"upper_lip_thinning": 1, "lower_lip_thinning": 1},
        "AU25": {"lip_parting": 0.5, "lower_lip_lowering": 0.25},
        "AU26": {"jaw_drop": 1, "lip_parting": 1, "lower_lip_lowering": 1, "lip_corner_raise": -0.5},
    }
)
"""Facial action → how it changes the measurements of :mod:`affect4d.prompts.action_measurement`."""

EMOTION_ACTIONS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "anger": {"AU4": 1, "AU5": 1, "AU7": 1, "AU24": 1},
        "disgust": {"AU9": 1, "AU10": 0.5, "AU15": 1, "AU16": 0.5, "AU17": 0.5},
        "fear": {"AU1": 1, "AU2": 1, "AU4": 1, "AU5": 1, "AU7": 0.5, "AU20": 1, "AU26": 1},
        "happiness": {"AU6": 1, "AU12": 1, "AU25": 0.5},
        "sadness": {"AU1": 1, "AU4": 1, "AU15": 1, "AU17": 0.5},
        "surprise": {"AU1": 1, "AU2": 1, "AU5": 1, "AU26": 1},
    }
)
"""Emotion → its actions, after EMFACS: 1 where the table lists the action, ½ where in brackets or as one of two."""

_EFFECTS = np.array([[effects.get(name, 0.0) for name in MEASUREMENTS] for effects in ACTION_EFFECTS.values()])
"""[actions, measurements]"""
_PROTOTYPES = np.array([[EMOTION_ACTIONS[name].get(action, 0.0) for action in ACTION_EFFECTS] for name in EXPRESSIONS])
"""[expressions, actions]"""

PRICE = 0.05
"""What naming an action costs, against squared scores left unexplained."""


def action_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """The fewest, weakest facial actions that together explain what moved: 0 (not needed) … 1 (fully shown).

    Non-negative least squares over the effects of all actions, with a price on the sum of actions: a lip lifted by a
    wrinkled nose is not also called a raised lip (Lawson and Hanson 1974, chapter 23, with one penalty row).

    Args:
        scores: One row a sequence, one column a measurement, each −1…1.

    Returns:
        One row a sequence, one column an action of ``ACTION_EFFECTS``.
    """
    price = np.full((1, len(_EFFECTS)), PRICE**0.5)
    system = np.vstack([_EFFECTS.T, price])
    moved = np.pad(scores[list(MEASUREMENTS)].to_numpy(), ((0, 0), (0, 1)))
    values = np.array([nnls(system, row)[0] for row in moved]).reshape(-1, len(_EFFECTS))
    return pd.DataFrame(values.clip(max=1.0), index=scores.index, columns=list(ACTION_EFFECTS))


def prototype_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Cosine between what moved and what would move under the prototype of each emotion, −1…1; 0 where nothing moved.

    Args:
        scores: One row a sequence, one column a measurement, each −1…1.

    Returns:
        One row a sequence, one column an expression.
    """
    moved, templates = scores[list(MEASUREMENTS)].to_numpy(), _PROTOTYPES @ _EFFECTS
    lengths = np.outer(np.linalg.norm(moved, axis=1), np.linalg.norm(templates, axis=1))
    values = moved @ templates.T / np.maximum(lengths, 1e-12)
    return pd.DataFrame(values, index=scores.index, columns=list(EXPRESSIONS))
