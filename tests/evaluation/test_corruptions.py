import numpy as np
import pytest

from affect4d.evaluation.corruptions import (
    CORRUPTIONS,
    IMAGE_CORRUPTIONS,
    MESH_CORRUPTIONS,
    NOISE,
    POSE_CHANGES,
    STRENGTHS,
    add_noise,
    change_pose,
    cut_holes,
    decimate,
    drop_texture,
    drop_views,
    kept_frames,
    misalign,
    relight,
    turn,
)
from affect4d.scans.scan import FaceScan


@pytest.fixture
def face():
    """A bowl of 40 × 40 vertices, 78 mm wide, with a texture."""
    x, y = np.meshgrid(np.arange(40.0) * 2 - 39, np.arange(40.0) * 2 - 39)
    vertices = np.stack([x, y, -(x**2 + y**2) / 80], axis=-1).reshape(-1, 3).astype(np.float32)
    corner = (np.arange(39)[:, None] * 40 + np.arange(39)).ravel()
    halves = ((0, 1, 41), (0, 41, 40))
    faces = np.concatenate([corner[:, None] + np.array(half) for half in halves])
    coordinates = ((vertices[:, :2] + 39) / 78).astype(np.float32)
    return FaceScan(vertices, faces.astype(np.int32), coordinates, np.full((32, 48, 3), 200, np.uint8))


@pytest.fixture
def pictures():
    normals = np.full((3, 8, 8, 3), 128, np.uint8)
    normals[:, 2:6, 2:6] = (128, 128, 255)
    texture = np.zeros((3, 8, 8, 3), np.uint8)
    texture[:, 2:6, 2:6] = 200
    return {"texture": texture, "normals": normals}


def harm(name, face, strength):
    return MESH_CORRUPTIONS[name](face, strength, np.random.default_rng(1))


@pytest.mark.parametrize("name", MESH_CORRUPTIONS)
def test_a_damaged_mesh_is_still_one_and_repeats(name, face):
    for strength in STRENGTHS:
        one, same = harm(name, face, strength), harm(name, face, strength)
        assert np.isfinite(one.vertices).all()
        assert (one.vertices.dtype, one.faces.dtype) == (np.float32, np.int32)
        assert one.faces.min() >= 0
        assert one.faces.max() < len(one.vertices) == len(one.texture_coordinates)
        np.testing.assert_array_equal(one.vertices, same.vertices)


@pytest.mark.parametrize(("name", "harmed"), [
    ("noise", lambda one, face: np.abs(one.vertices - face.vertices).mean()),
    ("turned", lambda one, face: np.abs(one.vertices - face.vertices).mean()),
    ("misaligned", lambda one, face: np.abs(one.vertices - face.vertices).mean()),
    ("holes", lambda one, face: -len(one.faces)),
    ("low_density", lambda one, face: -len(one.vertices)),
    ("missing_texture", lambda one, face: (one.texture == 128).mean()),
])  # fmt: skip
def test_each_strength_does_more_harm(name, harmed, face):
    amounts = [harmed(harm(name, face, strength), face) for strength in STRENGTHS]
    assert amounts == sorted(amounts)
    assert amounts[0] < amounts[-1]


def test_noise_has_the_spread_it_says(face, generator):
    moved = add_noise(face, 3, generator).vertices - face.vertices
    assert moved.std() == pytest.approx(NOISE[2], rel=0.05)


def test_turning_and_misplacing_bend_nothing(face, generator):
    for move in (turn, misalign):
        moved = move(face, 5, generator).vertices
        before, after = (np.linalg.norm(points[1:] - points[:-1], axis=1) for points in (face.vertices, moved))
        np.testing.assert_allclose(after, before, atol=1e-3)


def test_holes_are_at_the_same_places_in_another_mesh_of_the_face(face):
    """A generator begins anew with every frame of a sequence, and every frame has a mesh of its own."""
    order = np.random.default_rng(5).permutation(len(face.vertices))
    other = FaceScan(face.vertices[order], np.argsort(order)[face.faces].astype(np.int32))

    def left(mesh):
        pierced = cut_holes(mesh, 3, np.random.default_rng(1))
        return {tuple(middle) for middle in pierced.vertices[pierced.faces].mean(axis=1).round(2)}

    assert left(face) == left(other)
    assert len(left(face)) < len(face.faces)


def test_a_coarse_face_stays_where_it_was(face, generator):
    coarse = decimate(face, 5, generator)
    assert len(coarse.vertices) < len(face.vertices) / 4
    assert np.abs(coarse.vertices.mean(axis=0)[:2]).max() < 1


def test_a_face_without_texture_has_none_to_lose(face, generator):
    bare = FaceScan(face.vertices, face.faces)
    assert drop_texture(bare, 3, generator) is bare


def test_light_changes_colours_alone_and_darkens(pictures):
    dim = [relight(pictures, strength, np.random.default_rng(0)) for strength in STRENGTHS]
    means = [lit["texture"].mean() for lit in dim]
    assert means == sorted(means, reverse=True)
    assert all(np.array_equal(lit["normals"], pictures["normals"]) for lit in dim)
    assert all((lit["texture"][:, 0] == 0).all() for lit in dim)


def test_one_view_is_always_left_and_lost_ones_are_empty(pictures):
    for seed in range(20):
        left = drop_views(pictures, 5, np.random.default_rng(seed))
        there = (left["texture"] > 0).any(axis=(1, 2, 3))
        assert there.any()
        assert (left["normals"][~there] == 128).all()
        assert left["texture"].dtype == np.uint8


def test_frames_are_dropped_and_at_last_the_neutral_one(generator):
    kept = [kept_frames(5, strength, generator) for strength in STRENGTHS]
    assert [len(frames) for frames, _ in kept] == [4, 3, 2, 1, 1]
    assert [neutral for _, neutral in kept] == [True] * 4 + [False]
    assert kept_frames(1, 5, generator)[0] == [0]


def test_every_damage_has_a_name_of_its_own():
    assert len(set(CORRUPTIONS)) == len(CORRUPTIONS) == len(MESH_CORRUPTIONS) + len(IMAGE_CORRUPTIONS) + 2 == 10


@pytest.mark.parametrize(("name", "plane"), [("pitch", [1, 2]), ("yaw", [0, 2]), ("roll", [0, 1])])
def test_a_turn_is_by_five_degrees_about_one_axis(face, name, plane):
    centre = np.array([0.0, 0.0, -45.0])
    before, after = ((face.vertices - centre)[:, plane] @ [1, 1j] for face in (face, change_pose(face, name, 1)))
    far = np.abs(before) > 1
    turned = np.degrees(np.angle(after[far] / before[far]))
    assert np.abs(turned) == pytest.approx(5.0, abs=1e-3)
    assert np.ptp(np.sign(turned)) == 0


@pytest.mark.parametrize("name", POSE_CHANGES)
def test_a_change_of_pose_is_undone_by_its_opposite(face, name):
    back = change_pose(change_pose(face, name, 1), name, -1)
    np.testing.assert_allclose(back.vertices, face.vertices, atol=1e-3)


@pytest.mark.parametrize("name", ["x", "y", "z"])
def test_a_displacement_is_five_millimetres_along_one_axis(face, name):
    moved = change_pose(face, name, -1).vertices - face.vertices
    np.testing.assert_allclose(moved, np.broadcast_to(-5.0 * np.eye(3)["xyz".index(name)], moved.shape), atol=1e-4)
