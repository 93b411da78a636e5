import dataclasses
from pathlib import Path

import numpy as np
import pytest
from generated_surface import bumpy_scan
from PIL import Image

from affect4d.rendering.cameras_and_render_backends import render_previews, shrink_texture
from affect4d.rendering.channels import DEPTH_BACKGROUND, depth_in_mm, encode_depth, shade
from affect4d.rendering.options import Light, RenderOptions
from affect4d.scans.scan import FaceScan

GOLDEN = Path(__file__).parent / "golden" / "bumpy.png"
FRONT, LEFT, RIGHT = range(3)


def sheet(images):
    return np.concatenate([np.concatenate(list(images[kind]), axis=1) for kind in ("texture", "normals")])


def test_the_bumpy_surface_looks_as_it_always_did(draw):
    golden = np.asarray(Image.open(GOLDEN)).astype(int)
    assert np.abs(sheet(draw(bumpy_scan(lopsided=6))).astype(int) - golden).mean() < 1.0


def test_mirrored_left_image_of_a_symmetric_face_is_its_right_image(draw):
    images = draw(bumpy_scan())
    flipped = images["texture"][LEFT][:, ::-1].astype(int)
    assert (np.abs(flipped - images["texture"][RIGHT]).max(axis=-1) > 8).mean() < 0.02


def test_mirrored_normals_of_a_symmetric_face_have_the_other_sign_in_x(draw):
    images = draw(bumpy_scan())
    flipped = images["normals"][LEFT][:, ::-1].astype(int)
    flipped[..., 0] = 256 - flipped[..., 0]
    assert (np.abs(flipped - images["normals"][RIGHT]).max(axis=-1) > 8).mean() < 0.02


def test_drawing_again_gives_the_same_pixels(draw):
    first, other, again = draw(bumpy_scan()), draw(bumpy_scan(lopsided=9)), draw(bumpy_scan())
    assert np.array_equal(first["texture"], again["texture"])
    assert np.array_equal(first["normals"], again["normals"])
    assert not np.array_equal(first["normals"], other["normals"])


def test_connectivity_may_change_from_frame_to_frame(draw):
    scan = bumpy_scan()
    half = draw(dataclasses.replace(scan, faces=scan.faces[: len(scan.faces) // 2]))
    whole = draw(scan)
    assert (half["normals"] == 128).all(axis=-1).mean() > (whole["normals"] == 128).all(axis=-1).mean()


def test_backgrounds_are_black_and_the_zero_normal(draw):
    images = draw(bumpy_scan())
    assert (images["texture"][:, 0, 0] == 0).all()
    assert (images["normals"][:, 0, 0] == 128).all()


def test_normals_have_unit_length_on_the_face(draw):
    normals = draw(bumpy_scan())["normals"]
    on_face = (normals != 128).any(axis=-1)
    length = np.linalg.norm((normals[on_face].astype(float) - 128) / 127, axis=-1)
    assert np.median(length) == pytest.approx(1, abs=0.01)
    assert length.min() > 0.5, "interpolated across the sharpest ridge"


def test_a_scan_without_texture_is_mid_grey_and_the_next_one_has_its_colours(draw):
    bare, dressed = draw(bumpy_scan(textured=False)), draw(bumpy_scan())
    assert set(np.unique(bare["texture"])) == {0, 128}
    assert dressed["texture"][FRONT].max() > 200


def test_texture_stands_upright(draw):
    front = draw(bumpy_scan())["texture"][FRONT].astype(int)
    red = (front[..., 0] - front[..., 1]) > 120
    assert np.nonzero(red)[0].mean() < 32, "the red band is in the upper half of the texture, and of the face"


def test_sizes_are_metric(drawn):
    square = np.array([(-50, -50, 0), (50, -50, 0), (50, 50, 0), (-50, 50, 0)], np.float32)
    scan = FaceScan(square, np.array([(0, 1, 2), (0, 2, 3)], np.int32))
    images = drawn(scan, size=100, window=200, centre_height=0, angles={"front": 0})
    assert (images["texture"][0, ..., 0] > 0).sum() == pytest.approx(50 * 50, rel=0.03)


def test_textures_are_averaged_down_to_what_an_image_can_show():
    stripes = np.zeros((400, 600, 3), np.uint8)
    stripes[:, ::2] = 200
    small = shrink_texture(stripes, 100)
    assert small.shape == (100, 150, 3)
    assert set(np.unique(small)) == {100}


def tilted_plane(slope):
    """A square of 100 mm that comes 1 mm nearer for every 1 / slope mm to the subject's left, through the axis."""
    corners = np.array([(-50, -50), (50, -50), (50, 50), (-50, 50)], np.float32)
    vertices = np.column_stack([corners, corners[:, 0] * slope]).astype(np.float32)
    return FaceScan(vertices, np.array([(0, 1, 2), (0, 2, 3)], np.int32))


def test_only_what_is_asked_for_comes_and_in_that_order(draw, drawn):
    scan, all_channels = bumpy_scan(), ("depth", "shading", "texture", "normals")
    together = drawn(scan, channels=all_channels)
    assert tuple(together) == all_channels
    for channel in all_channels:
        alone = drawn(scan, channels=(channel,))
        assert tuple(alone) == (channel,)
        assert np.array_equal(alone[channel], together[channel])
    assert np.array_equal(together["texture"], draw(scan)["texture"])


@pytest.mark.parametrize("lens", [0.0, 25.0])
def test_depth_is_in_millimetres(lens, drawn):
    options = {"angles": {"front": 0}, "window": 80, "centre_height": 0, "pivot_depth": 0, "field_of_view": lens}
    depth = depth_in_mm(drawn(tilted_plane(0.4), channels=("depth",), **options)["depth"])[0, ..., 0]
    columns = (np.arange(64) + 0.5) / 64 * 80 - 40
    if lens:  # the ray through a column meets the plane nearer or further than the window is
        distance = 40 / np.tan(np.radians(lens / 2))
        columns = columns * distance / (distance + 0.4 * columns)
    assert np.isfinite(depth).all()
    assert depth == pytest.approx(np.broadcast_to(0.4 * columns, (64, 64)), abs=0.02)


def test_depth_has_its_own_background_and_survives_its_encoding(drawn):
    depth = drawn(bumpy_scan(), channels=("depth",))["depth"]
    assert depth.dtype == np.uint16
    assert (depth[:, 0, 0] == DEPTH_BACKGROUND).all()
    assert depth[:, 32, 32].all()
    heights = np.array([-327.0, -0.01, 0.0, 12.34, 327.0], np.float32)
    assert depth_in_mm(encode_depth(heights)) == pytest.approx(heights, abs=0.006)


def test_shading_is_the_normals_under_the_lights(drawn):
    lights = (Light(direction=(1, 1, 1), intensity=0.8),)
    images = drawn(bumpy_scan(), channels=("normals", "shading"), lights=lights, ambient=0.1, background=(0, 0, 90))
    face = (images["normals"] != 128).any(axis=-1)
    assert np.array_equal(
        images["shading"],
        shade(images["normals"], face, RenderOptions(lights=lights, ambient=0.1, background=(0, 0, 90))),
    )


def test_a_background_is_where_no_face_is_and_nowhere_else(drawn):
    black = drawn(bumpy_scan(), channels=("texture", "normals"))
    blue = drawn(bumpy_scan(), channels=("texture",), background=(0, 0, 200))["texture"]
    face = (black["normals"] != 128).any(axis=-1)
    assert np.array_equal(blue[face], black["texture"][face])
    assert (blue[~face] == (0, 0, 200)).all()


def test_a_camera_above_sees_the_forehead_and_one_below_the_chin(drawn):
    views = {"front": 0, "above": {"pitch": 35}, "below": {"pitch": -35}}
    normals = drawn(bumpy_scan(), channels=("normals",), angles=views)["normals"].astype(int)
    seen = [image[(image != 128).any(axis=-1)][:, 1].mean() for image in normals]
    front, above, below = seen
    assert above > front > below


def test_perspective_shows_the_near_larger(drawn):
    options = {"angles": {"front": 0}, "pivot_depth": 100, "channels": ("normals",), "centre_height": 0}
    plane = tilted_plane(0.0)
    parallel, perspective = (
        (drawn(plane, field_of_view=angle, **options)["normals"] != 128).any(axis=-1).sum() for angle in (0, 30)
    )
    distance = 95 / np.tan(np.radians(15))
    assert perspective / parallel == pytest.approx((distance / (distance - 100)) ** 2, rel=0.06)


def test_an_array_that_is_filled_anew_is_drawn_anew(draw):
    scan, other = bumpy_scan(), bumpy_scan(lopsided=9)
    reused = dataclasses.replace(scan, vertices=scan.vertices.copy(), faces=scan.faces.copy())
    draw(reused)
    reused.vertices[:] = other.vertices
    reused.faces[: len(reused.faces) // 2] = 0
    half = dataclasses.replace(other, faces=reused.faces.copy())
    assert np.array_equal(draw(reused)["normals"], draw(half)["normals"])


class OneScan:
    """A source whose every scan is the bumpy one."""

    def read(self, row, landmarks=True, texels=0):
        return bumpy_scan()

    def locate(self, row):
        return Path("bumpy")


def test_a_preview_has_dots_for_landmarks_on_the_shape_from_the_front_alone():
    row = {"pose": np.eye(4).ravel(), "crop_radius": 95.0, "landmarks": None}
    nose_tip = np.full((83, 3), np.nan)
    nose_tip[47] = 0
    plain, dotted = render_previews(OneScan(), [row, row | {"landmarks": nose_tip.ravel()}], size=80)
    _, columns = np.nonzero((np.asarray(plain) != np.asarray(dotted)).any(axis=-1))
    assert set(columns) <= set(range(118, 123))
    assert len(columns)
