"""The plan a training asks for: by its options, from the subjects it may see."""

import pandas as pd
import pytest
from pydantic import ValidationError

from affect4d.training.options import TrainOptions
from affect4d.training.sample_table_and_validation_split import VALIDATION_EPOCH, draw_plan
from affect4d.views.augmentation import MixedViewOptions
from affect4d.views.input_options import InputOptions
from affect4d.views.mixed_view_sampling import schedule_columns

WORDS = ("anger", "fear", "happiness")
NAMES = [f"F{subject:03}/{word}" for subject in range(6) for word in WORDS]
SUBJECT_OF = {name: name.split("/")[0] for name in NAMES}
KIND_OF = {name: name.split("/")[1] for name in NAMES}
MANIFEST = pd.DataFrame(
    {
        "sequence": NAMES,
        "subject": [SUBJECT_OF[name] for name in NAMES],
        "frames": [[0, 1, 2]] * len(NAMES),
        "activity": [[0.0, 1.0, 0.8]] * len(NAMES),
        "views": [["front", "left"]] * len(NAMES),
    }
)
SAMPLER = {"subjects": 3, "samples": 3}


def draw(kind_of=KIND_OF, supervised=True, views=(), **train):
    options = TrainOptions(**{"epochs": 2, "batch_size": 9, **train})
    return draw_plan(MANIFEST, MixedViewOptions(), options, InputOptions(), kind_of, supervised=supervised, views=views)


@pytest.mark.parametrize("supervised", [True, False])
def test_batches_by_subject_are_asked_for_by_the_training(supervised):
    drawn = draw(supervised=supervised, sampler=SAMPLER)
    subjects = drawn.assign(subject=drawn["sequence"].map(SUBJECT_OF)).groupby(["epoch", "step"])["subject"]
    assert (subjects.value_counts() == 3).all()
    assert (subjects.nunique() == 3).all()


def test_a_self_supervised_plan_depends_on_pseudo_labels_by_the_sampler_alone():
    pseudo = {name: "one" if place % 2 else "other" for place, name in enumerate(NAMES)}
    shuffled = dict(zip(NAMES, pseudo.values(), strict=True)) | {NAMES[0]: "one"}
    pd.testing.assert_frame_equal(draw(pseudo, supervised=False), draw(shuffled, supervised=False))
    by_subject = [draw(kinds, supervised=False, sampler=SAMPLER) for kinds in (pseudo, shuffled)]
    assert not by_subject[0].equals(by_subject[1])
    for view in ("front", "left"):
        assert (by_subject[0][f"source_sequence_{view}"] == by_subject[0]["sequence"]).all()


def test_no_label_column_is_read():
    assert "expression" not in MANIFEST.columns
    assert list(draw(supervised=False, sampler=SAMPLER).columns) == schedule_columns(("front", "left"))


def test_held_out_subjects_are_in_rows_of_their_own_also_where_batches_go_by_subject():
    drawn = draw(sampler=SAMPLER, validation=0.3)
    held_out = drawn["epoch"] == VALIDATION_EPOCH
    of = drawn["sequence"].map(SUBJECT_OF)
    assert of[held_out].nunique() == 2
    assert not set(of[held_out]) & set(of[~held_out])


def test_some_of_the_views_can_be_asked_for():
    assert list(draw(views=("left",)).columns) == schedule_columns(("left",))


def test_a_sampler_that_does_not_fill_the_batch_is_refused_with_the_remedy():
    with pytest.raises(ValidationError, match="3 subjects × 3 samples are no batch of 36: set batch_size to 9"):
        TrainOptions(sampler=SAMPLER)


def test_nothing_to_train_on_is_said_with_the_way_without_labels():
    with pytest.raises(ValueError, match=r"none has one of the six expressions.*train_smile"):
        draw_plan(MANIFEST[:0], MixedViewOptions(), TrainOptions(), InputOptions(), {}, supervised=True)


def test_one_held_out_sequence_is_too_few():
    alone = MANIFEST.drop_duplicates("subject")
    options = TrainOptions(epochs=1, batch_size=3, validation=0.1)
    with pytest.raises(ValueError, match="raise `validation`"):
        draw_plan(alone, MixedViewOptions(), options, InputOptions(), KIND_OF, supervised=False)
