"""Batches of P subjects × K samples: who is in them, how often, and that no label enters where none may."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from affect4d.views.augmentation import MixedViewOptions
from affect4d.views.augmentation_schedule import SubjectSampler, sample_schedule

KINDS = ("anger", "fear", "happiness")
NAMES = [f"F{subject:03}/{kind}/{take}" for subject in range(7) for kind in KINDS for take in range(2)]
SUBJECT_OF = {name: name.split("/")[0] for name in NAMES}
KIND_OF = {name: name.split("/")[1] for name in NAMES}
INDEX = pd.DataFrame([{"sequence": name, "frame": frame} for name in NAMES for frame in range(3)])


def subject_sampler(subjects=4, samples=3, subject_of=SUBJECT_OF, kind_of=KIND_OF):
    return SubjectSampler(subjects, samples, subject_of, kind_of)


def plan(sampler, batch_size=12, groups=KIND_OF, **changes):
    arguments = {"epochs": 3, "samples_per_sequence": 4, "seed": 7, "views": ("front",), **changes}
    options = MixedViewOptions()
    return sample_schedule(INDEX, options, batch_size=batch_size, groups=groups, subject_sampler=sampler, **arguments)


def batches(drawn):
    told = drawn.assign(subject=drawn["sequence"].map(SUBJECT_OF), kind=drawn["sequence"].map(KIND_OF))
    return [batch for _, batch in told.groupby(["epoch", "step"])]


@pytest.mark.parametrize("groups", [None, KIND_OF])
def test_every_batch_holds_so_many_subjects_with_so_many_samples_each(groups):
    for batch in batches(plan(subject_sampler(), groups=groups)):
        assert batch["subject"].value_counts().tolist() == [3] * 4


def test_the_samples_of_a_subject_are_spread_over_what_it_shows():
    for batch in batches(plan(subject_sampler())):
        assert (batch.groupby(["subject", "kind"]).size() == 1).all()
    for batch in batches(plan(subject_sampler(3, 4))):
        assert set(batch.groupby(["subject", "kind"]).size()) <= {1, 2}
        assert (batch.groupby("subject")["kind"].nunique() == 3).all()
    for batch in batches(plan(subject_sampler(6, 2))):
        assert (batch.groupby("subject")["kind"].nunique() == 2).all()


def test_over_an_epoch_subjects_kinds_and_sequences_come_equally_often():
    for _, epoch in plan(subject_sampler()).groupby("epoch"):
        shown = epoch["sequence"].value_counts().reindex(NAMES, fill_value=0)
        of_subjects = shown.groupby(SUBJECT_OF).sum()
        assert of_subjects.max() - of_subjects.min() <= 3  # one turn
        for _, of_kind in shown.groupby([SUBJECT_OF, KIND_OF]):
            assert of_kind.max() - of_kind.min() <= 1


def test_the_order_is_a_pure_function_of_seed_and_epoch():
    drawn = plan(subject_sampler())
    pd.testing.assert_frame_equal(drawn, plan(subject_sampler()))
    pd.testing.assert_frame_equal(drawn, plan(subject_sampler(), epochs=4).query("epoch < 3"))
    assert not drawn.equals(plan(subject_sampler(), seed=8))
    epochs = [epoch["sequence"].tolist() for _, epoch in drawn.groupby("epoch")]
    assert all(one != other for one, other in pairwise(epochs))


def test_subjects_are_not_in_order_inside_a_batch():
    first = batches(plan(subject_sampler()))[0]["subject"].tolist()
    assert first != sorted(first, key=first.index)


def test_without_labels_kinds_are_pseudo_labels_and_nothing_else_enters():
    pseudo = {name: str(place % 2) for place, name in enumerate(NAMES)}
    drawn = plan(subject_sampler(3, 2, kind_of=pseudo), 6, groups=None)
    for batch in batches(drawn):
        assert (batch.assign(pseudo=batch["sequence"].map(pseudo)).groupby("subject")["pseudo"].nunique() == 2).all()
    assert not {"subject", "expression", "pseudo_label"} & set(drawn.columns)


def test_names_of_kinds_do_not_matter_only_which_are_equal():
    numbered = {name: str(KINDS.index(kind)) for name, kind in KIND_OF.items()}  # in the same order
    pd.testing.assert_frame_equal(plan(subject_sampler()), plan(subject_sampler(kind_of=numbered)))


def test_subjects_of_unequal_wealth_take_equal_part():
    poor = [name for name in NAMES if name.startswith("F000")][1:]
    index = INDEX[~INDEX["sequence"].isin(poor)]
    drawn = sample_schedule(
        index, MixedViewOptions(), epochs=1, batch_size=12, samples_per_sequence=4, seed=0, views=("front",),
        subject_sampler=subject_sampler(),
    )  # fmt: skip
    shown = drawn["sequence"].map(SUBJECT_OF).value_counts()
    assert shown.max() - shown.min() <= 3


def test_more_subjects_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"8 subjects cannot be sampled from 7: lower sampler\.subjects"):
        plan(subject_sampler(8, 3), 24)


def test_a_batch_of_another_size_is_refused():
    with pytest.raises(ValueError, match="12 does not hold 4 subjects × 2 samples"):
        plan(subject_sampler(4, 2))


def test_without_subjects_a_plan_is_what_it_was():
    drawn = plan(None)
    assert (pd.concat(batches(drawn)).groupby(["epoch", "step", "kind"]).size() == 4).all()
    assert np.array_equal(np.unique(drawn["step"]), np.arange(14))
