import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from affect4d.scans.alignment.icp_alignment import (
    MAX_TURN,
    STIFFNESS,
    cube_positions,
    fit_shape,
    plane_distances,
    point_to_plane_icp,
    voxel_downsample,
    weights,
)
from affect4d.scans.geometry import apply_pose

POSES = [(0, 0, 0), (20, 0, 0), (-20, 0, 0), (0, 30, 0), (0, -30, 0), (0, 0, 20), (0, 0, -20), (15, -25, 12)]


def fit(vertices):
    return fit_shape(voxel_downsample(vertices.astype(np.float64)))


@pytest.mark.parametrize("angles", POSES)
def test_a_face_is_found_in_any_ordinary_pose(face, motion, degrees, shoulders, angles):
    moved = motion(*angles, shift=(200, -150, 700))
    for number in (1, 2):
        scan = np.concatenate([face(number).vertices, shoulders()])
        found = fit(apply_pose(scan, moved))
        assert degrees(found.pose, moved) < 8
        assert np.linalg.norm((found.pose @ moved)[:3, 3]) < 12
        assert found.confidence > 0.5


@pytest.mark.parametrize("number", range(4, 12))
def test_yaw_and_roll_are_found_closely(face, motion, number):
    moved = motion(5, 20, -10)
    turned = fit(apply_pose(face(number).vertices, moved)).pose[:3, :3] @ moved[:3, :3]
    assert abs(np.degrees(np.arctan2(turned[0, 2], turned[2, 2]))) < 3
    assert abs(np.degrees(np.arctan2(turned[1, 0], turned[0, 0]))) < 3


@pytest.mark.parametrize("angles", [(0, 180, 0), (0, 0, 180), (-90, 0, 0), (180, 0, 0), (0, 0, 90)])
def test_a_face_that_stands_otherwise_is_found(face, motion, degrees, angles):
    moved = motion(*angles)
    found = fit(apply_pose(face(3).vertices, moved))
    assert degrees(found.pose, moved) < 8


def test_holes_noise_and_strays_are_withstood(face, degrees):
    rng, vertices = np.random.default_rng(0), face(5).vertices
    vertices = vertices + rng.normal(0, 0.8, vertices.shape).astype(np.float32)
    vertices = vertices[np.linalg.norm(vertices - np.float32([40, 10, -40]), axis=1) > 20]
    vertices[rng.integers(len(vertices), size=8), 2] += rng.choice([-80, 60, 3000], 8)
    assert degrees(fit(vertices).pose, np.eye(4)) < 8


def test_a_ball_a_box_and_noise_are_no_faces():
    rng = np.random.default_rng(1)
    ball = rng.normal(size=(6000, 3))
    ball *= 90 / np.linalg.norm(ball, axis=1, keepdims=True)
    plate = np.concatenate([rng.uniform(-90, 90, (4000, 2)), np.zeros((4000, 1))], axis=1)
    for thing in (ball, plate, rng.uniform(-100, 100, (5000, 3))):
        assert fit(thing.astype(np.float32)).confidence < 0.3


def test_half_a_face_is_less_sure(face):
    vertices = face(6).vertices
    whole, half = fit(vertices), fit(vertices[vertices[:, 0] > -5])
    assert half.seen < whole.seen - 0.1
    assert half.confidence < whole.confidence


def test_nothing_to_align_by_is_refused():
    ring = np.float32([[np.cos(angle) * 300, np.sin(angle) * 300, 0] for angle in range(30)])
    with pytest.raises(ValueError, match=r"no face|too few"):
        fit(ring)


def test_the_same_points_give_the_same_pose(face):
    vertices = face(7).vertices
    first, second = fit(vertices), fit(vertices.copy())
    np.testing.assert_array_equal(first.pose, second.pose)
    assert dataclasses.astuple(first)[1:] == dataclasses.astuple(second)[1:]


def test_the_positions_of_a_cube_are_24_rotations():
    positions = (np.eye(3), *cube_positions())
    assert len({tuple(position.ravel()) for position in positions}) == 24
    assert all(np.linalg.det(position) == pytest.approx(1) for position in positions)


def test_thinning_keeps_places_apart_and_drops_strays():
    rng = np.random.default_rng(2)
    points = np.concatenate([rng.uniform(-50, 50, (20_000, 3)), [[5000.0, 0, 0]]])
    thin = voxel_downsample(points, 10.0)
    assert 900 < len(thin) < 1500
    assert np.abs(thin).max() < 50
    assert len(voxel_downsample(np.empty((0, 3)))) == 0


def test_a_step_solves_the_weighted_normal_equations(face, motion):
    points = voxel_downsample(face(2).vertices.astype(np.float64))
    rotations = np.stack([motion(*angles)[:3, :3] for angles in ((3, 0, 0), (0, -8, 4), (0, 60, 0))])
    shifts, tolerances = np.array([[2.0, 0, -5], [0, 6, 1], [9, 0, 0]]), (25.0, 4.0)
    found = point_to_plane_icp(points, rotations, shifts, tolerances)
    largest = 0.0
    for start, ended, moved in zip(zip(rotations, shifts, strict=True), *found, strict=True):
        turn, shift = start
        for tolerance in tolerances:
            placed = points @ turn.T + shift
            normals, distances = plane_distances(placed)
            slopes = np.concatenate([np.cross(placed, normals), normals], axis=1)
            scaled = slopes * weights(distances, tolerance)[:, None]
            step = np.linalg.solve(scaled.T @ slopes + np.diag(STIFFNESS), -scaled.T @ distances)
            by = Rotation.from_rotvec(step[:3].clip(-MAX_TURN, MAX_TURN)).as_matrix()
            turn, shift = by @ turn, by @ shift + step[3:]
            largest = max(largest, np.abs(step[:3]).max())
        np.testing.assert_allclose(ended, turn, atol=1e-9)
        np.testing.assert_allclose(moved, shift, atol=1e-9)

    assert largest > MAX_TURN


def test_points_that_are_not_finite_are_an_error_and_no_crash():
    with pytest.raises(ValueError, match=r"(?i)singular|nan"):
        point_to_plane_icp(np.full((40, 3), np.nan), np.eye(3)[None], np.zeros((1, 3)), (8.0,))


def test_no_starts_have_no_ends(face):
    points = voxel_downsample(face(2).vertices.astype(np.float64))
    turns, shifts = point_to_plane_icp(points, np.empty((0, 3, 3)), np.empty((0, 3)), (8.0,))
    assert (turns.shape, shifts.shape) == ((0, 3, 3), (0, 3))


def test_points_in_one_cube_become_their_mean():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(500, 3)) * (20, 30, 10)
    found = voxel_downsample(np.concatenate([points, [[9000.0, 0, 0]]]), 7.0)
    cubes = np.floor((points - points.min(axis=0)) / 7.0).astype(int)
    groups = {tuple(cube): [] for cube in sorted(map(tuple, cubes))}
    for cube, point in zip(cubes, points, strict=True):
        groups[tuple(cube)].append(point)
    np.testing.assert_allclose(found, [np.mean(group, axis=0) for group in groups.values()], atol=1e-12)
