import numpy as np
import pytest
from generated_surface import bumpy_scan
from pydantic import ValidationError

from affect4d.rendering.cameras_and_render_backends import Renderer
from affect4d.rendering.options import RenderOptions
from affect4d.views.derived_channels import DERIVED_CHANNELS, DerivedChannel, derive_channels, face_mask, needed_images
from affect4d.views.input_options import InputOptions

CHANNELS = ("grey", "shading", "curvature")
ANGLES = (0.0, -45.0, 45.0)


@pytest.fixture(scope="module")
def rendered():
    images = Renderer(RenderOptions(size=96, channels=("texture", "normals", "depth"))).render(bumpy_scan())
    return {channel: stack[None] for channel, stack in images.items()}


def sphere_normals(inwards=False):
    """Normals of a ball that fills half of the image, or of the bowl it leaves."""
    y, x = np.mgrid[1:-1:96j, -1:1:96j] / 0.5
    radius = x**2 + y**2
    z = np.sqrt(np.clip(1 - radius, 0, 1))
    normals = np.stack([-x if inwards else x, -y if inwards else y, z], axis=-1)
    return np.where(radius[..., None] < 1, np.rint(normals * 127) + 128, 128).astype(np.uint8)[None, None]


def test_flipping_a_symmetric_face_exchanges_left_and_right_in_every_channel(rendered):
    images = derive_channels(rendered, ANGLES, CHANNELS).astype(int)[0]
    _, left, right = images
    assert (np.abs(left[..., ::-1] - right) > 10).mean() < 0.02


def test_channels_come_in_the_order_asked_for(rendered):
    both = derive_channels(rendered, ANGLES, ("curvature", "grey"))
    one = derive_channels(rendered, ANGLES, ("grey",))
    assert np.array_equal(both[:, :, 1:], one)


def test_zero_is_background_and_background_only_where_light_is_shown(rendered):
    black = {**rendered, "texture": np.zeros_like(rendered["texture"])}
    grey, shading, curvature = np.moveaxis(derive_channels(black, ANGLES, CHANNELS), 2, 0)
    face = face_mask(rendered["normals"])
    assert np.array_equal(grey > 0, face)
    assert np.array_equal(shading > 0, face)
    assert (curvature > 0).all()


def test_a_ball_is_bright_in_curvature_and_a_bowl_dark():
    ball, bowl = (
        derive_channels({"normals": normals}, (0.0,), ("curvature",))[0, 0, 0, 40:56, 40:56]
        for normals in (sphere_normals(), sphere_normals(inwards=True))
    )
    assert ball.min() > 128 > bowl.max()
    assert ball.mean() - 128 == pytest.approx(128 - bowl.mean(), abs=1)


def test_curvature_is_that_of_the_ball_and_does_not_depend_on_where_it_is_seen_from():
    """A ball of radius r has divergence 2 / r at its nearest point; here r is a quarter of the image's height."""
    turned = sphere_normals().astype(float) - 128
    angle = np.radians(45)
    x, z = turned[..., 0].copy(), turned[..., 2].copy()
    turned[..., 0], turned[..., 2] = x * np.cos(angle) + z * np.sin(angle), z * np.cos(angle) - x * np.sin(angle)
    from_the_side = np.rint(turned + 128).astype(np.uint8)
    for normals, yaw in ((sphere_normals(), 0.0), (from_the_side, 45.0)):
        middle = derive_channels({"normals": normals}, (yaw,), ("curvature",))[0, 0, 0, 47:49, 47:49].mean()
        assert (middle - 128) / 127 * 24 == pytest.approx(2 / 0.25, rel=0.1)


def test_light_comes_from_above_the_front():
    shading = derive_channels({"normals": sphere_normals()}, (0.0,), ("shading",))[0, 0, 0].astype(int)
    assert shading[30, 48] > shading[48, 48] > shading[66, 48]
    assert np.abs(shading - shading[:, ::-1]).max() <= 2


def test_depth_is_half_a_millimetre_a_level_and_symmetric(rendered):
    levels = derive_channels(rendered, ANGLES, ("depth",))[0, :, 0].astype(int)
    steps = rendered["depth"][0, ..., 0].astype(float)
    inside = (steps > 0) & (np.abs(steps - 32768) < 6000)
    assert levels[inside] == pytest.approx(128 + (steps[inside] - 32768) / 50, abs=0.51)
    assert np.array_equal(levels > 0, steps > 0)
    assert (np.abs(levels[1][:, ::-1] - levels[2]) > 4).mean() < 0.02


def test_curvature_of_a_ball_does_not_depend_on_the_pitch_either():
    level = sphere_normals().astype(float) - 128
    angle = np.radians(30)
    y, z = level[..., 1].copy(), level[..., 2].copy()
    level[..., 1], level[..., 2] = y * np.cos(angle) + z * np.sin(angle), z * np.cos(angle) - y * np.sin(angle)
    from_above = {"normals": np.rint(level + 128).astype(np.uint8)}
    middle = derive_channels(from_above, (0.0,), ("curvature",), (30.0,))[0, 0, 0, 47:49, 47:49].mean()
    assert (middle - 128) / 127 * 24 == pytest.approx(2 / 0.25, rel=0.1)


def test_a_channel_whose_images_were_not_rendered_says_what_to_render(rendered):
    with pytest.raises(ValueError, match=r"add \['depth'\] to render.channels"):
        derive_channels({"normals": rendered["normals"]}, ANGLES, ("shading", "depth"))


def test_one_entry_of_the_registry_is_a_derived_channel(rendered, monkeypatch):
    """Its name is an input option, the images it needs are found, and its levels come in their place."""
    with pytest.raises(ValidationError, match="do not exist; there are grey, shading"):
        InputOptions(channels=("blue",))
    blue = DerivedChannel(("texture",), lambda frames: frames.images["texture"][..., 2].astype(np.float32))
    monkeypatch.setitem(DERIVED_CHANNELS, "blue", blue)
    options = InputOptions(channels=("grey", "blue"))
    assert needed_images(options.channels, rendered) == ("normals", "texture")
    assert np.array_equal(derive_channels(rendered, ANGLES, options.channels)[:, :, 1], rendered["texture"][..., 2])
