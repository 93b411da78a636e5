import dataclasses

import pandas as pd
import pytest
import torch

from affect4d.models.text_encoders import PromptTokenizer
from affect4d.scans.expression import expression_index
from affect4d.training.batch_loader import (
    LabelledBatch,
    UnlabelledBatch,
    load_samples,
    make_loader,
    save_samples,
    split_batch,
)
from affect4d.training.cached_training import draw_prompts, labelled_samples, unlabelled_samples
from affect4d.views.bank import resolve_schedule
from affect4d.views.batch_augmentation_and_motion import assemble_batch

CPU = torch.device("cpu")
TOKENISE = PromptTokenizer(16, 16)


@pytest.fixture
def labelled(plan, bank, prompts, inputs):
    return make_loader(labelled_samples(plan, bank, prompts, TOKENISE), bank, LabelledBatch, inputs, CPU)


def test_an_unlabelled_batch_has_no_field_for_a_label():
    assert [field.name for field in dataclasses.fields(UnlabelledBatch)] == ["images", "texts", "groups", "sequences"]


def test_every_row_of_the_plan_appears_once_in_order(labelled, plan, bank):
    seen = torch.cat([batch.sequences for epoch in range(2) for batch in labelled(epoch)])
    assert [bank.sequences[place] for place in seen] == plan["sequence"].tolist()
    assert labelled.steps_per_epoch == plan.groupby("epoch")["step"].nunique()[0]


def test_a_batch_holds_the_pictures_prompts_and_labels_of_its_rows(labelled, plan, bank, prompts, inputs):
    batch = list(labelled(1))[1]
    rows = plan[(plan["epoch"] == 1) & (plan["step"] == 1)]
    assert torch.equal(batch.images, assemble_batch(bank, resolve_schedule(bank, rows), inputs))
    expressions = [sequence.split("/")[1] for sequence in rows["sequence"]]
    assert batch.labels.tolist() == [expression_index(expression) for expression in expressions]
    takes = ["now" if draw < 0.5 else "here" for draw in rows["prompt_draw"]]
    said = [f"a face of {expression} {take}" for expression, take in zip(expressions, takes, strict=True)]
    assert torch.equal(batch.texts, TOKENISE(said))


def test_a_mirrored_sample_has_a_mirrored_caption(plan, bank, prompts):
    sided = prompts.assign(prompt="the left brow is raised", source="caption")
    samples = labelled_samples(plan, bank, sided, TOKENISE)
    said = {True: "the right brow is raised", False: "the left brow is raised"}
    assert plan["mirror"].nunique() == 2
    assert torch.equal(samples.prompts[samples.prompt], TOKENISE([said[bool(flip)] for flip in plan["mirror"]]))
    whole = labelled_samples(plan, bank, sided.assign(source="file"), TOKENISE)
    assert torch.equal(whole.prompts[whole.prompt], TOKENISE(["the left brow is raised"] * len(plan)))


def test_groups_of_an_unlabelled_batch_are_equal_where_pseudo_labels_are(unlabelled_plan, bank, pseudo_prompts, inputs):
    schedule = unlabelled_samples(unlabelled_plan, bank, pseudo_prompts, TOKENISE)
    batches = make_loader(schedule, bank, UnlabelledBatch, inputs, CPU)
    for batch in batches(0):
        words = [bank.sequences[place].split("/")[1] for place in batch.sequences]
        equal = torch.tensor([[one == other for other in words] for one in words])
        assert torch.equal(batch.groups[:, None] == batch.groups[None], equal)


def test_every_prompt_of_a_sequence_can_be_drawn_and_the_last_draw_is_in_range():
    prompts = pd.DataFrame({"sequence": ["b", "a", "b", "b"], "prompt": list("wxyz")})
    plan = pd.DataFrame({"sequence": ["b"] * 4 + ["a"], "prompt_draw": [0.0, 0.34, 0.67, 0.999999, 0.5]})
    assert prompts["prompt"].iloc[draw_prompts(plan, prompts)].tolist() == ["w", "y", "z", "z", "x"]


def test_a_sequence_without_a_prompt_is_named(plan, bank, prompts):
    fewer = prompts[prompts["sequence"] != "F001/fear"]
    with pytest.raises(ValueError, match="'F001/fear'"):
        labelled_samples(plan, bank, fewer, TOKENISE)


def test_a_label_column_never_reaches_self_supervised_training(unlabelled_plan, bank, prompts, pseudo_prompts):
    labelled_prompts = pseudo_prompts.assign(expression=prompts["expression"])
    with pytest.raises(ValueError, match=r"pseudo-prompts .* 'expression'"):
        unlabelled_samples(unlabelled_plan, bank, labelled_prompts, TOKENISE)


def test_views_mixed_across_sequences_are_refused_without_labels(plan, bank, pseudo_prompts):
    with pytest.raises(ValueError, match="groups=None"):
        unlabelled_samples(plan, bank, pseudo_prompts, TOKENISE)


def test_a_schedule_travels_as_a_file(labelled, plan, bank, prompts, inputs, tmp_path):
    save_samples(labelled_samples(plan, bank, prompts, TOKENISE), tmp_path / "schedule.safetensors")
    read = make_loader(load_samples(tmp_path / "schedule.safetensors"), bank, LabelledBatch, inputs, CPU)
    for one, other in zip(labelled(1), read(1), strict=True):
        assert all(torch.equal(tensor, getattr(other, name)) for name, tensor in vars(one).items())


def test_an_epoch_can_be_entered_at_any_step(labelled):
    whole, rest = list(labelled(0)), list(labelled(0, 2))
    assert [batch.sequences.tolist() for batch in whole[2:]] == [batch.sequences.tolist() for batch in rest]
    assert list(labelled(0, len(whole))) == []


@pytest.mark.parametrize(("epoch", "step"), [(0, 0), (0, 1), (0, 2), (1, 1), (2, 0)])
def test_batches_go_on_over_the_ends_of_epochs(labelled, epoch, step):
    order = [batch.sequences.tolist() for each in range(2) for batch in labelled(each)]
    resume = [batch.sequences.tolist() for batch in labelled.resume(epoch, step)]
    assert resume == order[epoch * labelled.steps_per_epoch + step :]


@pytest.mark.parametrize("parts", [1, 2, 4, 6, 9])
def test_parts_of_a_batch_are_the_batch(labelled, parts):
    batch = next(labelled(0))
    split = split_batch(batch, parts)
    assert len(split) == min(parts, 6)
    for name, tensor in vars(batch).items():
        assert torch.equal(torch.cat([getattr(part, name) for part in split]), tensor)
