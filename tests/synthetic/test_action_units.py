"""Action units, which of them show what, and how subjects differ in it."""

import numpy as np
import pytest
from pydantic import ValidationError

from affect4d.scans.expression import EXPRESSIONS
from affect4d.synthetic.action_units import ACTION_UNITS, BILATERAL, CENTRAL, DEFINING, OCCASIONAL, TYPICAL, weights_of
from affect4d.synthetic.recipe import ActionUnitOptions
from affect4d.synthetic.subject_appearance_and_expressive_style import LEFT, RIGHT, STRONGEST, apex_weights, draw_style

OPTIONS = ActionUnitOptions()


def test_every_expression_has_actions_that_exist():
    for table in (TYPICAL, OCCASIONAL):
        assert tuple(table) == EXPRESSIONS
        assert {action for actions in table.values() for action in actions} <= {*BILATERAL, *CENTRAL}


def test_no_two_expressions_are_typically_the_same():
    assert len({tuple(sorted(actions)) for actions in TYPICAL.values()}) == len(EXPRESSIONS)


def test_neighbouring_expressions_share_actions():
    assert {"AU1", "AU2", "AU5"} <= set(TYPICAL["fear"]) & set(TYPICAL["surprise"])
    assert "AU4" in set(TYPICAL["anger"]) & set(TYPICAL["disgust"]) & set(TYPICAL["sadness"])


def test_defining_units_are_typical_and_nowhere_else_as_strong():
    for expression, telling in DEFINING.items():
        assert set(telling) <= set(TYPICAL[expression])
        for other in set(EXPRESSIONS) - {expression}:
            strongest = {**OCCASIONAL[other], **TYPICAL[other]}
            assert all(strongest.get(action, 0.0) <= 0.5 for action in telling)


def test_an_action_without_a_side_is_shown_on_both():
    weights = weights_of({"AU12": 0.5, "AU4_L": 0.3, "jaw_left": -0.2})
    assert weights[[ACTION_UNITS.index("AU12_L"), ACTION_UNITS.index("AU12_R")]].tolist() == [0.5, 0.5]
    assert weights[[ACTION_UNITS.index("AU4_L"), ACTION_UNITS.index("AU4_R")]].tolist() == [0.3, 0.0]
    assert weights[ACTION_UNITS.index("jaw_left")] == -0.2


def test_a_style_is_a_function_of_its_generator():
    one, other = (draw_style(np.random.default_rng(3), OPTIONS) for _ in range(2))
    np.testing.assert_array_equal(one.apex, other.apex)
    assert not np.array_equal(one.apex, draw_style(np.random.default_rng(4), OPTIONS).apex)


def test_every_subject_shows_a_defining_unit_in_every_expression():
    styles = [draw_style(np.random.default_rng(seed), ActionUnitOptions(action_drop=0.9)) for seed in range(20)]
    for place, expression in enumerate(EXPRESSIONS):
        telling = np.nonzero(weights_of(dict.fromkeys(DEFINING[expression], 1.0)))[0]
        assert all(style.apex[place, telling].max() > 0.1 for style in styles)
        assert all((style.apex[place] > 0).sum() >= 2 for style in styles)


def test_people_lack_and_add_actions():
    styles = [draw_style(np.random.default_rng(seed), OPTIONS) for seed in range(40)]
    shown = np.stack([style.apex[EXPRESSIONS.index("sadness")] > 0 for style in styles])
    often = shown.mean(axis=0)
    assert 0.4 < often[ACTION_UNITS.index("AU1_L")] < 1.0
    assert 0.0 < often[ACTION_UNITS.index("AU6_L")] < 0.6
    assert often[ACTION_UNITS.index("AU15_L")] == 1.0


def test_without_asymmetry_both_sides_move_alike():
    rng = np.random.default_rng(0)
    options = ActionUnitOptions(asymmetry=0.0)
    weights = apex_weights(draw_style(rng, options).posed("happiness"), 0.8, rng, options)
    np.testing.assert_allclose(weights[LEFT], weights[RIGHT])


def test_with_asymmetry_one_side_leads():
    rng = np.random.default_rng(0)
    options = ActionUnitOptions(asymmetry=0.8, gain_spread=0.0)
    weights = apex_weights(draw_style(rng, options).posed("happiness"), 0.8, rng, options)
    assert np.abs(weights[LEFT] - weights[RIGHT]).max() > 0.1


def test_apex_weights_stay_in_range_and_grow_with_intensity():
    rng = np.random.default_rng(1)
    style = draw_style(rng, OPTIONS)
    weights = np.stack([apex_weights(style.posed(expression), 1.2, rng, OPTIONS) for expression in EXPRESSIONS])
    assert weights.min() >= 0.0
    assert weights.max() <= STRONGEST
    faint, full = (apex_weights(style.posed("fear"), share, np.random.default_rng(5), OPTIONS) for share in (0.2, 0.4))
    np.testing.assert_allclose(2.0 * faint, full)


def test_a_person_shows_any_actions_in_their_own_way():
    style = draw_style(np.random.default_rng(2), OPTIONS)
    shown = apex_weights(
        style.showing({"AU12": 1.0}), 0.2, np.random.default_rng(0), ActionUnitOptions(gain_spread=0.0)
    )
    corners = [ACTION_UNITS.index("AU12_L"), ACTION_UNITS.index("AU12_R")]
    np.testing.assert_allclose(shown[corners], 0.2 * style.gains[corners])
    assert shown.sum() == pytest.approx(shown[corners].sum())


def test_an_absurd_option_is_refused():
    with pytest.raises(ValidationError, match="action_drop"):
        ActionUnitOptions(action_drop=2.0)
    with pytest.raises(ValidationError, match="not_a_knob"):
        ActionUnitOptions.model_validate({"not_a_knob": 1})
