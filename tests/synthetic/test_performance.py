"""What is performed, when, and how it moves."""

import numpy as np
import pytest

from affect4d.scans.expression import EXPRESSIONS, MICRO_EXPRESSIONS
from affect4d.synthetic.action_units import ACTION_UNITS, BILATERAL, CENTRAL, MICRO_VARIANTS, TYPICAL, weights_of
from affect4d.synthetic.performance import (
    POSTURES,
    RESIDUAL,
    SOUNDS,
    Performance,
    act,
    blinks,
    draw_micro_labels,
    draw_micro_units,
    draw_performances,
    envelopes,
    gaze_drift,
    postures,
    rise_and_fall,
    talk,
    unrest,
)
from affect4d.synthetic.recipe import ActionUnitOptions, PerformanceOptions, ScannerOptions
from affect4d.synthetic.subject_appearance_and_expressive_style import draw_style

CALM = ActionUnitOptions(distractors=0.0, restless=0.0)
EVERYTHING = PerformanceOptions(macro=2, micro=6, neutral=2, distractors=4)
TIMES = np.linspace(0.0, 4.0, 101)


def drawn(options: PerformanceOptions = EVERYTHING, seed: int = 0) -> tuple[Performance, ...]:
    return draw_performances(options, ActionUnitOptions(), np.random.default_rng(seed))


def of_kind(kind: str, seed: int = 0) -> list[Performance]:
    return [one for one in drawn(seed=seed) if one.kind == kind]


def test_everything_asked_for_is_performed_once_under_its_own_name():
    performances = drawn()
    assert len(performances) == 2 * 6 + 6 + 2 + 4
    assert len({one.name for one in performances}) == len(performances)
    assert [one.expression for one in of_kind("macro")] == [name for name in EXPRESSIONS for _ in range(2)]
    assert [one.name for one in of_kind("distractor")] == ["talk-1", "blink-1", "look-1", "talk-2"]


def test_performances_are_a_function_of_their_generator():
    assert drawn(seed=1) == drawn(seed=1)
    assert drawn(seed=1) != drawn(seed=2)


def test_a_posed_take_lasts_four_seconds_at_25_frames_of_which_some_are_kept():
    one = of_kind("macro")[0]
    assert one.frames == 12
    assert one.scanned[0] == 0
    assert one.scanned[-1] == 99
    whole = drawn(PerformanceOptions(frames=None))[0]
    assert whole.scanned == tuple(range(100))
    assert whole.times[-1] == pytest.approx(99 / 25)


def test_a_micro_expression_is_short_faint_and_sampled_at_sixty():
    for seed in range(30):
        for one in of_kind("micro", seed):
            assert one.fps == 60.0
            assert one.frames == 30
            assert 0.1 <= one.intensity <= 0.3
            assert one.rise <= 0.26
            assert one.begin + one.rise + one.hold + one.fall <= 0.5
            assert 0 <= one.onset < one.apex < one.offset < one.frames


def test_labels_are_the_expression_or_classes_of_4dme_or_nothing():
    labels = [one.labels for seed in range(40) for one in of_kind("micro", seed)]
    assert {word for some in labels for word in some} == set(MICRO_EXPRESSIONS)
    assert {len(some) for some in labels} == {1, 2}
    assert all(one.labels == (one.expression,) for one in of_kind("macro"))
    assert all(one.labels == () and one.expression is None for one in of_kind("neutral") + of_kind("distractor"))


def test_frames_that_the_scanner_misses_are_missing_and_never_the_first():
    lossy = drawn(PerformanceOptions(frames=None, dropped=0.3))
    assert {one.scanned[0] for one in lossy} == {0}
    assert 50 < np.mean([one.frames for one in lossy]) < 90
    assert all(one.onset <= one.apex <= one.offset < one.frames for one in lossy)


def test_micro_actions_exist_and_those_of_two_classes_add_up():
    assert tuple(MICRO_VARIANTS) == MICRO_EXPRESSIONS
    named = {action for ways in MICRO_VARIANTS.values() for way in ways for action in way}
    assert named <= {*BILATERAL, *CENTRAL}
    rng = np.random.default_rng(0)
    shown = draw_micro_units(("positive", "repression"), rng)
    assert {"AU12", "AU6"} & set(shown)
    assert {"AU24", "AU14", "AU17", "AU23"} & set(shown)
    assert draw_micro_labels(rng, 0.0)[0] in MICRO_EXPRESSIONS


@pytest.mark.parametrize("kind", ["macro", "micro"])
def test_nothing_is_expressed_before_the_onset_or_after_the_offset(kind):
    style = draw_style(np.random.default_rng(0), CALM)
    for one in of_kind(kind):
        track = np.abs(act(style, one, np.random.default_rng(1), CALM)).max(axis=1)
        assert track[: one.onset + 1].max() == 0.0
        assert track[one.apex] >= 0.9 * track.max() > 0.0
        assert one.offset == one.frames - 1 or track[one.offset :].max() == 0.0


def test_a_face_at_rest_rests_and_a_talking_one_talks():
    style = draw_style(np.random.default_rng(0), CALM)
    neutral, talking = of_kind("neutral")[0], of_kind("distractor")[0]
    np.testing.assert_array_equal(act(style, neutral, np.random.default_rng(0), CALM), 0.0)
    said = act(style, talking, np.random.default_rng(0), CALM)
    assert said[:, ACTION_UNITS.index("AU25")].max() > 0.2
    np.testing.assert_array_equal(said[0], 0.0)


def test_laggards_start_later_and_all_reach_the_apex_together():
    one = of_kind("macro")[0]
    lag = np.zeros(len(ACTION_UNITS))
    lag[3] = 0.5
    dense = Performance(**{**one.__dict__, "scanned": tuple(range(100))})
    tracks = envelopes(dense, lag)
    assert np.argmax(tracks[:, 3] > 0) > np.argmax(tracks[:, 0] > 0)
    np.testing.assert_allclose(tracks[dense.apex], 1.0, atol=0.05)


def test_a_rise_and_fall_begins_and_ends_at_nothing():
    shape = rise_and_fall(TIMES, 0.4, 0.8, 1.0, 0.8)
    assert shape[TIMES <= 0.4].max() == 0.0
    assert shape[TIMES >= 3.0].max() == 0.0
    assert shape.max() == pytest.approx(1.0)


def test_postures_are_made_of_actions_that_show_no_expression():
    named = {action for posture in POSTURES for action in posture}
    assert named <= {*BILATERAL, *CENTRAL}
    typical = {action for actions in TYPICAL.values() for action in actions}
    assert not named & typical
    assert {action for shown in (*SOUNDS, *RESIDUAL) for action in shown} <= {*BILATERAL, *CENTRAL}


def test_distractions_spare_the_first_frame_unless_it_is_restless():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        calm = postures(TIMES, 1.5, rng) + talk(TIMES, 1.0, rng) + gaze_drift(TIMES, 1.0, rng)
        np.testing.assert_array_equal(calm[0], 0.0)


def test_what_lingers_in_the_first_frame_is_gone_before_the_apex():
    for seed in range(20):
        lingering = unrest(TIMES, 1.0, np.random.default_rng(seed))
        assert np.abs(lingering[0]).max() > 0.1
        assert np.abs(lingering[0.45 * TIMES[-1] < TIMES]).max() == 0.0


def test_distractors_vanish_at_strength_zero():
    style = draw_style(np.random.default_rng(0), CALM)
    one = of_kind("macro")[0]
    still = Performance(**{**one.__dict__, "intensity": 0.0})
    np.testing.assert_array_equal(act(style, still, np.random.default_rng(0), CALM), 0.0)
    restless = ActionUnitOptions(distractors=2.0, restless=1.0)
    assert np.abs(act(style, still, np.random.default_rng(0), restless)).max() > 0.3


def test_a_blink_closes_both_lids_and_passes():
    closed = blinks(TIMES, 10.0, np.random.default_rng(0))
    left, right = closed[:, ACTION_UNITS.index("AU45_L")], closed[:, ACTION_UNITS.index("AU45_R")]
    np.testing.assert_array_equal(left, right)
    assert left.max() > 0.8
    assert left[0] == 0.0
    assert (left == 0.0).mean() > 0.2
    assert np.count_nonzero(weights_of({"AU45": 1.0})) == np.count_nonzero(closed.max(axis=0))


def test_weights_stay_in_range_however_restless():
    style = draw_style(np.random.default_rng(0), ActionUnitOptions())
    for one in drawn():
        track = act(style, one, np.random.default_rng(3), ActionUnitOptions(distractors=3.0, restless=1.0, unrest=2.0))
        assert track.shape == (one.frames, len(ACTION_UNITS))
        assert track.min() >= -1.0
        assert track.max() <= 1.2


@pytest.mark.parametrize(
    ("options", "given", "words"),
    [
        (PerformanceOptions, {"seconds": 1.0, "fps": 1.0}, "no frame at its apex.*until they make 5"),
        (PerformanceOptions, {"micro_low": 0.4}, r"micro_low \(0.4\) is above micro_high \(0.3\)"),
        (ActionUnitOptions, {"intensity_low": 0.95}, r"intensity_low \(0.95\) is above intensity_high \(0.9\)"),
        (ScannerOptions, {"landmark_bias": 0.9}, r"landmark_bias \(0.9\) and landmark_own \(0.25\).*at most 1"),
    ],
)
def test_options_that_fit_no_take_are_refused_and_named(options, given, words):
    with pytest.raises(ValueError, match=words):
        options(**given)


@pytest.mark.parametrize("seed", range(5))
def test_the_scanner_misses_neither_the_first_frame_nor_the_apex(seed):
    options = PerformanceOptions(frames=12, micro=3, dropped=0.8)
    whole = {one.name: one for one in drawn(options.model_copy(update={"dropped": 0.0}), seed)}
    assert any(len(one.scanned) < len(whole[one.name].scanned) for one in drawn(options, seed))
    for one in drawn(options, seed):
        assert one.scanned[0] == 0
        assert envelopes(one, np.zeros(len(ACTION_UNITS)))[one.apex].max() > 0.9
