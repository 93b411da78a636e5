import dataclasses
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affect4d.pretrained_files import PretrainedModelMissingError
from affect4d.scans.alignment import align, canonical_face
from affect4d.scans.alignment.align import describe_orientation, fit_landmarks, turned_by, unit_of
from affect4d.scans.alignment.mean_face import LANDMARK_TRUST, MEAN_LANDMARKS
from affect4d.scans.geometry import apply_pose, keep_triangles, pose_of, transform
from affect4d.scans.landmark_names import MIRROR, NAMED


def without_landmarks(scan):
    return dataclasses.replace(scan, landmarks=None)


def test_a_good_scan_has_no_findings(face):
    alignment = align(face(1))
    assert alignment.findings == {}
    assert (alignment.method, alignment.landmark_source, alignment.unit) == ("detection", "given", "mm")
    assert alignment.confidence > 0.5
    assert alignment.seen > 0.95
    assert alignment.turned < 5
    assert alignment.landmarks.shape == (83, 3)


def test_without_landmark_files_landmarks_are_detected(face, degrees):
    scan_with_landmarks = face(1)
    alignment = align(without_landmarks(scan_with_landmarks))
    assert alignment.findings == {}
    assert alignment.method == "detection"
    assert alignment.confidence > 0.5
    given = apply_pose(scan_with_landmarks.landmarks, alignment.pose)
    assert np.nanmedian(np.linalg.norm(alignment.landmarks - given, axis=1)) < 10
    assert degrees(alignment.pose, np.eye(4)) < 6


@pytest.fixture
def no_detector(monkeypatch):
    """As where none is installed."""

    def missing(*_):
        raise PretrainedModelMissingError("install it")

    for name in ("detect_pose", "detect_upright_pose"):
        monkeypatch.setattr(sys.modules[describe_orientation.__module__], name, missing)


def test_without_a_detector_the_pose_is_that_of_given_landmarks(face, no_detector):
    alignment = align(face(1))
    assert (alignment.method, alignment.findings) == ("landmarks", {})


def test_given_landmarks_lie_on_the_scan_at_the_detected_pose(face, degrees):
    scan = face(1)
    detected, given = align(scan), align(scan, detect=False)
    assert (detected.method, given.method) == ("detection", "landmarks")
    assert 0 < degrees(detected.pose, np.linalg.inv(given.pose)) < 6
    for alignment in (detected, given):
        np.testing.assert_allclose(alignment.landmarks, apply_pose(scan.landmarks, alignment.pose), atol=1e-3)
    scale = detected.pose[:3, :3] @ detected.pose[:3, :3].T
    np.testing.assert_allclose(scale, np.eye(3), atol=1e-6)


def test_the_detected_pose_does_not_hang_on_an_error_of_the_landmarks(face, motion, degrees):
    scan = face(2)
    other = dataclasses.replace(scan, landmarks=apply_pose(scan.landmarks, motion(4, -6, 3, (3, 5, -2))))
    assert degrees(align(other, detect=False).pose, np.linalg.inv(align(scan, detect=False).pose)) > 5
    assert degrees(align(other).pose, np.linalg.inv(align(scan).pose)) < 1


def test_without_a_detector_the_shape_is_aligned_and_the_remedy_named(face, no_detector):
    alignment = align(without_landmarks(face(1)))
    assert alignment.findings == {"landmarks": "aligned by shape: install it"}
    assert alignment.method == "shape"
    assert 0.5 < alignment.confidence <= 0.7
    assert alignment.landmark_source == "found"


@pytest.mark.parametrize("landmarks", [True, False])
@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("cm", 0.1), ("m", 0.001)])
def test_a_unit_is_told_scaled_and_noted(face, unit, factor, landmarks):
    scan = face(2) if landmarks else without_landmarks(face(2))
    small = dataclasses.replace(scan, vertices=scan.vertices * np.float32(factor))
    if landmarks:
        small = dataclasses.replace(small, landmarks=scan.landmarks * np.float32(factor))
    alignment = align(small)
    assert alignment.unit == unit
    assert ("scaled" in alignment.findings) == (unit != "mm")
    np.testing.assert_allclose(
        apply_pose(small.vertices, alignment.pose),
        apply_pose(scan.vertices, align(scan).pose),
        atol=0.5 if landmarks else 1.5,  # a detector answers the last bit of a rendering
    )


def test_one_far_point_does_not_change_the_unit(face):
    vertices = face(2).vertices.copy()
    vertices[7] = 20_000
    assert unit_of(vertices) == "mm"


@pytest.mark.parametrize("factor", [1e-6, 0.011, 25.4])
def test_a_size_that_is_no_faces_is_refused(face, factor):
    with pytest.raises(ValueError, match="Scale it to millimetres"):
        align(dataclasses.replace(without_landmarks(face(2)), vertices=face(2).vertices * np.float32(factor)))


@pytest.mark.parametrize("landmarks", [True, False])
@pytest.mark.parametrize(
    ("angles", "words"),
    [
        ((0, 0, 180), "stands upside down in"),
        ((0, 180, 0), "looks away, at −z"),
        ((180, 0, 0), "stands upside down and looks away"),
        ((-90, 0, 0), "looks along +y"),
        ((0, 0, 90), "lies on its side"),
    ],
)
def test_a_face_that_stands_otherwise_is_turned_and_flagged(face, motion, degrees, angles, words, landmarks):
    scan = face(3) if landmarks else without_landmarks(face(3))
    moved = motion(*angles)
    alignment = align(transform(scan, moved))
    assert next(iter(alignment.findings)) == "turned"
    assert words in alignment.findings["turned"]
    assert degrees(alignment.pose, moved) < 8


def test_an_ordinary_turn_is_no_finding(motion):
    assert describe_orientation(motion(20, -40, 15)[:3, :3]) == ""
    assert turned_by(motion(0, 35, 0)[:3, :3]) == pytest.approx(35)


def test_a_mirrored_scan_is_flagged_and_its_landmarks_are_named_anew(face):
    scan = face(4)
    mirrored = dataclasses.replace(
        scan, vertices=scan.vertices * np.float32([-1, 1, 1]), landmarks=scan.landmarks * np.float32([-1, 1, 1])
    )
    alignment = align(mirrored)
    assert next(iter(alignment.findings)) == "mirrored"
    assert np.linalg.det(alignment.pose[:3, :3]) > 0
    assert alignment.turned < 5
    assert alignment.landmarks[8, 0] > 0


def test_landmarks_of_another_scan_are_left_out(face):
    scrambled = np.random.default_rng(0).permutation(face(5).landmarks)
    alignment = align(dataclasses.replace(face(5), landmarks=scrambled))
    assert alignment.method == "detection"
    assert alignment.findings == {"landmarks": "landmarks lie unlike a face's and are left out"}
    assert np.linalg.norm(alignment.landmarks - scrambled, axis=1).max() > 50


@pytest.mark.parametrize("away", [(0, 90, 0), (50, 0, 0), (0, 0, -50), (0, 0, -100), (40, 0, 40)])
@pytest.mark.parametrize("person", [1, 2])
def test_landmarks_beside_the_scan_are_left_out(face, person, away):
    scan = face(person)
    moved = dataclasses.replace(scan, landmarks=scan.landmarks + np.float32(away))
    alignment = align(moved)
    assert alignment.findings == {"landmarks": "landmarks lie beside the scan and are left out"}
    assert (alignment.method, alignment.landmark_source) == ("detection", "found")
    whole = apply_pose(scan.vertices, align(scan).pose)
    assert np.linalg.norm(apply_pose(scan.vertices, alignment.pose) - whole, axis=1).mean() < 10


@pytest.mark.parametrize("away", [(0, 20, 0), (15, 0, 0), (0, 0, -20), (12, 12, 12)])
@pytest.mark.parametrize("person", [1, 2])
def test_landmarks_that_another_alignment_left_beside_the_scan_are_kept(face, person, away):
    scan = face(person)
    alignment = align(dataclasses.replace(scan, landmarks=scan.landmarks + np.float32(away)))
    assert alignment.landmark_source == "given"
    assert alignment.confidence > 0.5
    assert alignment.findings == {}


@pytest.mark.parametrize(("angle", "told"), [(8, False), (30, True)])
def test_landmarks_that_disagree_with_the_detector_are_told_and_kept(face, motion, degrees, angle, told):
    scan = face(2)
    other = dataclasses.replace(scan, landmarks=apply_pose(scan.landmarks, motion(y=angle)))
    alignment = align(other)
    assert alignment.method == ("landmarks" if told else "detection")
    assert degrees(alignment.pose, motion(y=angle if told else 0)) < 5
    assert ("landmarks" in alignment.findings) == told
    assert "landmarks" not in align(other, detect=False).findings


def test_landmarks_beside_the_scan_leave_the_pose_to_the_shape_without_a_detector(face, no_detector):
    scan = face(1)
    alignment = align(dataclasses.replace(scan, landmarks=scan.landmarks + np.float32([0, 90, 0])))
    assert alignment.method == "shape"
    assert alignment.findings["landmarks"].startswith(
        "landmarks lie beside the scan and are left out; aligned by shape"
    )


@pytest.mark.parametrize("kept", [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_landmarks_of_half_a_face_are_trusted(face, degrees, kept):
    scan = face(1)
    whole = align(scan)
    half = transform(scan, whole.pose).vertices[:, :2] @ np.array(kept) > -15
    alignment = align(keep_triangles(scan, half[scan.faces].all(axis=1)))
    assert alignment.landmark_source == "given"
    assert degrees(alignment.pose, np.linalg.inv(whole.pose)) < 6
    assert alignment.confidence > 0.5
    assert "landmarks" not in alignment.findings


@pytest.mark.parametrize(("factor", "told"), [(1.0, False), (1.15, False), (0.7, True), (1.55, True)])
def test_a_size_that_is_hardly_a_faces_is_told_by_landmarks(face, factor, told):
    scan = face(2)
    large = dataclasses.replace(scan, vertices=scan.vertices * factor, landmarks=scan.landmarks * np.float32(factor))
    assert ("size" in align(large).findings) == told


def test_too_few_landmarks_leave_the_pose_to_the_shape(face):
    few = np.full_like(MEAN_LANDMARKS, np.nan)
    few[[47, 48]] = face(6).landmarks[[47, 48]]
    alignment = align(dataclasses.replace(face(6), landmarks=few))
    assert alignment.method == "detection"
    assert "2 landmarks are tracked" in alignment.findings["landmarks"]


def test_half_a_face_is_incomplete(face):
    scan = face(6)
    half = dataclasses.replace(scan, vertices=scan.vertices[scan.vertices[:, 0] > 0], faces=np.int32([[0, 1, 2]]))
    assert "incomplete" in align(half).findings


def test_what_is_no_face_has_a_doubtful_pose():
    rng = np.random.default_rng(1)
    ball = rng.normal(size=(6000, 3))
    ball *= 90 / np.linalg.norm(ball, axis=1, keepdims=True)
    alignment = align(dataclasses.replace(_scan_of(ball), landmarks=None))
    assert next(iter(alignment.findings)) in {"turned", "low-confidence"}
    assert alignment.confidence < 0.5


def test_a_canonical_face_is_a_function_of_scan_pose_and_crop(face):
    scan = face(8)
    pose = align(scan).pose
    first, second = canonical_face(scan, pose, 80.0), canonical_face(scan, pose, 80.0)
    np.testing.assert_array_equal(first.scan.vertices, second.scan.vertices)
    assert np.linalg.norm(first.scan.vertices, axis=1).max() <= 80.0


def _scan_of(points):
    from affect4d.scans.scan import FaceScan

    return FaceScan(points.astype(np.float32), np.int32([[0, 1, 2]]))


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
