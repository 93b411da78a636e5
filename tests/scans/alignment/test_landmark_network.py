import sys
from dataclasses import replace

import numpy as np
import pytest

from affect4d.scans.alignment.align import align, fit_landmarks
from affect4d.scans.alignment.landmark_network import MODEL_FILE, find_landmarks
from affect4d.scans.geometry import apply_pose, keep_triangles
from affect4d.scans.landmark_names import MIRROR
from affect4d.scans.scan import FaceScan
from affect4d.synthetic.action_units import ACTION_UNITS
from affect4d.synthetic.procedural_face import ProceduralFace

MOUTH = slice(48, 68)


def distances(found, true):
    return np.linalg.norm(found - true, axis=1)


@pytest.mark.parametrize("angles", [(0, 0, 0), (5, -5, 4), (-5, 5, -5)])
def test_landmarks_are_found_in_spite_of_an_inexact_pose(face, motion, angles):
    scan, moved = face(4), motion(*angles, shift=(3, -4, 4))
    found = find_landmarks(apply_pose(scan.vertices, moved), scan.faces)
    assert np.median(distances(found.points, apply_pose(scan.landmarks, moved))) < 2.5


def test_a_movement_is_found_in_its_full_size():
    model, weights = ProceduralFace(), np.zeros(len(ACTION_UNITS))
    shape, smile = 0.8 * np.random.default_rng(8).normal(size=model.shape_count), weights.copy()
    smile[[ACTION_UNITS.index(unit) for unit in ("AU12_L", "AU12_R", "AU26")]] = 0.9
    neutral, smiling = (model.surface(shape, one, 2) for one in (weights, smile))
    pose = fit_landmarks(neutral.landmarks).pose
    found = [find_landmarks(apply_pose(one.vertices, pose), one.faces).points for one in (neutral, smiling)]
    true = [apply_pose(one.landmarks, pose) for one in (neutral, smiling)]
    found_move, true_move = (found[1] - found[0])[MOUTH], (true[1] - true[0])[MOUTH]
    assert 0.85 < (found_move * true_move).sum() / (true_move**2).sum() < 1.15


def test_a_missing_mouth_is_uncertain(face):
    scan = face(2)
    corners = scan.vertices[scan.faces].mean(axis=1)
    without = keep_triangles(scan, corners[:, 1] > -15)
    whole, half = (find_landmarks(one.vertices, one.faces).uncertainty for one in (scan, without))
    assert np.median(half[MOUTH]) > 1.5 * np.median(whole[MOUTH])


def test_a_mirrored_face_has_mirrored_landmarks(face):
    scan = face(6)
    one = find_landmarks(scan.vertices, scan.faces).points
    mirror = np.array([-1, 1, 1], np.float32)
    other = find_landmarks(scan.vertices * mirror, scan.faces).points
    assert np.median(distances(other[list(MIRROR)] * mirror, one)) < 2


def test_given_landmarks_are_kept_and_others_found(face):
    scan = face(3)
    given, bare = align(scan), align(replace(scan, landmarks=None))
    assert (given.landmark_source, given.landmark_uncertainty) == ("given", None)
    assert bare.landmark_source == "found"
    assert 0 < bare.landmark_uncertainty < 4
    own = apply_pose(bare.landmarks, np.linalg.inv(bare.pose))
    assert np.median(distances(own, scan.landmarks)) < 3


def test_a_doubtful_pose_has_no_landmarks(monkeypatch):
    monkeypatch.setattr(sys.modules[align.__module__], "detect_pose", lambda *_: None)  # it would search for seconds
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2000, 3))
    ball = FaceScan(
        (90 * points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32),
        rng.integers(0, 2000, (4000, 3)).astype(np.int32),
    )
    found = align(ball)
    assert found.confidence < 0.5
    assert found.landmark_source is None


def test_the_model_file_is_small():
    assert MODEL_FILE.stat().st_size < 5_000_000
