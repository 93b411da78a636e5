"""Actions, which of them show what, and how people differ in it."""

import numpy as np
import pytest
from pydantic import ValidationError

from affect4d.scans.expression import EXPRESSIONS
from affect4d.synthetic.actions import ACTIONS, CENTRAL, OCCASIONAL, SIDED, TELLING, TYPICAL, weights_of
from affect4d.synthetic.style import STRONGEST, ActionOptions, apex_of_actions, apex_weights, draw_style

OPTIONS = ActionOptions()
LEFT, RIGHT = slice(0, 2 * len(SIDED), 2), slice(1, 2 * len(SIDED), 2)


def test_every_expression_has_actions_that_exist():
    for table in (TYPICAL, OCCASIONAL):
        assert tuple(table) == EXPRESSIONS
        assert {action for actions in table.values() for action in actions} <= {*SIDED, *CENTRAL}


def test_no_two_expressions_are_typically_the_same():
    assert len({tuple(sorted(actions)) for actions in TYPICAL.values()}) == len(EXPRESSIONS)


def test_neighbouring_expressions_share_actions():
    assert {"AU1", "AU2", "AU5"} <= set(TYPICAL["fear"]) & set(TYPICAL["surprise"])
    assert "AU4" in set(TYPICAL["anger"]) & set(TYPICAL["disgust"]) & set(TYPICAL["sadness"])


def test_telling_actions_are_typical_and_nowhere_else_as_strong():
    for expression, telling in TELLING.items():
        assert set(telling) <= set(TYPICAL[expression])
        for other in set(EXPRESSIONS) - {expression}:
            strongest = {**OCCASIONAL[other], **TYPICAL[other]}
            assert all(strongest.get(action, 0.0) <= 0.5 for action in telling)


def test_an_action_without_a_side_is_shown_on_both():
    weights = weights_of({"AU12": 0.5, "AU4_L": 0.3, "jaw_left": -0.2})
    assert weights[[ACTIONS.index("AU12_L"), ACTIONS.index("AU12_R")]].tolist() == [0.5, 0.5]
    assert weights[[ACTIONS.index("AU4_L"), ACTIONS.index("AU4_R")]].tolist() == [0.3, 0.0]
    assert weights[ACTIONS.index("jaw_left")] == -0.2


def test_a_style_is_a_function_of_its_generator():
    one, other = (draw_style(np.random.default_rng(3), OPTIONS) for _ in range(2))
    np.testing.assert_array_equal(one.apex, other.apex)
    assert not np.array_equal(one.apex, draw_style(np.random.default_rng(4), OPTIONS).apex)


def test_everybody_shows_a_telling_action_in_every_expression():
    styles = [draw_style(np.random.default_rng(seed), ActionOptions(action_drop=0.9)) for seed in range(20)]
    for place, expression in enumerate(EXPRESSIONS):
        telling = np.nonzero(weights_of(dict.fromkeys(TELLING[expression], 1.0)))[0]
        assert all(style.apex[place, telling].max() > 0.1 for style in styles)
        assert all((style.apex[place] > 0).sum() >= 2 for style in styles)


def test_people_lack_and_add_actions():
    styles = [draw_style(np.random.default_rng(seed), OPTIONS) for seed in range(40)]
    shown = np.stack([style.apex[EXPRESSIONS.index("sadness")] > 0 for style in styles])
    often = shown.mean(axis=0)
    assert 0.4 < often[ACTIONS.index("AU1_L")] < 1.0
    assert 0.0 < often[ACTIONS.index("AU6_L")] < 0.6
    assert often[ACTIONS.index("AU15_L")] == 1.0


def test_without_asymmetry_both_sides_move_alike():
    rng = np.random.default_rng(0)
    options = ActionOptions(asymmetry=0.0)
    weights = apex_weights(draw_style(rng, options), "happiness", 0.8, rng, options)
    np.testing.assert_allclose(weights[LEFT], weights[RIGHT])


def test_with_asymmetry_one_side_leads():
    rng = np.random.default_rng(0)
    options = ActionOptions(asymmetry=0.8, gain_spread=0.0)
    weights = apex_weights(draw_style(rng, options), "happiness", 0.8, rng, options)
    assert np.abs(weights[LEFT] - weights[RIGHT]).max() > 0.1


def test_apex_weights_stay_in_range_and_grow_with_intensity():
    rng = np.random.default_rng(1)
    style = draw_style(rng, OPTIONS)
    weights = np.stack([apex_weights(style, expression, 1.2, rng, OPTIONS) for expression in EXPRESSIONS])
    assert weights.min() >= 0.0
    assert weights.max() <= STRONGEST
    faint, full = (apex_weights(style, "fear", share, np.random.default_rng(5), OPTIONS) for share in (0.2, 0.4))
    np.testing.assert_allclose(2.0 * faint, full)


def test_a_person_shows_any_actions_in_their_own_way():
    style = draw_style(np.random.default_rng(2), OPTIONS)
    shown = apex_of_actions(style, {"AU12": 1.0}, 0.2, np.random.default_rng(0), ActionOptions(gain_spread=0.0))
    corners = [ACTIONS.index("AU12_L"), ACTIONS.index("AU12_R")]
    np.testing.assert_allclose(shown[corners], 0.2 * style.gains[corners])
    assert shown.sum() == pytest.approx(shown[corners].sum())


def test_an_absurd_option_is_refused():
    with pytest.raises(ValidationError, match="action_drop"):
        ActionOptions(action_drop=2.0)
    with pytest.raises(ValidationError, match="not_a_knob"):
        ActionOptions.model_validate({"not_a_knob": 1})
