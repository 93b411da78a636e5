import dataclasses

import pytest
import torch

from affect4d.training.loop import NonFiniteLossError, fit
from affect4d.training.objectives import ObjectiveValue
from affect4d.training.options import AffectOptions, CrossEntropyOptions, SmileOptions
from affect4d.training.train import TrainingRecipe, train_model

OBJECTIVES = {"affect_vlm": AffectOptions(), "smile_vlm": SmileOptions(), "cross_entropy": CrossEntropyOptions()}


def train(name, bank, plans, prompts, *options, **told):
    recipe = TrainingRecipe(*options, OBJECTIVES[name])
    if name == "smile_vlm":
        prompts = prompts.rename(columns={"expression": "pseudo_label"})
    return train_model(name, bank, plans[name == "smile_vlm"], prompts, recipe, **told)


@pytest.fixture(params=["affect_vlm", "smile_vlm", "cross_entropy"])
def trained_twice(request, bank, plan, unlabelled_plan, prompts, inputs, model_options, train_options):
    plans = (plan, unlabelled_plan)
    return [train(request.param, bank, plans, prompts, inputs, model_options, train_options) for _ in range(2)]


def test_the_same_seed_gives_the_same_weights_to_the_last_bit(trained_twice):
    one, other = (trained.model.state_dict() for trained in trained_twice)
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert trained_twice[0].history.equals(trained_twice[1].history)


def test_the_history_has_a_row_a_step_and_the_model_ends_in_evaluation_mode(trained_twice, plan):
    model, history = trained_twice[0]
    assert list(zip(history["epoch"], history["step"], strict=True)) == [
        (epoch, step) for epoch in range(2) for step in range(plan["step"].nunique())
    ]
    assert {"loss", "gradient_norm", "learning_rate"} <= set(history.columns)
    assert history.notna().all(axis=None)
    assert not model.training


def test_the_report_is_told_the_mean_of_every_epoch(
    bank, plan, unlabelled_plan, prompts, inputs, model_options, train_options
):
    told = {}
    plans = (plan, unlabelled_plan)
    _, history = train(
        "affect_vlm", bank, plans, prompts, inputs, model_options, train_options, report=told.__setitem__
    )
    assert sorted(told) == [0, 1]
    assert told[1]["alpha"] == pytest.approx(history[history["epoch"] == 1]["alpha"].mean())


def test_permuting_the_human_labels_changes_no_weight_of_smile(
    bank, unlabelled_plan, pseudo_prompts, inputs, model_options, train_options
):
    """The one place a label could hide is a sequence's name ("F001/fear"): permuting the names changes nothing."""
    permuted = dict(zip(bank.sequences, bank.sequences[5:] + bank.sequences[:5], strict=True))
    renamed = dataclasses.replace(bank, sequences=tuple(permuted[name] for name in bank.sequences))
    tables = (unlabelled_plan.replace(permuted), pseudo_prompts.replace({"sequence": permuted}))
    recipe = TrainingRecipe(inputs, model_options, train_options, SmileOptions())
    first = train_model("smile_vlm", bank, unlabelled_plan, pseudo_prompts, recipe).model.state_dict()
    second = train_model("smile_vlm", renamed, *tables, recipe).model.state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.slope, self.unused = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))


class Batch:
    sequences = torch.tensor([1, 0, 1])


class Batches:
    steps_per_epoch = 2
    steps = ((slice(0, 3), slice(3, 6)),)

    def __call__(self, epoch):
        return [Batch(), Batch()]


def fit_line(objective, train_options):
    options = train_options.model_copy(update={"epochs": 1})
    names = ("F001/fear", "M002/anger")
    return fit(Line(), Batches(), objective, options, report=lambda *_: None, sequence_names=names)


@pytest.mark.filterwarnings("ignore:The loss does not depend")
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_the_batch_named(value, train_options):
    losses = iter([1.0, value])

    def objective(model, batch):
        loss = (model.slope * next(losses)).sum()
        return ObjectiveValue(loss, {"loss": loss})

    with pytest.raises(NonFiniteLossError, match=r"epoch 0, step 1 .*F001/fear, M002/anger"):
        fit_line(objective, train_options)


def test_a_parameter_the_loss_does_not_depend_on_is_named(train_options):
    def objective(model, batch):
        loss = model.slope.square().sum()
        return ObjectiveValue(loss, {"loss": loss})

    with pytest.warns(UserWarning, match="does not depend on unused"):
        fit_line(objective, train_options)


def test_a_plan_of_another_length_is_refused(bank, plan, prompts, inputs, model_options, train_options):
    longer = train_options.model_copy(update={"epochs": 3})
    with pytest.raises(ValueError, match="drawn for 2 epochs, training asks for 3"):
        train_model("affect_vlm", bank, plan, prompts, TrainingRecipe(inputs, model_options, longer, AffectOptions()))


@pytest.mark.filterwarnings("ignore:The loss does not depend")
def test_threads_are_those_asked_for_and_given_back(train_options):
    before, during = torch.get_num_threads(), []

    def objective(model, batch):
        during.append(torch.get_num_threads())
        loss = model.slope.square().sum()
        return ObjectiveValue(loss, {"loss": loss})

    fit_line(objective, train_options.model_copy(update={"threads": before + 1}))
    assert during == [before + 1] * 2
    assert torch.get_num_threads() == before


@pytest.mark.gpu
def test_training_on_cuda_ends_in_single_precision(bank, plan, prompts, inputs, model_options, train_options):
    options = train_options.model_copy(update={"device": "cuda"})
    recipe = TrainingRecipe(inputs, model_options, options, AffectOptions())
    model, history = train_model("affect_vlm", bank, plan, prompts, recipe)
    assert history["loss"].notna().all()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
