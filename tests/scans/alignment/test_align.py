import dataclasses

import numpy as np
import pytest

from affect4d.scans.alignment import align, canonical_face
from affect4d.scans.alignment.mean_face import MEAN_LANDMARKS
from affect4d.scans.alignment.orientation import describe_orientation, turned_by, unit_of
from affect4d.scans.geometry import apply_pose, keep_triangles, transform


def without_landmarks(scan):
    return dataclasses.replace(scan, landmarks=None)


def test_a_good_scan_has_no_findings(face):
    alignment = align(face(1))
    assert alignment.findings == {}
    assert (alignment.method, alignment.unit) == ("landmarks", "mm")
    assert alignment.confidence > 0.5
    assert alignment.seen > 0.95
    assert alignment.turned < 5
    assert alignment.landmarks.shape == (83, 3)


def test_without_landmarks_shape_takes_over(face):
    alignment = align(without_landmarks(face(1)))
    assert alignment.findings == {}
    assert alignment.method == "shape"
    assert 0.5 < alignment.confidence <= 0.7
    assert alignment.landmarks is None


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
        apply_pose(small.vertices, alignment.pose), apply_pose(scan.vertices, align(scan).pose), atol=0.1
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
    assert alignment.method == "shape"
    assert "landmarks" in alignment.findings
    assert alignment.landmarks is None


@pytest.mark.parametrize("away", [(0, 90, 0), (50, 0, 0), (0, 0, -50), (0, 0, -100), (40, 0, 40)])
@pytest.mark.parametrize("person", [1, 2])
def test_landmarks_beside_the_scan_are_left_out(face, person, away):
    scan = face(person)
    moved = dataclasses.replace(scan, landmarks=scan.landmarks + np.float32(away))
    alignment = align(moved)
    assert alignment.findings == {"landmarks": "landmarks lie beside the scan and are left out"}
    assert (alignment.method, alignment.landmarks) == ("shape", None)
    whole = apply_pose(scan.vertices, align(scan).pose)
    assert np.linalg.norm(apply_pose(scan.vertices, alignment.pose) - whole, axis=1).mean() < 10


@pytest.mark.parametrize("away", [(0, 20, 0), (15, 0, 0), (0, 0, -20), (12, 12, 12)])
@pytest.mark.parametrize("person", [1, 2])
def test_landmarks_that_another_alignment_left_beside_the_scan_are_kept(face, person, away):
    scan = face(person)
    alignment = align(dataclasses.replace(scan, landmarks=scan.landmarks + np.float32(away)))
    assert alignment.method == "landmarks"
    assert alignment.confidence > 0.5


@pytest.mark.parametrize("kept", [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_landmarks_of_half_a_face_are_trusted(face, kept):
    scan = face(1)
    half = transform(scan, align(scan).pose).vertices[:, :2] @ np.array(kept) > -15
    alignment = align(keep_triangles(scan, half[scan.faces].all(axis=1)))
    assert alignment.method == "landmarks"
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
    assert alignment.method == "shape"
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
