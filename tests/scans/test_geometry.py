import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_files import MARKS, bumpy_grid
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

from affect4d.scans import geometry
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


VERTICES = 40


@st.composite
def meshes(draw):
    """Triangles between random points; some meet, some vertices are in none, corners may be one and the same."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    faces = rng.integers(0, VERTICES, (draw(st.integers(1, 60)), 3)).astype(np.int32)
    return rng.normal(0, 50, (VERTICES, 3)).astype(np.float32), faces


def double_areas(vertices, faces):
    first, second, third = (vertices[faces[:, corner]] for corner in range(3))
    return np.cross(second - first, third - first)


@settings(max_examples=50, deadline=None)
@given(meshes(), st.integers(0, 99))
def test_flags_of_corners(mesh, seed):
    flags = np.random.default_rng(seed).random(VERTICES) < 0.6
    np.testing.assert_array_equal(geometry.all_corners(flags, mesh[1]), flags[mesh[1]].all(axis=1))
    np.testing.assert_array_equal(geometry.any_corner(flags, mesh[1]), flags[mesh[1]].any(axis=1))


@settings(max_examples=50, deadline=None)
@given(meshes(), st.integers(0, 99))
def test_kept_triangles_are_numbered_anew(mesh, seed):
    vertices, faces = mesh
    kept = np.random.default_rng(seed).random(len(faces)) < 0.5
    fewer, used = geometry.compact(faces, kept, VERTICES)
    assert np.flatnonzero(used).tolist() == np.unique(faces[kept]).tolist()
    np.testing.assert_array_equal(vertices[used][fewer], vertices[faces[kept]])


@settings(max_examples=50, deadline=None)
@given(meshes())
def test_normals_and_the_side_that_is_seen(mesh):
    vertices, faces = mesh
    sums = np.zeros((VERTICES, 3))
    np.add.at(sums, faces, double_areas(vertices, faces)[:, None, :])
    np.testing.assert_allclose(geometry.normal_sums(vertices, faces), sums, rtol=1e-5, atol=1e-2)
    assert geometry.facing(vertices, faces) == pytest.approx(double_areas(vertices, faces)[:, 2].sum(), abs=0.1)


@settings(max_examples=50, deadline=None)
@given(meshes())
def test_edges_and_tips(mesh):
    vertices, faces = mesh
    squares = geometry.opposite_edges(vertices, faces)
    for corner in range(3):
        edge = vertices[faces[:, corner - 1]] - vertices[faces[:, corner - 2]]
        np.testing.assert_allclose(squares[corner], np.square(edge).sum(axis=1), rtol=1e-5)
    expected = np.isin(np.arange(VERTICES), faces)
    for face, lengths in zip(faces, squares.T, strict=True):
        for corner in range(3):
            expected[face[corner]] &= min(lengths[corner - 1], lengths[corner - 2]) >= lengths[corner]
    np.testing.assert_array_equal(geometry.spike_tips(faces, squares, VERTICES), expected)


@settings(max_examples=50, deadline=None)
@given(meshes())
def test_pieces_are_those_of_scipy(mesh):
    faces = mesh[1]
    links = (np.concatenate([faces[:, 0], faces[:, 1]]), np.concatenate([faces[:, 1], faces[:, 2]]))
    graph = coo_array((np.ones(len(links[0])), links), shape=(VERTICES, VERTICES))
    count, pieces = connected_components(graph, directed=False)
    found, piece = geometry.connected(VERTICES, faces)
    assert found == count
    np.testing.assert_array_equal(piece, pieces)


def test_arrays_in_any_order_and_read_only_ones_are_taken():
    vertices, faces = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.int32([[2, 1, 0]])
    vertices.flags.writeable = False
    assert geometry.facing(np.asfortranarray(vertices), faces[:, ::-1]) == 1.0
