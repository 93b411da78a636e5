from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from affect4d.views.augmentation import MixedViewOptions
from affect4d.views.mixed_view_sampling import SubjectSampler, sample_schedule, schedule_columns

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
MISSING = [f"missing_{view}" for view in VIEWS]
KEPT = {"still": 0.0, "textureless": 0.0, "missing_view": 0.0}
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


@pytest.mark.parametrize(
    ("option", "columns"), [("still", ["still"]), ("textureless", ["textureless"]), ("missing_view", MISSING)]
)
def test_a_lost_modality_changes_nothing_else(option, columns):
    every, some = (plan(options=MixedViewOptions(**{**KEPT, option: share})) for share in (0.0, 0.3))
    assert not every[columns].any(axis=None)
    expected = 0.2 if option == "missing_view" else 0.3  # one of the three views is kept
    assert some[columns].mean().mean() == pytest.approx(expected, abs=0.1)
    assert some.drop(columns=columns).equals(every.drop(columns=columns))


def test_a_view_is_always_left():
    missing = plan(options=MixedViewOptions(missing_view=1.0))[MISSING]
    assert (missing.sum(axis=1) == len(MISSING) - 1).all()
    assert not missing.all(axis=0).any()


@pytest.mark.parametrize("options", [{"mirror": 1.5}, {"mix": -0.1}, {"scale": 0.95}, {"flip": 0.5}])
def test_absurd_strengths_are_refused(options):
    with pytest.raises(ValidationError):
        MixedViewOptions(**options)


def test_the_former_name_of_the_head_pose_probability_is_still_read():
    with pytest.warns(FutureWarning, match="head_pose"):
        assert MixedViewOptions(turned=0.5) == MixedViewOptions(head_pose=0.5)


KINDS = ("anger", "fear", "happiness")
NAMES = [f"F{subject:03}/{kind}/{take}" for subject in range(7) for kind in KINDS for take in range(2)]
SUBJECT_OF = {name: name.split("/")[0] for name in NAMES}
KIND_OF = {name: name.split("/")[1] for name in NAMES}
SUBJECT_INDEX = pd.DataFrame([{"sequence": name, "frame": frame} for name in NAMES for frame in range(3)])


def subject_sampler(subjects=4, samples=3, subject_of=SUBJECT_OF, kind_of=KIND_OF):
    return SubjectSampler(subjects, samples, subject_of, kind_of)


def subject_plan(sampler, batch_size=12, groups=KIND_OF, **changes):
    arguments = {"epochs": 3, "samples_per_sequence": 4, "seed": 7, "views": ("front",), **changes}
    options = MixedViewOptions()
    return sample_schedule(
        SUBJECT_INDEX, options, batch_size=batch_size, groups=groups, subject_sampler=sampler, **arguments
    )


def batches(drawn):
    labelled = drawn.assign(subject=drawn["sequence"].map(SUBJECT_OF), kind=drawn["sequence"].map(KIND_OF))
    return [batch for _, batch in labelled.groupby(["epoch", "step"])]


@pytest.mark.parametrize("groups", [None, KIND_OF])
def test_every_batch_holds_so_many_subjects_with_so_many_samples_each(groups):
    for batch in batches(subject_plan(subject_sampler(), groups=groups)):
        assert batch["subject"].value_counts().tolist() == [3] * 4


def test_the_samples_of_a_subject_are_spread_over_what_it_shows():
    for batch in batches(subject_plan(subject_sampler())):
        assert (batch.groupby(["subject", "kind"]).size() == 1).all()
    for batch in batches(subject_plan(subject_sampler(3, 4))):
        assert set(batch.groupby(["subject", "kind"]).size()) <= {1, 2}
        assert (batch.groupby("subject")["kind"].nunique() == 3).all()
    for batch in batches(subject_plan(subject_sampler(6, 2))):
        assert (batch.groupby("subject")["kind"].nunique() == 2).all()


def test_over_an_epoch_subjects_kinds_and_sequences_come_equally_often():
    for _, epoch in subject_plan(subject_sampler()).groupby("epoch"):
        shown = epoch["sequence"].value_counts().reindex(NAMES, fill_value=0)
        of_subjects = shown.groupby(SUBJECT_OF).sum()
        assert of_subjects.max() - of_subjects.min() <= 3  # one turn
        for _, of_kind in shown.groupby([SUBJECT_OF, KIND_OF]):
            assert of_kind.max() - of_kind.min() <= 1


def test_the_order_is_a_pure_function_of_seed_and_epoch():
    drawn = subject_plan(subject_sampler())
    pd.testing.assert_frame_equal(drawn, subject_plan(subject_sampler()))
    pd.testing.assert_frame_equal(drawn, subject_plan(subject_sampler(), epochs=4).query("epoch < 3"))
    assert not drawn.equals(subject_plan(subject_sampler(), seed=8))
    epochs = [epoch["sequence"].tolist() for _, epoch in drawn.groupby("epoch")]
    assert all(one != other for one, other in pairwise(epochs))


def test_subjects_are_not_in_order_inside_a_batch():
    first = batches(subject_plan(subject_sampler()))[0]["subject"].tolist()
    assert first != sorted(first, key=first.index)


def test_without_labels_kinds_are_pseudo_labels_and_nothing_else_enters():
    pseudo = {name: str(place % 2) for place, name in enumerate(NAMES)}
    drawn = subject_plan(subject_sampler(3, 2, kind_of=pseudo), 6, groups=None)
    for batch in batches(drawn):
        assert (batch.assign(pseudo=batch["sequence"].map(pseudo)).groupby("subject")["pseudo"].nunique() == 2).all()
    assert not {"subject", "expression", "pseudo_label"} & set(drawn.columns)


def test_names_of_kinds_do_not_matter_only_which_are_equal():
    numbered = {name: str(KINDS.index(kind)) for name, kind in KIND_OF.items()}  # in the same order
    pd.testing.assert_frame_equal(subject_plan(subject_sampler()), subject_plan(subject_sampler(kind_of=numbered)))


def test_subjects_of_unequal_size_come_equally_often():
    poor = [name for name in NAMES if name.startswith("F000")][1:]
    index = SUBJECT_INDEX[~SUBJECT_INDEX["sequence"].isin(poor)]
    drawn = sample_schedule(
        index, MixedViewOptions(), epochs=1, batch_size=12, samples_per_sequence=4, seed=0, views=("front",),
        subject_sampler=subject_sampler(),
    )  # fmt: skip
    shown = drawn["sequence"].map(SUBJECT_OF).value_counts()
    assert shown.max() - shown.min() <= 3


def test_more_subjects_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"8 subjects cannot be sampled from 7: lower sampler\.subjects"):
        subject_plan(subject_sampler(8, 3), 24)


def test_a_batch_of_another_size_is_refused():
    with pytest.raises(ValueError, match="12 does not hold 4 subjects × 2 samples"):
        subject_plan(subject_sampler(4, 2))


def test_without_subjects_a_plan_is_what_it_was():
    drawn = subject_plan(None)
    assert (pd.concat(batches(drawn)).groupby(["epoch", "step", "kind"]).size() == 4).all()
    assert np.array_equal(np.unique(drawn["step"]), np.arange(14))
