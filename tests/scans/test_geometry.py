import dataclasses

import numpy as np
import pytest
from scan_files import MARKS, bumpy_grid
from scipy.spatial.transform import Rotation

from affect4d.scans.geometry import apply_pose, crop, keep_triangles, pose_of, transform, turn_outward, vertex_normals

GRID = dataclasses.replace(bumpy_grid(60), landmarks=MARKS)


def moved_by(angles: tuple[float, float, float], shift: tuple[float, float, float]) -> np.ndarray:
    return pose_of(Rotation.from_euler("xyz", angles, degrees=True).as_matrix(), np.array(shift))


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


def test_a_pose_moves_points_and_leaves_what_is_missing():
    points = np.float32([[1, 0, 0], [np.nan, np.nan, np.nan]])
    moved = apply_pose(points, moved_by((0, 0, 90), (0, 0, 5)))
    np.testing.assert_allclose(moved[0], [0, 1, 5], atol=1e-6)
    assert np.isnan(moved[1]).all()


def test_kept_triangles_keep_their_corners_and_texture():
    kept = np.zeros(len(GRID.faces), bool)
    kept[[5, 900]] = True
    part = keep_triangles(GRID, kept)
    np.testing.assert_array_equal(part.vertices[part.faces], GRID.vertices[GRID.faces[[5, 900]]])
    np.testing.assert_array_equal(part.texture_coordinates[part.faces], GRID.texture_coordinates[GRID.faces[[5, 900]]])
    assert len(part.vertices) == len(np.unique(GRID.faces[[5, 900]]))
