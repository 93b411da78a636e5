import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from affect4d.evaluation.attribution import (
    class_direction,
    empty_images,
    image_attribution,
    mesh_attribution,
    pixel_positions,
    view_weights,
    visible,
)
from affect4d.models import EncoderOptions, ModelOptions, build_model
from affect4d.rendering.cameras_and_render_backends import Renderer, cameras
from affect4d.rendering.options import RenderOptions
from affect4d.scans.geometry import vertex_normals
from affect4d.scans.scan import FaceScan
from affect4d.views.input_options import InputOptions

SIZE = 32
OPTIONS = ModelOptions(
    encoder=EncoderOptions(text="compact", image_width=64, text_width=32, text_layers=1, text_heads=2), dim=24
)
INPUTS = InputOptions(size=SIZE)


@pytest.fixture(scope="module")
def pictures():
    """A face-like disc of random pixels in three views; off it, every channel's background."""
    noise = torch.rand(1, 3, 6, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    row, column = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    face = (row - 16) ** 2 + (column - 16) ** 2 < 100
    empty = empty_images(noise, INPUTS)
    return torch.where(face, noise, empty), empty, face


@pytest.fixture(scope="module")
def direction():
    return torch.nn.functional.normalize(torch.randn(24, generator=torch.Generator().manual_seed(1)), dim=0).numpy()


def score(model, images, direction):
    with torch.inference_mode():
        return float(model.embed_views(images).fused[0] @ torch.from_numpy(direction))


@pytest.mark.parametrize("name", ["affect_vlm", "smile_vlm", "view_classifier"])
def test_shares_of_all_pixels_sum_to_what_the_face_changes(pictures, name):
    images, empty, _ = pictures
    model = build_model(name, OPTIONS, seed=0).eval()
    width = model.embed_views(empty).fused.shape[1]
    direction = np.eye(width, dtype=np.float32)[0]
    maps = image_attribution(model, images, empty, direction, steps=48)
    assert maps.shape == (1, 3, SIZE, SIZE)
    expected = score(model, images, direction) - score(model, empty, direction)
    assert abs(expected) > 0.02
    assert maps.sum() == pytest.approx(expected, rel=0.1)


def test_nothing_off_the_face_counts(pictures, direction):
    images, empty, face = pictures
    maps = image_attribution(build_model("affect_vlm", OPTIONS).eval(), images, empty, direction)
    assert np.isfinite(maps).all()
    assert not maps[:, :, ~face.numpy()].any()
    assert (np.abs(maps[:, :, face.numpy()]) > 0).mean() > 0.9


def test_the_map_changes_when_the_weights_are_randomised(pictures, direction):
    images, empty, face = pictures
    first, second = (
        image_attribution(build_model("affect_vlm", OPTIONS, seed).eval(), images, empty, direction)[:, :, face.numpy()]
        for seed in (0, 1)
    )
    assert abs(spearmanr(first.ravel(), second.ravel()).statistic) < 0.2
    again = image_attribution(build_model("affect_vlm", OPTIONS, 0).eval(), images, empty, direction)
    np.testing.assert_array_equal(first, again[:, :, face.numpy()])


def test_a_model_keeps_its_weights_and_gets_no_gradient(pictures, direction):
    images, empty, _ = pictures
    model = build_model("smile_vlm", OPTIONS).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    image_attribution(model, images, empty, direction, steps=2)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


def test_an_open_clip_encoder_is_explained_too(write_clip, tmp_path, pictures, direction):
    write_clip(tmp_path, context_length=32)
    encoders = EncoderOptions(image=f"local-dir:{tmp_path}", text=f"local-dir:{tmp_path}", context_length=32)
    model = build_model("affect_vlm", ModelOptions(encoder=encoders, dim=24, channels=3)).eval()
    images, empty, face = pictures[0][:, :, :3], pictures[1][:, :, :3], pictures[2].numpy()
    maps = image_attribution(model, images, empty, direction)
    assert np.isfinite(maps).all()
    assert not maps[:, :, ~face].any()
    assert maps[:, :, face].any()


def test_motion_as_further_views_is_empty_where_there_is_no_face():
    inputs = InputOptions(channels=("grey", "curvature"), motion="views", size=SIZE)
    empty = empty_images(torch.rand(1, 6, 2, SIZE, SIZE), inputs)
    assert (empty[:, :3, 0] == -1).all()
    assert empty[:, :3, 1].abs().max() < 0.01
    assert not empty[:, 3:].any()


def test_a_class_is_told_from_the_mean_of_the_others():
    classes = np.eye(3, dtype=np.float32)
    np.testing.assert_allclose(class_direction(classes, 1), [-0.5, 1, -0.5])


@pytest.fixture(scope="module")
def dome():
    """A half ball of 60 mm whose top is the nose tip, and a small plate that floats before its left cheek."""
    angle, turn = np.meshgrid(np.linspace(0.02, np.pi / 2, 40), np.linspace(0, 2 * np.pi, 80, endpoint=False))
    ball = 60 * np.stack([np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle) - 1], axis=-1)
    index = np.arange(80 * 40).reshape(80, 40)
    a, b = index[:, :-1], index[:, 1:]
    c, d = np.roll(b, -1, axis=0), np.roll(a, -1, axis=0)
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    plate = np.array([(20, -8, 30), (40, -8, 30), (40, 8, 30), (20, 8, 30)], np.float32)
    corners = np.array([(0, 1, 2), (0, 2, 3)]) + len(ball.reshape(-1, 3))
    vertices = np.concatenate([ball.reshape(-1, 3), plate]).astype(np.float32)
    return FaceScan(vertices, np.concatenate([faces, corners]).astype(np.int32))


def test_what_turns_away_or_is_behind_something_is_not_seen(dome):
    front = cameras(RenderOptions())[0]
    seen = visible(dome, front, vertex_normals(dome.vertices, dome.faces))
    x, y, z = dome.vertices.T
    behind_plate = (x > 24) & (x < 36) & (abs(y) < 5) & (z < 0)
    free = (x < 0) & (z > -40)
    assert behind_plate.sum() > 10
    assert not seen[behind_plate].any()
    assert seen[free].mean() > 0.98


def test_a_side_view_does_not_see_the_other_cheek(dome):
    left = cameras(RenderOptions())[1]  # at −x
    seen = visible(dome, left, vertex_normals(dome.vertices, dome.faces))
    assert not seen[dome.vertices[:, 0] > 50].any()
    assert seen[dome.vertices[:, 0] < -30].mean() > 0.9


@pytest.mark.parametrize("lens", [0.0, 30.0])
def test_points_fall_where_the_rasteriser_draws_them(dome, lens):
    options = RenderOptions(size=64, channels=("depth",), angles={"front": 0, "left_up": {"yaw": -45, "pitch": 20}},
                            field_of_view=lens)  # fmt: skip
    renderer = Renderer(options)
    pictures = renderer.render(dome)["depth"][..., 0].astype(float)
    renderer.close()
    normals = vertex_normals(dome.vertices, dome.faces)
    for camera, picture in zip(cameras(options), pictures, strict=True):
        seen = visible(dome, camera, normals)
        towards = np.subtract(camera.position, camera.target) / camera.distance
        steep = normals @ towards < 0.5
        points = dome.vertices[seen & ~steep]
        row, column = np.rint(pixel_positions(points, camera, 64)).astype(int).T
        drawn = (picture[row, column] - 32768) / 100
        expected = (points - camera.target) @ towards
        assert np.median(abs(drawn - expected)) < 1.5
        assert (abs(drawn - expected) < 8).mean() > 0.95


def test_what_one_view_shows_lands_on_its_side_of_the_mesh(dome):
    options = RenderOptions(size=64)
    maps = np.zeros((3, SIZE, SIZE), np.float32)
    maps[1] = 1.0  # the left view only, which shows the subject's right cheek (−x)
    relevance = mesh_attribution(maps, dome, options)
    assert relevance.shape == (len(dome.vertices),)
    assert relevance[dome.vertices[:, 0] < -40].mean() > 0.8
    assert not relevance[dome.vertices[:, 0] > 50].any()


def test_maps_of_other_views_are_refused(dome):
    with pytest.raises(ValueError, match="3 views"):
        mesh_attribution(np.zeros((4, SIZE, SIZE), np.float32), dome, RenderOptions())


ENCODERS = EncoderOptions(text="compact", image_width=16, text_width=16, text_layers=1, text_heads=1)


@pytest.mark.parametrize(("motion", "views"), [("stacked", 3), ("views", 6)])
def test_weights_of_an_untrained_model_are_equal_and_sum_to_one(motion, views):
    model = build_model("view_classifier", ModelOptions(encoder=ENCODERS, views=views, dim=16))
    weights = view_weights(model, ("front", "left", "right"), InputOptions(motion=motion))
    assert list(weights)[:3] == ["front", "left", "right"]
    assert list(weights.values()) == pytest.approx([1 / views] * views)


def test_a_model_of_other_views_is_refused():
    model = build_model("view_classifier", ModelOptions(encoder=ENCODERS, views=2, dim=16))
    with pytest.raises(ValueError, match="weighs 2 views"):
        view_weights(model, ("front", "left", "right"), InputOptions())
