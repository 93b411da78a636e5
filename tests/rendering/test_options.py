import warnings

import pytest
from pydantic import ValidationError

from affect4d.rendering.cameras_and_render_backends import cameras
from affect4d.rendering.options import RenderOptions, mirrored_name


def test_left_camera_stands_at_the_left_of_a_frontal_image():
    front, left, right = cameras(RenderOptions())
    assert left.position[0] < front.position[0] < right.position[0]


def test_left_and_right_cameras_mirror_each_other():
    _, left, right = cameras(RenderOptions())
    assert (-left.position[0], *left.position[1:]) == pytest.approx(right.position)


def test_all_cameras_show_the_same_window():
    assert {camera.half_height for camera in cameras(RenderOptions(window=180))} == {90}


def test_the_short_and_the_long_form_are_the_same_cameras():
    short = RenderOptions(angles={"front": 0, "left": -30, "right": 30})
    long = RenderOptions(angles={"front": {"yaw": 0}, "left": {"yaw": -30, "pitch": 0}, "right": 30})
    assert cameras(short) == cameras(long)


def test_a_pitch_moves_the_camera_up_on_its_sphere():
    options = RenderOptions(angles={"front": 0, "above": {"pitch": 30}, "left_below": {"yaw": -40, "pitch": -20}})
    front, above, below = cameras(options)
    assert above.position[1] > front.position[1] > below.position[1]
    assert above.position[0] == 0 > below.position[0]
    assert above.distance == pytest.approx(front.distance) == pytest.approx(below.distance)


def test_options_travel_as_text():
    options = RenderOptions(angles={"above": {"pitch": 30}}, channels=("depth",), lights=(), field_of_view=20)
    assert RenderOptions.model_validate(options.image_options) == options
    assert RenderOptions.model_validate_json(options.model_dump_json()) == options


def test_a_longer_lens_stands_further_away_and_shows_the_same_window():
    near, far = (cameras(RenderOptions(field_of_view=angle))[0] for angle in (40, 10))
    assert far.distance > near.distance > 0
    assert far.half_height == near.half_height


def test_the_gpu_number_is_no_part_of_the_image_options():
    assert RenderOptions(device=3).image_options == RenderOptions().image_options


def test_what_a_card_drew_is_not_taken_for_what_the_processor_draws():
    assert RenderOptions().cache_options == RenderOptions().image_options  # keys of before stay
    assert (
        RenderOptions(device=3).cache_options == RenderOptions(device=-1).cache_options != RenderOptions().cache_options
    )


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
        ({"angles": {"left": {"yaw": -45, "pitch": 10}, "right": 45}}, "give them one pitch"),
        ({"angles": {"front": {"pitch": 70}}}, "less than or equal to 60"),
        ({"angles": {"front": {"roll": 5}}}, "needs a yaw and a pitch"),
        ({"angles": [0, 45]}, "valid dictionary"),
        ({"pitches": {"above": 20}}, "no yaw among the angles"),
        ({"channels": ()}, "at least 1"),
        ({"channels": ("colour",)}, "texture"),
        ({"channels": ("depth", "depth")}, "names one twice"),
        ({"channels": ("shading",), "lights": ()}, "black without lights"),
        ({"channels": ("colour",)}, "do not exist"),
        ({"field_of_view": 60, "window": 60}, "inside the head"),
        ({"background": (0, 0, 256)}, "less than or equal to 255"),
        ({"device": -2}, "greater than or equal to -1"),
        ({"sizes": 96}, "Extra inputs"),
    ],
)
def test_absurd_options_are_refused_with_the_reason(options, complaint):
    with pytest.raises(ValidationError, match=complaint):
        RenderOptions(**options)


def test_options_of_earlier_packaged_models_are_read_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        former = RenderOptions.model_validate({"stances": 2, "stance_degrees": 8.0})
    assert former == RenderOptions(head_poses=2, head_pose_degrees=8.0)


def test_a_former_name_given_at_run_time_overrides_the_configuration():
    with pytest.warns(FutureWarning, match="head_poses"):
        assert RenderOptions.model_validate({"head_poses": 0, "stances": 3}).head_poses == 3
