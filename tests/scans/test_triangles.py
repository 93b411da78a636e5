"""The compiled loops beside the same thing gathered by NumPy, on meshes of any triangles whatever."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from affect4d.scans import triangles

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
    np.testing.assert_array_equal(triangles.all_corners(flags, mesh[1]), flags[mesh[1]].all(axis=1))
    np.testing.assert_array_equal(triangles.any_corner(flags, mesh[1]), flags[mesh[1]].any(axis=1))


@settings(max_examples=50, deadline=None)
@given(meshes(), st.integers(0, 99))
def test_kept_triangles_are_numbered_anew(mesh, seed):
    vertices, faces = mesh
    kept = np.random.default_rng(seed).random(len(faces)) < 0.5
    fewer, used = triangles.compact(faces, kept, VERTICES)
    assert np.flatnonzero(used).tolist() == np.unique(faces[kept]).tolist()
    np.testing.assert_array_equal(vertices[used][fewer], vertices[faces[kept]])


@settings(max_examples=50, deadline=None)
@given(meshes())
def test_normals_and_the_side_that_is_seen(mesh):
    vertices, faces = mesh
    sums = np.zeros((VERTICES, 3))
    np.add.at(sums, faces, double_areas(vertices, faces)[:, None, :])
    np.testing.assert_allclose(triangles.normal_sums(vertices, faces), sums, rtol=1e-5, atol=1e-2)
    assert triangles.facing(vertices, faces) == pytest.approx(double_areas(vertices, faces)[:, 2].sum(), abs=0.1)


@settings(max_examples=50, deadline=None)
@given(meshes())
def test_edges_and_tips(mesh):
    vertices, faces = mesh
    squares = triangles.opposite_edges(vertices, faces)
    for corner in range(3):
        edge = vertices[faces[:, corner - 1]] - vertices[faces[:, corner - 2]]
        np.testing.assert_allclose(squares[corner], np.square(edge).sum(axis=1), rtol=1e-5)
    expected = np.isin(np.arange(VERTICES), faces)
    for face, lengths in zip(faces, squares.T, strict=True):
        for corner in range(3):
            expected[face[corner]] &= min(lengths[corner - 1], lengths[corner - 2]) >= lengths[corner]
    np.testing.assert_array_equal(triangles.tips(faces, squares, VERTICES), expected)


@settings(max_examples=50, deadline=None)
@given(meshes())
def test_pieces_are_those_of_scipy(mesh):
    faces = mesh[1]
    links = (np.concatenate([faces[:, 0], faces[:, 1]]), np.concatenate([faces[:, 1], faces[:, 2]]))
    graph = coo_array((np.ones(len(links[0])), links), shape=(VERTICES, VERTICES))
    count, pieces = connected_components(graph, directed=False)
    found, piece = triangles.connected(VERTICES, faces)
    assert found == count
    np.testing.assert_array_equal(piece, pieces)


def test_arrays_in_any_order_and_read_only_ones_are_taken():
    vertices, faces = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.int32([[2, 1, 0]])
    vertices.flags.writeable = False
    assert triangles.facing(np.asfortranarray(vertices), faces[:, ::-1]) == 1.0
