import dataclasses

import numpy as np
import pytest

from affect4d.scans.alignment import TakeAligner, take_alignment
from affect4d.scans.geometry import transform


def without_landmarks(scan):
    return dataclasses.replace(scan, landmarks=None)


@pytest.fixture
def take(face, motion):
    """Expressions of one subject, the head moving by some degrees and mm a frame."""
    motions = [motion(2 * frame, -3 * frame, frame, (4 * frame, 0, -5 * frame)) for frame in range(5)]
    scans = [without_landmarks(face(3, strength)) for strength in (0.0, 0.1, 0.2, 0.3, 0.3)]
    return [transform(scan, moved) for scan, moved in zip(scans, motions, strict=True)], motions


def test_the_frames_of_a_take_keep_the_pose_of_its_first(take, degrees):
    scans, motions = take
    aligner = TakeAligner()
    found = [aligner.align(scan) for scan in scans]
    assert [one.method for one in found] == ["detection", *["tracking"] * 4]
    assert {one.confidence for one in found} == {found[0].confidence}
    for one, moved in zip(found, motions, strict=True):
        relative = one.pose @ moved @ np.linalg.inv(found[0].pose)
        assert degrees(relative, np.eye(4)) < 0.7
        assert np.linalg.norm(relative[:3, 3]) < 1


def test_tracked_frames_have_detected_landmarks(take):
    scans, _ = take
    aligner = TakeAligner()
    first, second = (aligner.align(scan).landmarks for scan in scans[:2])
    assert np.nanmedian(np.linalg.norm(first - second, axis=1)) < 3


def test_frames_have_no_landmarks_where_none_are_wanted(take):
    scans, _ = take
    with_landmarks, without = TakeAligner(), TakeAligner(find_landmarks=False)
    for scan in scans[:2]:
        full, plain = with_landmarks.align(scan), without.align(scan)
        assert full.landmarks is not None
        assert (plain.landmarks, plain.landmark_source) == (None, None)
        np.testing.assert_array_equal(plain.pose, full.pose)


def test_a_frame_that_turned_too_far_is_searched_and_then_registered(take, motion, degrees):
    scans, motions = take
    aligner = TakeAligner()
    first = aligner.align(scans[0])
    turned = motion(0, 0, 180) @ motions[1]
    found = aligner.align(transform(scans[1], motion(0, 0, 180)))
    assert found.method == "tracking"
    assert "turned" in found.findings
    assert degrees(found.pose @ turned @ np.linalg.inv(first.pose), np.eye(4)) < 0.7


def test_a_frame_that_fits_nowhere_is_aligned_by_itself(take, monkeypatch):
    monkeypatch.setattr(take_alignment, "MIN_WEIGHT", 1.01)
    scans, _ = take
    aligner = TakeAligner()
    assert [aligner.align(scan).method for scan in scans[:2]] == ["detection", "detection"]


def test_the_poses_of_a_take_depend_on_its_frames_alone(take):
    scans, _ = take
    one, other = TakeAligner(), TakeAligner()
    for scan in scans[:3]:
        np.testing.assert_array_equal(one.align(scan).pose, other.align(scan).pose)


def test_only_the_first_landmarks_of_a_take_are_compared(face, motion):
    scan = face(2)
    other = dataclasses.replace(scan, landmarks=transform(scan, motion(y=30)).landmarks)
    aligner = TakeAligner()
    findings = [aligner.align(other).findings for _ in range(2)]
    assert ["landmarks" in found for found in findings] == [True, False]


@pytest.fixture
def tracked_take(face, motion):
    """Frames of one subject whose landmarks err by another angle in every frame."""
    errors = [motion(2 * frame, 0, -frame) for frame in range(4)]
    scans = [face(3, strength) for strength in (0.0, 0.1, 0.2, 0.3)]
    return [
        dataclasses.replace(scan, landmarks=transform(scan, error).landmarks)
        for scan, error in zip(scans, errors, strict=True)
    ]


def test_frames_with_landmarks_keep_the_detected_pose_of_the_first(tracked_take, degrees):
    aligner = TakeAligner()
    found = [aligner.align(scan) for scan in tracked_take]
    assert [one.method for one in found] == ["detection", *["tracking"] * 3]
    assert {one.landmark_source for one in found} == {"given"}
    for one, scan in zip(found, tracked_take, strict=True):
        assert degrees(one.pose, np.linalg.inv(found[0].pose)) < 0.7
        np.testing.assert_allclose(one.landmarks, transform(scan, one.pose).landmarks, atol=1e-3)


def test_a_frame_far_from_where_its_landmarks_are_keeps_their_pose(tracked_take, motion, degrees):
    aligner = TakeAligner()
    aligner.align(tracked_take[0])
    scan = tracked_take[1]
    other = dataclasses.replace(scan, landmarks=transform(scan, motion(y=25)).landmarks)
    assert aligner.align(other).method == "landmarks"
