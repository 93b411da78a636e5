import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from affect4d.scans.alignment.pose_by_landmark_detection import detect_pose, fit_similarity, mean_landmarks
from affect4d.scans.geometry import apply_pose


@pytest.mark.parametrize("angles", [(0, 0, 0), (8, -6, 5), (0, 0, 180), (0, 180, 0), (-90, 0, 0), (100, 40, -70)])
def test_a_face_is_found_however_its_file_holds_it(face, motion, degrees, angles):
    scan, moved = face(3), motion(*angles, shift=(30, -200, 500))
    found = detect_pose(apply_pose(scan.vertices, moved), scan.faces)
    assert found.confidence > 0.5
    turned = found.rotation @ moved[:3, :3]
    assert np.degrees(Rotation.from_matrix(turned).magnitude()) < 10
    nose = found.scale * found.rotation @ moved[:3, 3] + found.shift
    assert np.linalg.norm(nose) < 12


@pytest.mark.parametrize("factor", [0.001, 0.1, 10])
def test_the_scale_follows_the_unit(face, factor):
    scan = face(2)
    one, other = (detect_pose(scan.vertices * np.float32(size), scan.faces) for size in (1, factor))
    assert one.scale == pytest.approx(other.scale * factor, rel=0.03)


def test_white_noise_hides_no_face(face):
    scan = face(5)
    noise = np.random.default_rng(0).normal(0, 0.4, scan.vertices.shape).astype(np.float32)
    assert detect_pose(scan.vertices + noise, scan.faces).confidence > 0.5


def test_a_ball_is_no_face():
    turns = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    heights = np.linspace(-1, 1, 40)
    rings = np.array(
        [[np.sqrt(1 - h * h) * np.cos(t), h, np.sqrt(1 - h * h) * np.sin(t)] for h in heights for t in turns]
    )
    corner = np.arange(39 * 60).reshape(39, 60)
    beside, above = np.roll(corner, -1, axis=1), corner + 60
    faces = np.concatenate(
        [np.stack(c, -1).reshape(-1, 3) for c in ((corner, beside, above), (beside, np.roll(above, -1, 1), above))]
    )
    found = detect_pose((90 * rings).astype(np.float32), faces.astype(np.int32))
    assert found is None or found.confidence < 0.5


def test_a_fit_recovers_a_similarity_despite_outliers():
    mean, trust = mean_landmarks()
    rotation = Rotation.from_euler("xyz", (20, -30, 10), degrees=True).as_matrix()
    points = (mean - [4, 5, 6]) @ rotation / 1.3
    points[::7] += 40
    points[3] = np.nan
    fit = fit_similarity(points, mean, trust)
    np.testing.assert_allclose(fit.rotation, rotation, atol=1e-2)
    assert fit.scale == pytest.approx(1.3, rel=1e-2)


def test_too_few_landmarks_on_the_surface_fix_no_pose():
    mean, trust = mean_landmarks()
    few = np.where(np.arange(478)[:, None] < 150, mean, np.nan)
    assert fit_similarity(few, mean, trust) is None


def test_the_mean_landmarks_are_a_face_with_its_nose_tip_at_the_origin():
    mean, trust = mean_landmarks()
    assert mean.shape == (478, 3)
    assert np.linalg.norm(mean[1]) < 8  # MediaPipe's nose tip
    right, left = mean[33], mean[263]  # outer corners of the eyes
    assert left[0] == pytest.approx(-right[0], abs=5)
    assert ((trust > 0) & (trust <= 1)).all()
