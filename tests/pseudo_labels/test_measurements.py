"""Measurements say what was moved by hand, and nothing about head, size or side."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from affect4d.pseudo_labels.measurements import (
    MEASUREMENTS,
    apex_frames,
    measure_apex,
    measure_frames,
    remove_head_motion,
)
from affect4d.scans.landmark_names import MIRROR

UP, DOWN = (0, 4, 0), (0, -4, 0)
MOVES = {
    "inner_brow_raise": ([19, 20, 21, 22], UP),
    "outer_brow_raise": ([16, 17, 24, 25], UP),
    "brow_gathering": ([19, 20, 21, 22], (3, 0, 0)),
    "upper_lid_raise": ([1, 2, 3], UP),
    "lower_lid_raise": ([5, 6, 7], UP),
    "eye_opening": ([1, 2, 3], UP),
    "nose_wing_raise": ([38, 39], UP),
    "nose_widening": ([38, 39, 40], (-2, 0, 0)),
    "upper_lip_raise": ([50, 51], UP),
    "lip_corner_raise": ([48, 60], UP),
    "lip_corner_pull_back": ([48, 60], (0, 0, -4)),
    "mouth_widening": ([48, 60], (-4, 0, 0)),
    "lip_parting": ([65, 66, 67], DOWN),
    "upper_lip_thinning": ([50, 51], DOWN),
    "lower_lip_thinning": ([56, 57, 58], UP),
    "lower_lip_lowering": ([56, 57, 58], DOWN),
    "lip_protrusion": ([50, 51, 57, 58], (0, 0, 4)),
    "jaw_drop": ([74, 75], DOWN),
}


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_each_measurement_is_positive_when_the_face_does_what_it_says(perform, name):
    measured = measure_frames(perform(MOVES[name]))
    eye_distance = 91.2
    assert measured[name].max() * eye_distance > 1.9
    assert measured[name].iloc[0] == 0


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_the_opposite_movement_measures_the_opposite(perform, name):
    rows, offset = MOVES[name]
    there = measure_frames(perform((rows, offset)))[name]
    back = measure_frames(perform((rows, offset), strength=-1.0))[name]
    np.testing.assert_allclose(there, -back, atol=1e-9)


def test_head_movement_place_and_size_do_not_matter(perform):
    track = perform(MOVES["inner_brow_raise"], MOVES["mouth_widening"])
    turns = Rotation.from_euler("xyz", np.linspace(0, 20, 7)[:, None] * (1, -0.5, 0.3), degrees=True).as_matrix()
    moved = np.einsum("fij,fpj->fpi", turns, track) + np.linspace(0, 9, 7)[:, None, None]
    np.testing.assert_allclose(measure_frames(1.7 * moved), measure_frames(track), atol=1e-9)
    np.testing.assert_allclose(remove_head_motion(moved), track, atol=1e-9)


def test_the_mirror_image_measures_the_same(perform):
    track = perform(MOVES["lip_corner_raise"])
    track[:, 48] += (0.0, 2.0, 0.0)
    mirrored = track[:, list(MIRROR)] * (-1, 1, 1)
    np.testing.assert_allclose(measure_frames(mirrored), measure_frames(track), atol=1e-9)


def test_apex_is_the_plateau_and_a_blink_does_not_move_it(perform):
    track = perform(MOVES["mouth_widening"], frames=12)
    assert not apex_frames(track)[[0, -1]].any()
    blinking = track.copy()
    blinking[6, [1, 2, 3, 9, 10, 11], 1] -= 9.0
    assert abs(measure_apex(blinking)["eye_opening"]) < 0.005


def test_untracked_landmarks_are_left_out(perform):
    track = perform(MOVES["inner_brow_raise"])
    whole = measure_frames(track)["inner_brow_raise"]
    track[:, 20] = np.nan
    np.testing.assert_allclose(measure_frames(track)["inner_brow_raise"], whole, atol=1e-9)
    track[3, [38, 39, 43, 44]] = np.nan
    measured = measure_frames(track)["nose_wing_raise"]
    assert np.isnan(measured[3])
    assert measured.drop(3).notna().all()


def test_a_frame_without_rigid_landmarks_is_refused(perform):
    track = perform(MOVES["jaw_drop"])
    track[2] = np.nan
    with pytest.raises(ValueError, match="it takes three"):
        measure_frames(track)


def test_a_neutral_frame_without_eye_corners_is_refused(perform):
    track = perform(MOVES["jaw_drop"])
    track[0, 0] = np.nan
    with pytest.raises(ValueError, match="eye corner"):
        measure_frames(track)
