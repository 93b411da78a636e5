import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_files import MARKS, bumpy_grid
from scipy.spatial.transform import Rotation

from affect4d.scans.geometry import (
    TEMPLATE,
    align,
    align_to_template,
    align_without_landmarks,
    apply_pose,
    crop,
    pose_of,
    transform,
    turn_outward,
    unit_scale,
    vertex_normals,
)
from affect4d.scans.landmarks import MIRROR, NAMED, RIGID

GRID = dataclasses.replace(bumpy_grid(60), landmarks=MARKS)


def degrees_between(pose: np.ndarray, other: np.ndarray) -> float:
    return float(np.degrees(Rotation.from_matrix(pose[:3, :3] @ other[:3, :3].T).magnitude()))


def moved_by(angles: tuple[float, float, float], shift: tuple[float, float, float]) -> np.ndarray:
    return pose_of(Rotation.from_euler("xyz", angles, degrees=True).as_matrix(), np.array(shift))


def test_template_is_a_mirror_symmetric_face_around_its_nose_tip():
    assert np.isfinite(TEMPLATE).all()
    np.testing.assert_array_equal(TEMPLATE[list(MIRROR)] * np.float32([-1, 1, 1]), TEMPLATE)
    assert TEMPLATE[NAMED["nose_tip"]].tolist() == [0, 0, 0]
    assert TEMPLATE[:, 2].max() == 0
    assert TEMPLATE[NAMED["left_eye_outer"], 0] > 0
    assert TEMPLATE[NAMED["chin"], 1] < TEMPLATE[NAMED["lower_lip_bottom"], 1] < TEMPLATE[NAMED["nose_base"], 1] < 0


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.tuples(*[st.floats(-500, 500)] * 3),
    st.permutations(range(14)).map(lambda order: order[: len(order) // 2]),
)
def test_alignment_undoes_any_rigid_motion(angles, shift, untracked):
    motion = moved_by(angles, shift)
    landmarks = TEMPLATE.astype(np.float64) @ motion[:3, :3].T + motion[:3, 3]
    landmarks[[RIGID[position] for position in untracked]] = np.nan
    np.testing.assert_allclose(align_to_template(landmarks) @ motion, np.eye(4), atol=1e-6)


def test_alignment_withstands_landmark_noise():
    rng = np.random.default_rng(3)
    motion = moved_by((20, -30, 10), (15, 200, -900))
    noisy = apply_pose(TEMPLATE, motion) + rng.normal(0, 1.5, TEMPLATE.shape).astype(np.float32)
    assert degrees_between(align_to_template(noisy), np.linalg.inv(motion)) < 2


def test_alignment_never_mirrors():
    pose = align_to_template(TEMPLATE * np.float32([-1, 1, 1]))
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)


@pytest.mark.parametrize("keep", [0, 3])
def test_too_few_landmarks_are_refused(keep):
    landmarks = np.full_like(TEMPLATE, np.nan)
    landmarks[list(RIGID[:keep])] = TEMPLATE[list(RIGID[:keep])]
    with pytest.raises(ValueError, match=f"{keep} rigid landmarks"):
        align_to_template(landmarks)
    with pytest.raises(ValueError, match="one line"):
        align_to_template(TEMPLATE * np.float32([1, 0, 0]))


@pytest.mark.parametrize(("factor", "expected"), [(1, 1), (0.1, 10), (0.001, 1000)])
def test_units_are_told_by_extent(factor, expected):
    assert unit_scale(GRID.vertices * factor) == expected
    scan = dataclasses.replace(GRID, vertices=GRID.vertices * factor, landmarks=GRID.landmarks * factor)
    alignment = align(scan)
    np.testing.assert_allclose(apply_pose(scan.landmarks, alignment.pose), TEMPLATE, atol=1e-3)
    assert alignment.confidence > 0.99
    assert bool(alignment.notes) == (factor != 1)


@pytest.mark.parametrize("angles", [(0, 0, 0), (15, 0, 0), (0, 20, 0), (-10, -15, 0), (0, 0, 12), (0, 180, 0)])
def test_shape_alone_finds_the_nose_and_its_direction(angles):
    motion = moved_by(angles, (40, -30, 700))
    pose, confidence = align_without_landmarks(apply_pose(GRID.vertices, motion))
    assert np.linalg.norm((pose @ motion)[:3, 3]) < 8
    assert degrees_between(pose, np.linalg.inv(motion)) < 8
    assert 0 < confidence <= 0.4


def test_shape_alone_withstands_noise_and_spikes():
    rng = np.random.default_rng(0)
    noisy = GRID.vertices + rng.normal(0, 0.4, GRID.vertices.shape).astype(np.float32)
    noisy[[1700, 1900], 2] += 60
    pose, _ = align_without_landmarks(noisy)
    assert np.linalg.norm(pose[:3, 3]) < 8


def test_nothing_to_align_by_is_refused():
    ring = np.float32([[np.cos(angle) * 300, np.sin(angle) * 300, 0] for angle in range(30)])
    with pytest.raises(ValueError, match="no nose"):
        align_without_landmarks(ring)


@pytest.mark.parametrize("radius", [30.0, 60.0, 95.0, 500.0])
def test_crop_keeps_whole_triangles_inside_and_no_loose_vertex(radius):
    cropped = crop(GRID, radius)
    assert np.linalg.norm(cropped.vertices, axis=1).max() <= radius
    assert sorted(set(cropped.faces.ravel())) == list(range(len(cropped.vertices)))
    inside = np.linalg.norm(GRID.vertices, axis=1) <= radius
    kept = GRID.faces[inside[GRID.faces].all(axis=1)]
    np.testing.assert_array_equal(cropped.vertices[cropped.faces], GRID.vertices[kept])
    np.testing.assert_array_equal(cropped.texture_coordinates[cropped.faces], GRID.texture_coordinates[kept])


def test_empty_crop_is_refused():
    with pytest.raises(ValueError, match="95 mm"):
        crop(transform(GRID, moved_by((0, 0, 0), (900, 0, 0))), 95)


def test_normals_are_those_of_a_sphere():
    angles = np.stack(np.meshgrid(np.linspace(0.3, 2.8, 60), np.linspace(0, 3, 60)), -1).reshape(-1, 2)
    sphere = np.stack([np.sin(angles[:, 0]) * np.cos(angles[:, 1]), np.sin(angles[:, 0]) * np.sin(angles[:, 1]),
                       np.cos(angles[:, 0])], axis=1).astype(np.float32)  # fmt: skip
    normals = vertex_normals(sphere, bumpy_grid(60).faces)
    assert np.abs((normals * sphere).sum(axis=1)).min() > 0.99
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)


def test_vertices_without_area_have_a_normal():
    assert vertex_normals(np.zeros((3, 3), np.float32), np.int32([[0, 1, 2]])).tolist() == [[0, 0, 1]] * 3


def test_inward_triangles_are_turned_outward():
    inward = dataclasses.replace(GRID, faces=GRID.faces[:, ::-1])
    turned = turn_outward(inward)
    np.testing.assert_array_equal(turned.faces, GRID.faces)
    assert turned.repairs == ("triangles turned outward",)
    assert turn_outward(GRID) is GRID
