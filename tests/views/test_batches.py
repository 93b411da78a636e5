import dataclasses

import numpy as np
import pytest
import torch
from generated_surface import bumpy_scan

from affect4d.rendering.cameras import RenderOptions
from affect4d.rendering.rasteriser import Rasteriser
from affect4d.views import assembly
from affect4d.views.augment import assemble, assemble_plain, mirrored_views, resolve_plan, unchanged
from affect4d.views.bank import ViewBank
from affect4d.views.channels import derive_channels
from affect4d.views.dynamics import encode_dynamics
from affect4d.views.inputs import InputOptions
from affect4d.views.mixing import MixedViewOptions, plan_mixed_views

SIZE = 32
STORED = InputOptions(motion="none", size=SIZE)
ROWS = torch.tensor([2, 7, 13])


def changed(rows=ROWS, **values):
    """The plan that changes nothing but what is given."""
    plan = unchanged(rows, 3)
    tensors = {name: torch.full_like(getattr(plan, name), value) for name, value in values.items()}
    return dataclasses.replace(plan, **tensors)


def plan_of(bank, options):
    return plan_mixed_views(
        bank.index(), options, epochs=1, batch_size=8, samples_per_sequence=4, seed=0, views=bank.views
    )


@pytest.mark.parametrize("motion", ["none", "stacked", "views"])
@pytest.mark.parametrize("size", [SIZE, 24, 16])
def test_a_plan_of_strength_zero_gives_the_plain_pictures(bank, motion, size):
    options = InputOptions(motion=motion, size=size)
    plan = plan_of(bank, MixedViewOptions(**dict.fromkeys(MixedViewOptions.model_fields, 0)))
    plain = assemble_plain(bank, resolve_plan(bank, plan).rows[:, 0], options)
    torch.testing.assert_close(assemble(bank, plan, options), plain, atol=1e-6, rtol=0)


@pytest.mark.parametrize("motion", ["none", "stacked", "views", "dynamic"])
@pytest.mark.parametrize("size", [SIZE, 24])
def test_the_compiled_pass_sees_what_tensors_see(bank, motion, size, monkeypatch):
    options = InputOptions(channels=("shading", "grey", "curvature"), motion=motion, size=size)
    if motion == "dynamic":
        bank = dataclasses.replace(bank, pictures=torch.cat([bank.pictures, bank.pictures.flip(0)], dim=2))
    bank = dataclasses.replace(bank, pictures=bank.pictures * (torch.rand(bank.pictures.shape) > 0.1))  # background
    plan = plan_of(bank, MixedViewOptions(mirror=0.5, still=0.3, contrast=0.4, brightness=0.2, rotation=20.0))
    found = assemble(bank, plan, options)
    monkeypatch.setattr(assembly, "_compiled_look_up", lambda: None)
    torch.testing.assert_close(found, assemble(bank, plan, options), atol=2e-4, rtol=0)


def test_plain_pictures_at_the_stored_size_are_the_stored_ones(bank):
    expected = bank.pictures[ROWS].float() / 127.5 - 1
    torch.testing.assert_close(assemble_plain(bank, ROWS, STORED), expected, atol=1e-5, rtol=0)


def test_motion_is_the_difference_to_the_neutral_frame(bank):
    options = InputOptions(motion="stacked", size=SIZE, motion_gain=3.0)
    pictures = bank.pictures.float() / 127.5 - 1
    motion = assemble_plain(bank, ROWS, options)[:, :, 3:]
    torch.testing.assert_close(motion, 3 * (pictures[ROWS] - pictures[bank.neutral[ROWS]]), atol=1e-4, rtol=0)


def test_a_stance_is_taken_with_its_own_neutral(bank):
    shown = torch.cat([bank.pictures, bank.pictures.flip(-1)])
    stances = dataclasses.replace(bank, pictures=shown)
    options = InputOptions(motion="stacked", size=SIZE)
    plan = dataclasses.replace(unchanged(ROWS, 3), rows=ROWS[:, None].expand(-1, 3) + len(bank))
    turned, plain = assemble(stances, plan, options), assemble_plain(stances, ROWS, options)
    torch.testing.assert_close(turned, plain.flip(-1), atol=1e-5, rtol=0)


def test_a_plan_that_asks_for_a_stance_nobody_rendered_is_refused(bank):
    with pytest.raises(ValueError, match="stance 1, and 0 were rendered"):
        resolve_plan(bank, plan_of(bank, MixedViewOptions()).assign(stance=1))


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("motion", ["stacked", "dynamic"])
def test_a_still_sample_shows_the_same_face_without_what_moved(bank, motion, compiled, monkeypatch):
    options = InputOptions(motion=motion, size=SIZE)
    if motion == "dynamic":
        bank = dataclasses.replace(bank, pictures=torch.cat([bank.pictures, bank.pictures.flip(0)], dim=2))
    if not compiled:
        monkeypatch.setattr(assembly, "_compiled_look_up", lambda: None)
    still, plain = assemble(bank, changed(still=True), options), assemble_plain(bank, ROWS, options)
    assert torch.equal(still[:, :, :3], plain[:, :, :3])
    assert (still[:, :, 3:] == 0).all()
    assert (plain[:, :, 3:] != 0).any()


def test_motion_as_views_is_motion_as_channels_laid_out_otherwise(bank):
    stacked = assemble_plain(bank, ROWS, InputOptions(motion="stacked", size=16))
    as_views = assemble_plain(bank, ROWS, InputOptions(motion="views", size=16))
    assert torch.equal(as_views, torch.cat([stacked[:, :, :3], stacked[:, :, 3:]], dim=1))


def test_a_neutral_frame_has_no_motion(bank):
    assert not assemble_plain(bank, torch.tensor([0, 4]), InputOptions(size=16))[:, :, 3:].any()


def test_there_is_no_motion_where_one_of_both_shows_background(bank):
    pictures = bank.pictures.clone()
    pictures[2, ..., :16] = 0
    motion = assemble_plain(dataclasses.replace(bank, pictures=pictures), torch.tensor([2]), InputOptions(size=SIZE))[
        :, :, 3:
    ]
    assert not motion[..., :16].any()
    assert motion[..., 16:].any()


@pytest.fixture
def dynamic_bank(bank):
    """Every picture followed by its dynamic image, as a bank made for them holds it."""
    first = bank.pictures.unflatten(0, (len(bank.sequences), -1))
    images = torch.from_numpy(np.stack([encode_dynamics(sequence.numpy()) for sequence in first])).flatten(0, 1)
    return dataclasses.replace(bank, pictures=torch.cat([bank.pictures, images], dim=2))


DYNAMIC = InputOptions(motion="dynamic", size=SIZE, motion_gain=3.0)


def test_dynamic_images_follow_the_channels_with_their_gain(dynamic_bank):
    found = assemble_plain(dynamic_bank, ROWS, DYNAMIC)
    levels = dynamic_bank.pictures[ROWS].float()
    assert found.shape[1:3] == DYNAMIC.input_shape(3)
    torch.testing.assert_close(found[:, :, :3], levels[:, :, :3] / 127.5 - 1, atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:, :, 3:], 3.0 * (levels[:, :, 3:] - 128) / 127.5, atol=1e-5, rtol=0)


def test_a_neutral_frame_has_an_empty_dynamic_image(dynamic_bank):
    assert assemble_plain(dynamic_bank, torch.tensor([0, 4]), DYNAMIC)[:, :, 3:].abs().max() < 1e-5


def test_brightness_is_not_in_a_dynamic_image_and_contrast_is(dynamic_bank):
    plain = assemble(dynamic_bank, changed(), DYNAMIC)
    retouched = assemble(dynamic_bank, changed(brightness=0.1, contrast=1.5), DYNAMIC)
    torch.testing.assert_close(retouched[:, :, 3], 1.5 * plain[:, :, 3], atol=0.03, rtol=0)
    torch.testing.assert_close(retouched[:, :, 4:], plain[:, :, 4:])


def test_mirroring_flips_pictures_and_exchanges_left_and_right(bank):
    plain, mirrored = assemble_plain(bank, ROWS, STORED), assemble(bank, changed(mirror=True), STORED)
    torch.testing.assert_close(mirrored, plain[:, [0, 2, 1]].flip(-1), atol=1e-5, rtol=0)


def _holding(pictures):
    """A bank of just these pictures."""
    rows = torch.arange(len(pictures))
    return ViewBank(pictures, rows, rows, rows, rows >= 0, tuple("abc"), ("front", "left", "right"))


def test_mirroring_twice_is_no_change(bank):
    mirrored = assemble(bank, changed(mirror=True), STORED)
    stored = ((mirrored + 1) * 127.5).round().to(torch.uint8)
    again = assemble(_holding(stored), changed(torch.arange(3), mirror=True), STORED)
    torch.testing.assert_close(again, assemble_plain(bank, ROWS, STORED), atol=1e-5, rtol=0)


def test_a_symmetric_face_stays_what_it_is_when_mirrored():
    drawn = Rasteriser(RenderOptions(size=64)).render(bumpy_scan())
    pictures = derive_channels(
        {name: stack[None] for name, stack in drawn.items()}, (0.0, -45.0, 45.0), STORED.channels
    )
    one = torch.zeros(1, dtype=torch.long)
    bank = ViewBank(torch.from_numpy(pictures), one, one, one, one.bool(), ("F001/Happy",), ("front", "left", "right"))
    options = InputOptions(motion="none", size=64)
    plain, mirrored = assemble_plain(bank, one, options), assemble(bank, changed(one, mirror=True), options)
    assert ((plain - mirrored).abs() > 0.1).float().mean() < 0.02


def test_shifts_move_right_and_down(bank):
    plain = assemble_plain(bank, ROWS, STORED)
    right, down = (assemble(bank, changed(**{axis: 4 / SIZE}), STORED) for axis in ("shift_x", "shift_y"))
    torch.testing.assert_close(right[..., 4:], plain[..., :-4], atol=1e-4, rtol=0)
    torch.testing.assert_close(down[..., 4:, :], plain[..., :-4, :], atol=1e-4, rtol=0)


def test_a_quarter_turn_is_counter_clockwise(bank):
    turned = assemble(bank, changed(rotation=90.0), STORED)
    torch.testing.assert_close(turned, assemble_plain(bank, ROWS, STORED).rot90(1, (-2, -1)), atol=1e-4, rtol=0)


def test_scaling_up_magnifies_the_middle(bank):
    large = assemble(bank, changed(scale=2.0), STORED)
    middle = assemble_plain(bank, ROWS, STORED)[..., 8:24, 8:24]
    torch.testing.assert_close(
        torch.nn.functional.avg_pool2d(large.flatten(0, 1), 2), middle.flatten(0, 1), atol=0.1, rtol=0
    )


def test_contrast_and_brightness_touch_grey_alone(bank):
    plain, changed_light = (
        assemble_plain(bank, ROWS, STORED),
        assemble(bank, changed(contrast=1.2, brightness=0.1), STORED),
    )
    torch.testing.assert_close(changed_light[:, :, 0], (plain[:, :, 0] + 1) * 1.2 - 1 + 0.2, atol=1e-5, rtol=0)
    assert torch.equal(changed_light[:, :, 1:], plain[:, :, 1:])


def test_brightness_is_no_motion(bank):
    options = InputOptions(size=SIZE)
    plain, bright = assemble_plain(bank, ROWS, options), assemble(bank, changed(brightness=0.1), options)
    torch.testing.assert_close(bright[:, :, 3:], plain[:, :, 3:], atol=1e-5, rtol=0)


def test_views_come_from_the_scans_the_plan_names(bank):
    plan = plan_of(bank, MixedViewOptions(mix=1.0, mirror=0, rotation=0, scale=0, shift=0, contrast=0, brightness=0))
    made = assemble(bank, plan, STORED)
    row = plan.iloc[5]
    for position, view in enumerate(bank.views):
        rows = bank.rows_of(row[f"source_sequence_{view}"])
        source = rows[bank.frame[rows] == row[f"source_frame_{view}"]]
        torch.testing.assert_close(made[5, position], assemble_plain(bank, source, STORED)[0, position])


def test_a_slice_of_a_resolved_plan_is_the_plan_of_the_slice(bank):
    plan = plan_of(bank, MixedViewOptions())
    options = InputOptions(size=16)
    assert torch.equal(assemble(bank, resolve_plan(bank, plan)[4:9], options), assemble(bank, plan.iloc[4:9], options))


def test_the_bank_is_never_written_to(bank):
    before = bank.pictures.clone()
    assemble(bank, plan_of(bank, MixedViewOptions()), InputOptions(size=16))
    assert torch.equal(bank.pictures, before)


@pytest.mark.parametrize("column", [("source_sequence_left", "F009/Happy"), ("source_frame_left", 999)])
def test_a_plan_for_another_bank_is_refused(bank, column):
    plan = plan_of(bank, MixedViewOptions()).assign(**dict([column]))
    with pytest.raises(ValueError, match="has no frame"):
        resolve_plan(bank, plan)


def test_mirroring_needs_the_mirror_image():
    assert mirrored_views(("left_20", "front", "right_20")).tolist() == [2, 1, 0]
    with pytest.raises(ValueError, match="right"):
        mirrored_views(("front", "left"))


@pytest.mark.gpu
def test_the_gpu_gives_the_same_pictures(bank):
    plan, options = plan_of(bank, MixedViewOptions()), InputOptions(size=16)
    there = assemble(bank, plan, options, torch.device("cuda")).cpu()
    assert np.allclose(there, assemble(bank, plan, options), atol=1e-3)
