import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from generated_surface import bumpy_scan
from pydantic import Field, ValidationError

from affect4d.evaluation.corruptions import empty_like
from affect4d.rendering.cameras_and_render_backends import Renderer
from affect4d.rendering.options import RenderOptions
from affect4d.views import batch_augmentation_and_motion as batches
from affect4d.views import mixed_view_sampling as augmentation_schedule
from affect4d.views.augmentation import AUGMENTATIONS, Augmentation, MixedViewOptions, options_model
from affect4d.views.bank import ViewBank, resolve_schedule
from affect4d.views.batch_augmentation_and_motion import (
    assemble_batch,
    assemble_unaugmented,
    mirrored_views,
    unaugmented,
)
from affect4d.views.derived_channels import derive_channels
from affect4d.views.input_options import InputOptions
from affect4d.views.mixed_view_sampling import sample_schedule

SIZE = 32
STORED = InputOptions(motion="none", size=SIZE)
ROWS = torch.tensor([2, 7, 13])


def changed(rows=ROWS, **values):
    """The plan that changes nothing but what is given."""
    scheduled = unaugmented(rows, 3)
    names = [one.name for one in AUGMENTATIONS]
    numbers = scheduled.values.clone()
    for name in values.keys() & set(names):
        numbers[..., names.index(name)] = values[name]
    flags = {name: torch.full((len(rows),), values[name]) for name in values.keys() - set(names)}
    return dataclasses.replace(scheduled, values=numbers, **flags)


CPU = torch.device("cpu")


def assemble(bank, schedule, options, device=CPU):
    """The batch of a schedule, a table or resolved."""
    resolved = resolve_schedule(bank, schedule) if isinstance(schedule, pd.DataFrame) else schedule
    return assemble_batch(bank, resolved, options, device)


def plan_of(bank, options):
    return sample_schedule(
        bank.index(), options, epochs=1, batch_size=8, samples_per_sequence=4, seed=0, views=bank.views
    )


@pytest.mark.parametrize("motion", ["none", "stacked", "views"])
@pytest.mark.parametrize("size", [SIZE, 24, 16])
def test_a_plan_of_strength_zero_gives_the_plain_images(bank, motion, size):
    options = InputOptions(motion=motion, size=size)
    plan = plan_of(bank, MixedViewOptions.none())
    plain = assemble_unaugmented(bank, resolve_schedule(bank, plan).rows[:, 0], options)
    torch.testing.assert_close(assemble(bank, plan, options), plain, atol=1e-6, rtol=0)


@pytest.mark.parametrize("motion", ["none", "stacked", "views"])
@pytest.mark.parametrize("size", [SIZE, 24])
def test_the_compiled_pass_sees_what_tensors_see(bank, motion, size, monkeypatch):
    options = InputOptions(channels=("shading", "grey", "curvature"), motion=motion, size=size)
    bank = dataclasses.replace(bank, images=bank.images * (torch.rand(bank.images.shape) > 0.1))  # background
    lost = {"still": 0.3, "textureless": 0.3, "missing_view": 0.3}
    plan = plan_of(bank, MixedViewOptions(mirror=0.5, contrast=0.4, brightness=0.2, rotation=20.0, **lost))
    found = assemble(bank, plan, options)
    monkeypatch.setattr(batches, "_has_compiler", lambda: False)
    torch.testing.assert_close(found, assemble(bank, plan, options), atol=2e-4, rtol=0)


def test_plain_images_at_the_stored_size_are_the_stored_ones(bank):
    expected = bank.images[ROWS].float() / 127.5 - 1
    torch.testing.assert_close(assemble_unaugmented(bank, ROWS, STORED), expected, atol=1e-5, rtol=0)


def test_motion_is_the_difference_to_the_neutral_frame(bank):
    options = InputOptions(motion="stacked", size=SIZE, motion_gain=3.0)
    images = bank.images.float() / 127.5 - 1
    motion = assemble_unaugmented(bank, ROWS, options)[:, :, 3:]
    torch.testing.assert_close(motion, 3 * (images[ROWS] - images[bank.neutral[ROWS]]), atol=1e-4, rtol=0)


def test_a_head_pose_is_taken_with_its_own_neutral(bank):
    shown = torch.cat([bank.images, bank.images.flip(-1)])
    poses = dataclasses.replace(bank, images=shown)
    options = InputOptions(motion="stacked", size=SIZE)
    plan = dataclasses.replace(unaugmented(ROWS, 3), rows=ROWS[:, None].expand(-1, 3) + len(bank))
    turned, plain = assemble(poses, plan, options), assemble_unaugmented(poses, ROWS, options)
    torch.testing.assert_close(turned, plain.flip(-1), atol=1e-5, rtol=0)


def test_a_head_pose_that_was_not_rendered_is_refused(bank):
    with pytest.raises(ValueError, match="head pose 1, and 0 were rendered"):
        resolve_schedule(bank, plan_of(bank, MixedViewOptions()).assign(head_pose=1))


@pytest.mark.parametrize("compiled", [True, False])
def test_a_still_sample_shows_the_same_face_without_what_moved(bank, compiled, monkeypatch):
    options = InputOptions(motion="stacked", size=SIZE)
    if not compiled:
        monkeypatch.setattr(batches, "_has_compiler", lambda: False)
    still, plain = assemble(bank, changed(still=True), options), assemble_unaugmented(bank, ROWS, options)
    assert torch.equal(still[:, :, :3], plain[:, :, :3])
    assert (still[:, :, 3:] == 0).all()
    assert (plain[:, :, 3:] != 0).any()


@pytest.fixture(params=[True, False], ids=["compiled", "tensors"])
def either_path(request, monkeypatch):
    """Batches assembled by the compiled pass, then by tensors."""
    if not request.param:
        monkeypatch.setattr(batches, "_has_compiler", lambda: False)


@pytest.mark.usefixtures("either_path")
@pytest.mark.parametrize("stored", [SIZE, 2 * SIZE])
def test_a_textureless_sample_is_what_a_scan_without_texture_renders(stored):
    textured = bank_of_scan(stored, texture=True)
    bare = bank_of_scan(stored, texture=False)
    assert not torch.equal(textured.images, bare.images)
    options, rows = InputOptions(channels=("shading", "grey", "curvature"), size=SIZE), torch.tensor([0, 1])
    lost = dataclasses.replace(unaugmented(rows, 3), textureless=torch.tensor([True, True]))
    expected = assemble_unaugmented(bare, rows, options)
    torch.testing.assert_close(assemble(textured, lost, options), expected, atol=1e-5, rtol=0)


@pytest.mark.usefixtures("either_path")
def test_a_missing_view_is_what_a_dropped_one_renders():
    bank, rows = bank_of_scan(SIZE), torch.tensor([0, 1])
    gone = bank_of_scan(SIZE, corrupt=True)
    options = InputOptions(channels=("shading", "grey", "curvature"), size=SIZE)
    missing = torch.tensor([[False, True, True]] * 2)
    assert (gone.images[:, 1:] != bank.images[:, 1:]).any()
    lost = dataclasses.replace(unaugmented(rows, 3), missing=missing)
    expected = assemble_unaugmented(gone, rows, options)
    torch.testing.assert_close(assemble(bank, lost, options), expected, atol=1e-5, rtol=0)


def bank_of_scan(size, texture=True, corrupt=False):
    """A neutral and a moved scan, rendered from three views; without its texture or its last two views."""
    options = RenderOptions(size=size)
    images = []
    for strength in (0.0, 8.0):
        drawn = Renderer(options).render(bumpy_scan(strength, textured=texture))
        images.append(
            {
                name: np.concatenate([stack[:1], empty_like(name, stack[1:])]) if corrupt else stack
                for name, stack in drawn.items()
            }
        )
    stacks = {name: np.stack([one[name] for one in images]) for name in images[0]}
    derived = derive_channels(stacks, list(options.angles.values()), ("shading", "grey", "curvature"))
    return ViewBank(
        torch.from_numpy(derived),
        torch.zeros(2, dtype=torch.int64),
        torch.zeros(2, dtype=torch.int64),
        torch.arange(2),
        torch.ones(2, dtype=torch.bool),
        ("S/anger",),
        tuple(options.angles),
    )


def test_motion_as_views_is_motion_as_channels_laid_out_otherwise(bank):
    stacked = assemble_unaugmented(bank, ROWS, InputOptions(motion="stacked", size=16))
    as_views = assemble_unaugmented(bank, ROWS, InputOptions(motion="views", size=16))
    assert torch.equal(as_views, torch.cat([stacked[:, :, :3], stacked[:, :, 3:]], dim=1))


def test_a_neutral_frame_has_no_motion(bank):
    assert not assemble_unaugmented(bank, torch.tensor([0, 4]), InputOptions(size=16))[:, :, 3:].any()


def test_there_is_no_motion_where_one_of_both_shows_background(bank):
    images = bank.images.clone()
    images[2, ..., :16] = 0
    motion = assemble_unaugmented(dataclasses.replace(bank, images=images), torch.tensor([2]), InputOptions(size=SIZE))[
        :, :, 3:
    ]
    assert not motion[..., :16].any()
    assert motion[..., 16:].any()


def test_mirroring_flips_images_and_exchanges_left_and_right(bank):
    plain, mirrored = assemble_unaugmented(bank, ROWS, STORED), assemble(bank, changed(mirror=True), STORED)
    torch.testing.assert_close(mirrored, plain[:, [0, 2, 1]].flip(-1), atol=1e-5, rtol=0)


def _holding(images):
    """A bank of just these images."""
    rows = torch.arange(len(images))
    return ViewBank(images, rows, rows, rows, rows >= 0, tuple("abc"), ("front", "left", "right"))


def test_mirroring_twice_is_no_change(bank):
    mirrored = assemble(bank, changed(mirror=True), STORED)
    stored = ((mirrored + 1) * 127.5).round().to(torch.uint8)
    again = assemble(_holding(stored), changed(torch.arange(3), mirror=True), STORED)
    torch.testing.assert_close(again, assemble_unaugmented(bank, ROWS, STORED), atol=1e-5, rtol=0)


def test_a_symmetric_face_stays_what_it_is_when_mirrored():
    drawn = Renderer(RenderOptions(size=64)).render(bumpy_scan())
    images = derive_channels({name: stack[None] for name, stack in drawn.items()}, (0.0, -45.0, 45.0), STORED.channels)
    one = torch.zeros(1, dtype=torch.long)
    bank = ViewBank(torch.from_numpy(images), one, one, one, one.bool(), ("F001/Happy",), ("front", "left", "right"))
    options = InputOptions(motion="none", size=64)
    plain, mirrored = assemble_unaugmented(bank, one, options), assemble(bank, changed(one, mirror=True), options)
    assert ((plain - mirrored).abs() > 0.1).float().mean() < 0.02


def test_shifts_move_right_and_down(bank):
    plain = assemble_unaugmented(bank, ROWS, STORED)
    right, down = (assemble(bank, changed(**{axis: 4 / SIZE}), STORED) for axis in ("shift_x", "shift_y"))
    torch.testing.assert_close(right[..., 4:], plain[..., :-4], atol=1e-4, rtol=0)
    torch.testing.assert_close(down[..., 4:, :], plain[..., :-4, :], atol=1e-4, rtol=0)


def test_a_quarter_turn_is_counter_clockwise(bank):
    turned = assemble(bank, changed(rotation=90.0), STORED)
    torch.testing.assert_close(turned, assemble_unaugmented(bank, ROWS, STORED).rot90(1, (-2, -1)), atol=1e-4, rtol=0)


def test_scaling_up_magnifies_the_middle(bank):
    large = assemble(bank, changed(scale=2.0), STORED)
    middle = assemble_unaugmented(bank, ROWS, STORED)[..., 8:24, 8:24]
    torch.testing.assert_close(
        torch.nn.functional.avg_pool2d(large.flatten(0, 1), 2), middle.flatten(0, 1), atol=0.1, rtol=0
    )


def test_contrast_and_brightness_touch_grey_alone(bank):
    plain, changed_light = (
        assemble_unaugmented(bank, ROWS, STORED),
        assemble(bank, changed(contrast=1.2, brightness=0.1), STORED),
    )
    torch.testing.assert_close(changed_light[:, :, 0], (plain[:, :, 0] + 1) * 1.2 - 1 + 0.2, atol=1e-5, rtol=0)
    assert torch.equal(changed_light[:, :, 1:], plain[:, :, 1:])


def test_brightness_is_no_motion(bank):
    options = InputOptions(size=SIZE)
    plain, bright = assemble_unaugmented(bank, ROWS, options), assemble(bank, changed(brightness=0.1), options)
    torch.testing.assert_close(bright[:, :, 3:], plain[:, :, 3:], atol=1e-5, rtol=0)


def test_views_come_from_the_scans_the_plan_names(bank):
    plan = plan_of(bank, MixedViewOptions(**{**MixedViewOptions.none().model_dump(), "mix": 1.0}))
    made = assemble(bank, plan, STORED)
    row = plan.iloc[5]
    for position, view in enumerate(bank.views):
        rows = bank.rows_of(row[f"source_sequence_{view}"])
        source = rows[bank.frame[rows] == row[f"source_frame_{view}"]]
        torch.testing.assert_close(made[5, position], assemble_unaugmented(bank, source, STORED)[0, position])


def test_a_slice_of_a_resolved_plan_is_the_plan_of_the_slice(bank):
    plan = plan_of(bank, MixedViewOptions())
    options = InputOptions(size=16)
    assert torch.equal(
        assemble(bank, resolve_schedule(bank, plan)[4:9], options), assemble(bank, plan.iloc[4:9], options)
    )


def test_the_bank_is_never_written_to(bank):
    before = bank.images.clone()
    assemble(bank, plan_of(bank, MixedViewOptions()), InputOptions(size=16))
    assert torch.equal(bank.images, before)


@pytest.mark.parametrize("column", [("source_sequence_left", "F009/Happy"), ("source_frame_left", 999)])
def test_a_plan_for_another_bank_is_refused(bank, column):
    plan = plan_of(bank, MixedViewOptions()).assign(**dict([column]))
    with pytest.raises(ValueError, match="has no frame"):
        resolve_schedule(bank, plan)


def test_mirroring_needs_the_mirror_image():
    assert mirrored_views(("left_20", "front", "right_20")).tolist() == [2, 1, 0]
    with pytest.raises(ValueError, match="right"):
        mirrored_views(("front", "left"))


@pytest.mark.gpu
def test_the_gpu_gives_the_same_images(bank):
    lost = {"still": 0.3, "textureless": 0.3, "missing_view": 0.3}
    plan, options = plan_of(bank, MixedViewOptions(**lost)), InputOptions(size=16)
    there = assemble(bank, plan, options, torch.device("cuda")).cpu()
    assert np.allclose(there, assemble(bank, plan, options), atol=1e-3)


@pytest.mark.parametrize("compiled", [True, False])
def test_one_entry_of_the_list_is_an_augmentation(bank, monkeypatch, compiled):
    """It is an option, a column a view, and its effect; those before it are sampled as they were."""

    def upside_down(change, values):
        change.transform[..., 1, :] *= values.sign()[..., None]

    toy = Augmentation("tumble", 1.0, "tumble", Field(default=0.0, ge=0.0, le=4.0), upside_down)
    before = plan_of(bank, MixedViewOptions.none())
    for module in ("batch_augmentation_and_motion", "bank"):
        monkeypatch.setattr(f"affect4d.views.{module}.AUGMENTATIONS", [*AUGMENTATIONS, toy])
    monkeypatch.setattr(augmentation_schedule, "AUGMENTATIONS", [*AUGMENTATIONS, toy])
    if not compiled:
        monkeypatch.setattr(batches, "_has_compiler", lambda: False)
    options = options_model([*AUGMENTATIONS, toy])
    schedule = plan_of(bank, options.model_validate({**MixedViewOptions.none().model_dump(), "tumble": 2.0}))
    assert {"tumble_front", "tumble_left", "tumble_right"} == set(schedule.columns) - set(before.columns)
    assert schedule["tumble_left"].between(-1.0, 3.0).all()
    assert schedule["sequence"].equals(before["sequence"])
    plain = assemble_unaugmented(bank, resolve_schedule(bank, schedule).rows[:, 0], STORED)
    flipped = schedule.assign(**{f"tumble_{view}": -1.0 for view in bank.views})
    torch.testing.assert_close(assemble(bank, flipped, STORED), plain.flip(-2), atol=1e-5, rtol=0)
    with pytest.raises(ValidationError):
        options(tumble=5.0)
