"""Action units of a movement, and the emotions they are typical of."""

import numpy as np
import pandas as pd
import pytest

from affect4d.prompts.action_unit_captions import wordings
from affect4d.pseudo_labels.action_units_and_emotion_prototypes import (
    ACTION_UNIT_EFFECTS,
    BLENDSHAPE_EFFECTS,
    EMOTION_ACTION_UNITS,
    EXCLUSIVE,
    action_unit_scores,
    named_units,
    prototype_scores,
    top_margin,
)
from affect4d.pseudo_labels.landmark_movement import MEASUREMENTS
from affect4d.pseudo_labels.landmark_pseudo_labels import BLENDSHAPE_MEASUREMENTS
from affect4d.pseudo_labels.options import PseudoLabelOptions
from affect4d.scans.alignment.face_landmarker import BLENDSHAPES
from affect4d.scans.expression import EXPRESSIONS

MEASURED = {
    "landmarks": (MEASUREMENTS, ACTION_UNIT_EFFECTS),
    "blendshapes": (BLENDSHAPE_MEASUREMENTS, BLENDSHAPE_EFFECTS),
}


@pytest.mark.parametrize("measured", MEASURED)
@pytest.mark.parametrize("action", ACTION_UNIT_EFFECTS)
def test_an_action_is_read_off_its_own_effects(action, measured):
    names, effects_of = MEASURED[measured]
    effects = pd.DataFrame([{**dict.fromkeys(names, 0.0), **effects_of[action]}])
    scores = action_unit_scores(effects).iloc[0]
    assert scores.idxmax() == action
    assert scores[action] > 0.6


def test_every_measured_blendshape_is_scored():
    assert {name.removesuffix("Left").removesuffix("Right") for name in BLENDSHAPES} >= {*BLENDSHAPE_MEASUREMENTS}
    assert BLENDSHAPE_EFFECTS.keys() == ACTION_UNIT_EFFECTS.keys()


@pytest.mark.parametrize("measured", MEASURED)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_prototype_is_nearest_to_itself(expression, measured):
    names, effects_of = MEASURED[measured]
    moved = dict.fromkeys(names, 0.0)
    for action, weight in EMOTION_ACTION_UNITS[expression].items():
        for name, effect in effects_of[action].items():
            moved[name] += weight * effect
    scores = prototype_scores(pd.DataFrame([moved])).iloc[0]
    assert scores.idxmax() == expression
    assert scores[expression] == pytest.approx(1.0)


def test_opposites_are_not_named_together():
    scores = pd.Series({"AU12": 0.9, "AU15": 0.8, "AU6": 0.7, "AU7": 0.6, "AU2": 0.1})
    assert named_units(scores, PseudoLabelOptions()) == ("AU12", "AU6")
    assert all(pair <= set(ACTION_UNIT_EFFECTS) for pair in EXCLUSIVE)


def test_every_action_that_can_be_read_can_be_said():
    assert set(ACTION_UNIT_EFFECTS) <= set(wordings())


def test_the_margin_is_best_minus_second_best():
    assert top_margin(np.array([[0.2, 0.7, 0.1], [0.5, 0.5, 0.0]])) == pytest.approx([0.5, 0.0])
