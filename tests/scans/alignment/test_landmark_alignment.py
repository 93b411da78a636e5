import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affect4d.scans.alignment.landmark_alignment import fit_landmarks
from affect4d.scans.alignment.mean_face import LANDMARK_TRUST, MEAN_LANDMARKS
from affect4d.scans.geometry import apply_pose, pose_of
from affect4d.scans.landmark_names import MIRROR, NAMED

BOSPHORUS = (0, 4, 8, 12, 16, 18, 20, 26, 28, 30, 36, 39, 43, 46, 47, 48, 51, 54, 57, 62, 66, 75)
"""Rows of 22 landmarks such as Bosphorus has."""


def only(rows):
    landmarks = np.full_like(MEAN_LANDMARKS, np.nan)
    landmarks[list(rows)] = MEAN_LANDMARKS[list(rows)]
    return landmarks


def test_mean_landmarks_are_a_mirror_symmetric_face_around_its_nose_tip():
    assert np.isfinite(MEAN_LANDMARKS).all()
    np.testing.assert_array_equal(MEAN_LANDMARKS[list(MIRROR)] * np.float32([-1, 1, 1]), MEAN_LANDMARKS)
    assert MEAN_LANDMARKS[NAMED["nose_tip"]].tolist() == [0, 0, 0]
    assert MEAN_LANDMARKS[:, 2].max() == 0
    assert MEAN_LANDMARKS[NAMED["left_eye_outer"], 0] > 0
    chin, lip, base = (MEAN_LANDMARKS[NAMED[name], 1] for name in ("chin", "lower_lip_bottom", "nose_base"))
    assert chin < lip < base < 0


def test_both_sides_are_trusted_alike():
    np.testing.assert_array_equal(LANDMARK_TRUST[list(MIRROR)], LANDMARK_TRUST)
    assert (LANDMARK_TRUST > 0).all()


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.tuples(*[st.floats(-500, 500)] * 3),
    st.permutations(range(83)).map(lambda order: order[:40]),
)
def test_any_rigid_motion_is_undone_from_any_half_of_the_landmarks(angles, shift, untracked):
    from scipy.spatial.transform import Rotation

    moved = pose_of(Rotation.from_euler("xyz", angles, degrees=True).as_matrix(), np.array(shift))
    landmarks = MEAN_LANDMARKS.astype(np.float64) @ moved[:3, :3].T + moved[:3, 3]
    landmarks[list(untracked)] = np.nan
    fit = fit_landmarks(landmarks)
    np.testing.assert_allclose(fit.pose @ moved, np.eye(4), atol=1e-3)
    assert fit.confidence > 0.999


def test_noise_turns_a_pose_little(motion, degrees):
    rng, moved = np.random.default_rng(3), motion(20, -30, 10, (15, 200, -900))
    noisy = apply_pose(MEAN_LANDMARKS, moved) + rng.normal(0, 1.5, MEAN_LANDMARKS.shape).astype(np.float32)
    assert degrees(fit_landmarks(noisy).pose, moved) < 1.5


def test_the_22_landmarks_of_bosphorus_are_enough(face, motion, degrees):
    scan, moved = face(3), motion(15, 25, -10, (40, 0, 300))
    landmarks = apply_pose(scan.landmarks, moved)
    whole = fit_landmarks(landmarks)
    landmarks[[row for row in range(83) if row not in BOSPHORUS]] = np.nan
    assert degrees(fit_landmarks(landmarks).pose, np.linalg.inv(whole.pose)) < 6


def test_an_open_mouth_turns_a_face_little(face, degrees):
    for number in range(5):
        assert degrees(fit_landmarks(face(number, expression=0.6).landmarks).pose, np.eye(4)) < 3


def test_a_landmark_put_elsewhere_is_passed_over(motion, degrees):
    moved = motion(0, 30, 0)
    landmarks = apply_pose(MEAN_LANDMARKS, moved)
    landmarks[NAMED["left_eye_outer"]] += 300
    fit = fit_landmarks(landmarks)
    assert degrees(fit.pose, moved) < 3
    assert fit.confidence < 0.5


def test_exchanged_sides_are_seen_and_never_mirror_the_pose():
    fit = fit_landmarks(MEAN_LANDMARKS * np.float32([-1, 1, 1]))
    assert fit.mirrored
    assert fit.confidence > 0.99
    assert np.linalg.det(fit.pose[:3, :3]) == pytest.approx(1)
    assert not fit_landmarks(MEAN_LANDMARKS).mirrored


@pytest.mark.parametrize("rows", [(), (0, 4, 47), (48, 54, 60, 64, 75), tuple(range(48, 67))])
def test_too_few_or_too_mobile_landmarks_are_refused(rows):
    with pytest.raises(ValueError, match=f"{len(rows)} landmarks"):
        fit_landmarks(only(rows))


def test_landmarks_on_a_line_are_refused():
    with pytest.raises(ValueError, match="one line"):
        fit_landmarks(MEAN_LANDMARKS * np.float32([1, 0, 0]))
