import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from affect4d.views.augmentation import MixedViewOptions
from affect4d.views.augmentation_schedule import sample_schedule, schedule_columns

VIEWS = ("front", "left", "right")
EXPRESSIONS = ("anger", "fear", "happiness")
INDEX = pd.DataFrame(
    [
        {"sequence": f"F{subject:03}/{expression}", "frame": frame, "in_window": 2 <= frame <= 4}
        for subject in range(8)
        for expression in EXPRESSIONS
        for frame in range(6)
    ]
)
GROUPS = {sequence: sequence.split("/")[1] for sequence in INDEX["sequence"].unique()}


def plan(index=INDEX, **changes):
    arguments = {
        "options": MixedViewOptions(mix=0.6),
        "epochs": 3,
        "batch_size": 12,
        "samples_per_sequence": 4,
        "seed": 7,
        "views": VIEWS,
        "groups": GROUPS,
    }
    return sample_schedule(index, **{**arguments, **changes})


def test_without_groups_no_view_comes_from_another_sequence():
    drawn = plan(groups=None)
    for view in VIEWS:
        assert (drawn[f"source_sequence_{view}"] == drawn["sequence"]).all()


def test_without_groups_views_still_come_from_other_frames():
    drawn = plan(groups=None)
    assert (drawn["source_frame_left"] != drawn["frame"]).mean() == pytest.approx(0.6 * 2 / 3, abs=0.08)


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_a_plan_has_no_label_column(groups):
    drawn = plan(groups=groups)
    assert list(drawn.columns) == schedule_columns(VIEWS)
    assert not {"expression", "label", "group", "subject"} & set(drawn.columns)


def test_with_groups_views_come_from_other_scans_of_the_same_group():
    drawn = plan()
    for view in VIEWS:
        source = drawn[f"source_sequence_{view}"]
        assert (source.map(GROUPS) == drawn["sequence"].map(GROUPS)).all()
        assert (source != drawn["sequence"]).mean() == pytest.approx(0.6 * 7 / 8, abs=0.08)


def test_every_batch_holds_every_group_equally_often():
    counts = plan().assign(group=lambda rows: rows["sequence"].map(GROUPS)).groupby(["epoch", "step"])["group"]
    assert (counts.value_counts() == 4).all()


def test_groups_of_unequal_size_are_still_balanced():
    uneven = INDEX[~INDEX["sequence"].isin([f"F{subject:03}/fear" for subject in range(6)])]
    groups = plan(uneven).assign(group=lambda rows: rows["sequence"].map(GROUPS)).groupby(["epoch", "step"])["group"]
    assert (groups.value_counts() == 4).all()


def test_an_epoch_shows_every_sequence_equally_often():
    shown = plan().groupby("epoch")["sequence"].value_counts()
    assert (shown == 4).all()


def test_steps_follow_from_samples_and_batch_size():
    drawn = plan()
    assert drawn.groupby("epoch")["step"].nunique().tolist() == [8, 8, 8]
    assert (drawn.groupby(["epoch", "step"]).size() == 12).all()


def test_only_frames_near_the_apex_are_drawn():
    drawn = plan()
    for column in ("frame", *(f"source_frame_{view}" for view in VIEWS)):
        assert set(drawn[column]) == {2, 3, 4}


def test_a_share_of_samples_may_come_from_the_quiet_frames():
    drawn = plan(options=MixedViewOptions(quiet_share=0.5), samples_per_sequence=40)
    assert (~drawn["frame"].between(2, 4)).mean() == pytest.approx(0.25, abs=0.04)


def test_an_index_without_window_uses_every_frame():
    assert set(plan(INDEX.drop(columns="in_window"))["frame"]) == set(range(6))


def test_a_sequence_without_window_uses_every_frame():
    assert set(plan(INDEX.assign(in_window=False))["frame"]) == set(range(6))


def test_the_same_arguments_draw_the_same_plan_and_the_order_of_the_index_does_not_matter():
    shuffled = INDEX.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(plan(), plan(shuffled))
    assert not plan().equals(plan(seed=8))


def test_more_epochs_begin_with_the_same_ones():
    pd.testing.assert_frame_equal(plan(epochs=4).query("epoch < 3"), plan())


def test_strength_zero_changes_nothing():
    drawn = plan(options=MixedViewOptions.none())
    assert not drawn["mirror"].any()
    for view in VIEWS:
        assert (drawn[f"source_sequence_{view}"] == drawn["sequence"]).all()
        assert (drawn[f"source_frame_{view}"] == drawn["frame"]).all()
        assert np.array_equal(drawn[[f"{part}_{view}" for part in ("scale", "contrast")]], np.ones((len(drawn), 2)))
        unmoved = [f"{part}_{view}" for part in ("rotation", "shift_x", "shift_y", "brightness")]
        assert not drawn[unmoved].to_numpy().any()


def test_changes_stay_within_their_bounds_and_differ_between_views():
    drawn = plan(options=MixedViewOptions(rotation=5, scale=0.1))
    assert drawn["rotation_left"].abs().max() <= 5
    assert drawn["scale_left"].between(0.9, 1.1).all()
    assert (drawn["rotation_left"] != drawn["rotation_right"]).all()
    assert drawn["prompt_draw"].between(0, 1, inclusive="left").all()


def test_a_batch_that_cannot_be_balanced_is_refused_with_a_remedy():
    with pytest.raises(ValueError, match="use a multiple of 3"):
        plan(batch_size=10)


def test_a_sequence_without_group_is_named():
    with pytest.raises(ValueError, match="F000/anger"):
        plan(groups={sequence: group for sequence, group in GROUPS.items() if sequence != "F000/anger"})


def test_an_empty_index_is_refused():
    with pytest.raises(ValueError, match="no frames"):
        plan(INDEX.head(0))


def test_head_poses_are_drawn_where_there_are_some_and_change_nothing_else():
    one, three = plan(), plan(head_poses=3)
    assert (one["head_pose"] == 0).all()
    assert set(three["head_pose"]) == {0, 1, 2, 3}
    assert 0.65 < (three["head_pose"] > 0).mean() < 0.85
    assert three.drop(columns="head_pose").equals(one.drop(columns="head_pose"))


def test_the_share_of_still_samples_changes_nothing_else():
    moving, some = plan(options=MixedViewOptions()), plan(options=MixedViewOptions(still=0.3))
    assert not moving["still"].any()
    assert 0.2 < some["still"].mean() < 0.4
    assert some.drop(columns="still").equals(moving.drop(columns="still"))


@pytest.mark.parametrize("options", [{"mirror": 1.5}, {"mix": -0.1}, {"scale": 0.95}, {"flip": 0.5}])
def test_absurd_strengths_are_refused(options):
    with pytest.raises(ValidationError):
        MixedViewOptions(**options)


def test_the_former_name_of_the_head_pose_probability_is_still_read():
    with pytest.warns(FutureWarning, match="head_pose"):
        assert MixedViewOptions(turned=0.5) == MixedViewOptions(head_pose=0.5)
