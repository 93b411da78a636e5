import numpy as np
import pytest
from generated_surface import bumpy_scan
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from affect4d.rendering.cameras_and_render_backends import Renderer
from affect4d.rendering.channels import RENDERED_CHANNELS, RenderedChannel, shade
from affect4d.rendering.options import Light, RenderOptions

BACKGROUND = (9, 8, 7)
components = st.floats(-1, 1, allow_nan=False, width=32)


def naive(normal, lights, ambient):
    """Lambert's law for one pixel."""
    received = np.full(3, ambient)
    for light in lights:
        direction = np.array(light.direction) / np.linalg.norm(light.direction)
        received += light.intensity * np.array(light.colour) * max(0.0, float(normal @ direction))
    return 255 * np.clip(received, 0, 1)


@settings(max_examples=50, deadline=None)
@given(st.tuples(components, components, components).filter(lambda n: np.linalg.norm(n) > 0.1), st.floats(0, 1))
def test_shading_is_lamberts_law(direction, ambient):
    unit = np.array(direction) / np.linalg.norm(direction)
    encoded = (np.rint(127 * unit) + 128).astype(np.uint8)[None, None]
    lights = (Light(direction=(0, 3, 4), intensity=0.7), Light(direction=(1, 0, 0), colour=(1.0, 0.5, 0.0)))
    options = RenderOptions(lights=lights, ambient=ambient, background=BACKGROUND)
    shaded = shade(encoded, np.ones((1, 1), bool), options)
    decoded = (encoded[0, 0].astype(float) - 128) / 127
    assert shaded[0, 0] == pytest.approx(naive(decoded, lights, ambient), abs=0.51)


def test_where_there_is_no_face_there_is_background():
    normals = np.full((2, 2, 3), 128, np.uint8)
    assert (
        shade(normals, np.zeros((2, 2), bool), RenderOptions(ambient=0.5, background=BACKGROUND)) == BACKGROUND
    ).all()


def test_without_lights_there_is_only_ambient_light():
    normals = np.full((1, 1, 3), 255, np.uint8)
    assert shade(normals, np.ones((1, 1), bool), RenderOptions(lights=(), ambient=0.2)).tolist() == [[[51, 51, 51]]]


@pytest.mark.parametrize(
    ("light", "complaint"),
    [
        ({"direction": (0, 0, 0)}, "points nowhere"),
        ({"direction": (0, float("nan"), 1)}, "points nowhere"),
        ({"colour": (2, 0, 0)}, "three numbers 0…1"),
        ({"intensity": -1}, "greater than or equal to 0"),
        ({"brightness": 1}, "Extra inputs"),
    ],
)
def test_absurd_lights_are_refused_with_the_reason(light, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Light(**light)


def test_one_entry_of_the_registry_is_a_rendered_channel(monkeypatch):
    """Its name is an option, its attributes are rendered, and its images come with the others."""

    def encode(buffers, options):
        return buffers.attributes["texture"][..., :1]

    with pytest.raises(ValidationError, match="do not exist; there are texture, shading"):
        RenderOptions(channels=("red",))
    monkeypatch.setitem(RENDERED_CHANNELS, "red", RenderedChannel(("texture",), encode, (0,)))
    images = Renderer(RenderOptions(size=32, channels=("red", "texture"))).render(bumpy_scan())
    assert np.array_equal(images["red"], images["texture"][..., :1])
