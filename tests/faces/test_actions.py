"""How people show expressions, in weights and in time."""

import numpy as np
import pytest
from pydantic import ValidationError

from affect4d.faces.actions import (
    ACTIONS,
    CENTRAL,
    OCCASIONAL,
    SIDED,
    TYPICAL,
    ActionOptions,
    apex_weights,
    draw_style,
)
from affect4d.faces.dynamics import distract, perform, rise_and_fall
from affect4d.scans.expression import EXPRESSIONS

OPTIONS = ActionOptions()


def test_every_expression_has_actions_that_exist():
    for table in (TYPICAL, OCCASIONAL):
        assert tuple(table) == EXPRESSIONS
        assert {action for actions in table.values() for action in actions} <= {*SIDED, *CENTRAL}


def test_no_two_expressions_are_typically_the_same():
    assert len({tuple(sorted(actions)) for actions in TYPICAL.values()}) == len(EXPRESSIONS)


def test_neighbouring_expressions_share_actions():
    assert {"AU1", "AU2", "AU5"} <= set(TYPICAL["fear"]) & set(TYPICAL["surprise"])
    assert "AU4" in set(TYPICAL["anger"]) & set(TYPICAL["disgust"]) & set(TYPICAL["sadness"])


def test_a_style_is_a_function_of_its_generator():
    one, other = (draw_style(np.random.default_rng(3), OPTIONS) for _ in range(2))
    np.testing.assert_array_equal(one.apex, other.apex)
    assert not np.array_equal(one.apex, draw_style(np.random.default_rng(4), OPTIONS).apex)


def test_everybody_shows_something_in_every_expression():
    styles = [draw_style(np.random.default_rng(seed), ActionOptions(action_drop=0.9)) for seed in range(20)]
    assert all((style.apex.max(axis=1) > 0.1).all() for style in styles)


def test_without_asymmetry_both_sides_move_alike():
    rng = np.random.default_rng(0)
    options = ActionOptions(asymmetry=0.0, gain_spread=0.0)
    weights = apex_weights(draw_style(rng, options), "happiness", rng, options)
    np.testing.assert_allclose(weights[0 : 2 * len(SIDED) : 2], weights[1 : 2 * len(SIDED) : 2])


def test_apex_weights_stay_in_range():
    rng = np.random.default_rng(1)
    style = draw_style(rng, OPTIONS)
    weights = np.stack([apex_weights(style, expression, rng, OPTIONS) for expression in EXPRESSIONS])
    assert weights.min() >= 0.0
    assert weights.max() <= 1.2


def test_a_performance_runs_from_neutral_to_apex_to_neutral():
    apex = np.ones(len(ACTIONS))
    track = perform(apex, np.zeros(len(ACTIONS)), 25, np.random.default_rng(0))
    np.testing.assert_array_equal(track[0], 0.0)
    assert track.max() == pytest.approx(1.0)
    assert track[-1].max() < 0.15


def test_a_lagging_action_starts_later():
    times = np.linspace(0, 1, 50)
    early, late = rise_and_fall(times, 0.1, 0.2, 0.2, 0.2), rise_and_fall(times, 0.2, 0.2, 0.2, 0.2)
    assert np.argmax(early > 0) < np.argmax(late > 0)


def test_distractors_vanish_at_strength_zero_and_in_the_first_frame():
    np.testing.assert_array_equal(distract(10, 0.0, np.random.default_rng(0)), 0.0)
    restless = distract(10, 2.0, np.random.default_rng(0))
    assert np.abs(restless).max() > 0.1
    np.testing.assert_array_equal(restless[0], 0.0)


def test_an_absurd_option_is_refused():
    with pytest.raises(ValidationError, match="action_drop"):
        ActionOptions(action_drop=2.0)
    with pytest.raises(ValidationError, match="not_a_knob"):
        ActionOptions.model_validate({"not_a_knob": 1})
