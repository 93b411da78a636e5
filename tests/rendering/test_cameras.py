import pytest
from pydantic import ValidationError

from affect4d.rendering.cameras import RenderOptions, cameras, mirrored_name


def test_left_camera_stands_at_the_left_of_a_frontal_picture():
    front, left, right = cameras(RenderOptions())
    assert left.position[0] < front.position[0] < right.position[0]


def test_left_and_right_cameras_mirror_each_other():
    _, left, right = cameras(RenderOptions())
    assert (-left.position[0], *left.position[1:]) == pytest.approx(right.position)


def test_all_cameras_show_the_same_window():
    assert {camera.half_height for camera in cameras(RenderOptions(window=180))} == {90}


@pytest.mark.parametrize("name", ["front", "left", "right", "left_20", "far_right"])
def test_mirroring_a_name_twice_gives_the_name(name):
    assert mirrored_name(mirrored_name(name)) == name


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"size": 8}, "greater than or equal to 16"),
        ({"size": 4096}, "less than or equal to 1024"),
        ({"angles": {}}, "at least 1"),
        ({"angles": {"left": -95}}, "greater than or equal to -80"),
        ({"angles": {"Front view": 0}}, "match pattern"),
        ({"angles": {"front": 20}}, "name it with 'left' or 'right'"),
        ({"angles": {"left": -45, "right": 30}}, "opposite angles"),
        ({"sizes": 96}, "Extra inputs"),
    ],
)
def test_absurd_options_are_refused_with_the_reason(options, complaint):
    with pytest.raises(ValidationError, match=complaint):
        RenderOptions(**options)
