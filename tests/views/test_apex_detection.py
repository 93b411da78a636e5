import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from affect4d.views.apex_detection import chosen_frames, detect_apex, frame_table, sample_frames
from affect4d.views.input_options import FrameSampler


def movement(frames, onset, apex, offset, noise=0.0, seed=0):
    """Rest, a rise from ``onset`` to ``apex``, a fall to ``offset``, rest."""
    times = np.arange(frames)
    curve = np.interp(times, [onset, apex, offset], [0.0, 1.0, 0.0])
    return np.abs(curve + np.random.default_rng(seed).normal(0, noise, frames))


@pytest.mark.parametrize("frames", [9, 30, 100, 240])
def test_the_apex_is_the_middle_of_the_movement(frames):
    onset, apex, offset = frames // 5, frames // 2, frames - frames // 5
    found = detect_apex(movement(frames, onset, apex, offset))
    assert abs(found.apex - apex) <= 1
    assert onset - 1 <= found.onset <= apex - (apex - onset) // 2
    assert offset + 1 >= found.offset >= apex + (offset - apex) // 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 99), st.integers(1, 39))
def test_a_blink_does_not_move_the_apex(seed, blink):
    """One frame that jumps to twice the apex's activity, anywhere."""
    calm = movement(40, 8, 20, 32, noise=0.02, seed=seed)
    blinking = calm.copy()
    blinking[blink] += 2.0
    assert abs(detect_apex(blinking).apex - 20) <= 2


def test_a_pose_that_drifts_does_not_move_the_apex_far():
    drifting = movement(60, 12, 30, 48) + np.linspace(0.0, 0.3, 60)
    assert abs(detect_apex(drifting).apex - 30) <= 3


def test_a_sequence_that_ends_at_its_apex_has_its_offset_there():
    found = detect_apex(np.linspace(0, 1, 20))
    assert found.offset == 19
    assert found.apex >= 14


@pytest.mark.parametrize("activity", [[0.0], [0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.2, 1.0, 0.3]])
def test_clips_of_a_few_frames_have_moments(activity):
    found = detect_apex(activity)
    assert 0 <= found.onset <= found.apex <= found.offset < len(activity)


def test_a_micro_expression_at_60_frames_a_second_is_found():
    """A fifth of a second of movement in a second of film."""
    assert abs(detect_apex(movement(60, 20, 26, 32, noise=0.01)).apex - 26) <= 1


@pytest.mark.parametrize("activity", [[], [0.0, float("nan")]])
def test_no_frames_and_broken_activity_are_refused(activity):
    with pytest.raises(ValueError, match="finite activity"):
        detect_apex(activity)


@pytest.mark.parametrize("kind", ["uniform", "apex_window", "onset_apex"])
@pytest.mark.parametrize("count", [0, 1, 5, 1000])
def test_samplers_take_what_they_say(kind, count):
    activity = movement(40, 8, 20, 32)
    moments, taken = detect_apex(activity), chosen_frames(activity, FrameSampler(kind=kind, frames=count))
    first, last = {"uniform": (0, 39), "apex_window": (14, 26), "onset_apex": (moments.onset, moments.apex)}[kind]
    assert len(taken) == (min(count, last - first + 1) or last - first + 1)
    assert (np.diff(taken) > 0).all()
    assert first <= taken[0]
    assert taken[-1] <= last


def test_even_spreading_keeps_the_ends():
    assert sample_frames(np.arange(3, 12), 3).tolist() == [3, 7, 11]
    assert sample_frames(np.arange(3, 12), 1).tolist() == [7]


def test_the_default_takes_every_frame_near_the_apex():
    manifest = pd.DataFrame({"sequence": ["a", "b"], "frames": [[0, 5, 9], [2, 3]], "activity": [[0, 0.5, 1], [1, 0]]})
    found = frame_table(manifest)
    assert found["in_window"].tolist() == [False, True, True, True, False]
    assert found["frame"].tolist() == [0, 5, 9, 2, 3]


def test_a_sampler_decides_what_is_in_the_window():
    manifest = pd.DataFrame({"sequence": ["a"], "frames": [[0, 5, 9]], "activity": [[0, 0.5, 1]]})
    assert frame_table(manifest, FrameSampler(kind="uniform", frames=2))["in_window"].tolist() == [True, False, True]


@pytest.mark.parametrize("options", [{"kind": "random"}, {"frames": -1}, {"count": 3}])
def test_absurd_samplers_are_refused(options):
    with pytest.raises(ValidationError):
        FrameSampler(**options)


@pytest.mark.parametrize("seed", range(8))
def test_a_movement_on_a_drift_larger_than_itself_is_found(seed):
    """A head that sinks all the while: the last frame is the farthest from the first."""
    times = np.arange(60)
    plateau = np.interp(times, [10, 19, 31, 45], [0.0, 1.0, 1.0, 0.0])
    found = detect_apex(plateau + np.linspace(0.0, 2.0, 60) + np.random.default_rng(seed).random(60) * 0.1)
    assert abs(found.apex - 25) <= 2
    assert abs(found.onset - 10) <= 4
    assert abs(found.offset - 45) <= 6


def test_a_drift_alone_is_no_movement():
    """What moves most is then at the end."""
    assert detect_apex(np.linspace(0.0, 1.0, 60)).apex >= 40


def test_a_sequence_longer_than_the_grid_is_found_to_a_hundredth_of_it():
    assert abs(detect_apex(movement(1500, 300, 700, 1200, noise=0.02)).apex - 700) <= 30
