import dataclasses

import pytest
import torch

from affect4d.training.batch_loader import BatchLoader
from affect4d.training.cached_training import train_model
from affect4d.training.gradients_and_optimizer import OVERFLOWS, BatchTooLargeError, FiniteGuard, NonFiniteLossError
from affect4d.training.objectives import ObjectiveValue, TrainingTask
from affect4d.training.options import AffectOptions, CrossEntropyOptions, SmileOptions, TrainingRecipe
from affect4d.training.trainer import Callbacks, Trainer

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
    model, history, *_ = trained_twice[0]
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
    _, history, *_ = train(
        "affect_vlm", bank, plans, prompts, inputs, model_options, train_options, on_epoch=told.__setitem__
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
        self.norm = torch.nn.BatchNorm1d(1, affine=False)


@dataclasses.dataclass(frozen=True)
class Batch:
    sequences: torch.Tensor


@dataclasses.dataclass(frozen=True)
class Points:
    heights: torch.Tensor


NAMES = ("F001/fear", "M002/anger", "F003/joy")


def fit_line(heights, train_options, **changes):
    """Fit a line to one height a step; the batch of step s holds one sequence four times."""
    steps = [[slice(4 * step, 4 * step + 4) for step in range(len(heights))]]
    batches = BatchLoader(steps, lambda rows: Batch(torch.arange(rows.start, rows.stop) // 4))
    values = torch.tensor([float(height) for height in heights])

    def see(model, batch):
        height = values[batch.sequences % len(values)]
        normal = model.norm(height[:, None] + torch.arange(len(height))[:, None])[:, 0]
        if len(height) > memory:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return Points(model.slope * height + 0 * normal)

    def objective(model, seen):
        loss = seen.heights.square().mean()
        return ObjectiveValue(loss, {"loss": loss})

    callbacks = changes.pop("callbacks", Callbacks())
    memory = changes.pop("memory", 4)
    options = train_options.model_copy(update={"epochs": 1, **changes})
    names = [NAMES[step % 3] for step in range(len(heights))]
    model = Line()
    return model, Trainer(model, batches, TrainingTask(see, objective), options, names, callbacks=callbacks).fit()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_losses_that_are_not_finite_end_the_run_with_the_batch_named(value, train_options):
    with (
        pytest.warns(UserWarning, match="The step is skipped"),
        pytest.raises(NonFiniteLossError, match=r"epoch 0, step 3 .*F001/fear.* 3 in a row"),
    ):
        fit_line([1.0, value, value, value, 1.0], train_options)


def test_a_step_that_is_not_finite_is_left_out_and_leaves_no_trace(train_options):
    with pytest.warns(UserWarning, match=r"epoch 0, step 1 .*M002/anger"):
        model, state = fit_line([1.0, float("nan"), 2.0], train_options)
    assert [row["step"] for row in state.history] == [0, 2]
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    assert model.norm.num_batches_tracked == 2


def test_an_exploding_gradient_is_reported_with_its_batch(train_options):
    with pytest.warns(UserWarning, match=r"step 11 is .* times as large as usual .*F003/joy"):
        fit_line([1.0] * 11 + [100.0], train_options)


def test_a_gradient_that_overflows_in_half_precision_is_left_out_and_the_scale_falls(train_options, recwarn):
    _, state = fit_line([1.0, 1e18, 1.0], train_options, precision="float16")
    assert [row["step"] for row in state.history] == [0, 2]
    assert state.scaler.get_scale() == 2.0**15
    assert state.steps_done == 3
    assert not [warning for warning in recwarn.list if "skipped" in str(warning.message)]


def test_what_is_frozen_stays_and_is_not_reported(train_options, recwarn):
    model, _ = fit_line([1.0, 2.0], train_options, freeze=("unused",))
    assert model.unused == 1
    assert not recwarn.list


def test_freezing_what_is_not_there_lists_what_is(train_options):
    with pytest.raises(ValueError, match=r"'image.tower'.*slope, unused"):
        fit_line([1.0], train_options, freeze=("image.tower",))


@pytest.mark.parametrize(("parts", "said"), [(1, "memory: set accumulate=2"), (2, "in 2 parts: set accumulate=4")])
def test_a_batch_that_does_not_fit_names_the_remedies(train_options, monkeypatch, parts, said):
    monkeypatch.setattr("affect4d.training.trainer.count_flops", lambda *_: 0.0)
    with pytest.raises(BatchTooLargeError, match=said):
        fit_line([1.0, 5.0], train_options, memory=1, accumulate=parts)


def test_a_plan_of_another_length_is_refused(bank, plan, prompts, inputs, model_options, train_options):
    longer = train_options.model_copy(update={"epochs": 3})
    with pytest.raises(ValueError, match="drawn for 2 epochs, training has 3"):
        train_model("affect_vlm", bank, plan, prompts, TrainingRecipe(inputs, model_options, longer, AffectOptions()))


def test_threads_are_those_asked_for_and_given_back(train_options):
    before, during = torch.get_num_threads(), []
    callbacks = Callbacks(on_step=lambda *_: during.append(torch.get_num_threads()))
    fit_line([1.0, 1.0], train_options.model_copy(update={"threads": before + 1}), callbacks=callbacks)
    assert during == [before + 1] * 2
    assert torch.get_num_threads() == before


def test_a_gpu_that_is_not_there_is_named_before_anything_is_trained(
    bank, plan, prompts, inputs, model_options, train_options, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    options = train_options.model_copy(update={"device": "cuda"})
    with pytest.raises(ValueError, match=r"no GPU that CUDA reaches here.*device: auto"):
        train_model("affect_vlm", bank, plan, prompts, TrainingRecipe(inputs, model_options, options, AffectOptions()))


@pytest.mark.gpu
def test_training_on_cuda_ends_in_single_precision(bank, plan, prompts, inputs, model_options, train_options):
    options = train_options.model_copy(update={"device": "cuda"})
    recipe = TrainingRecipe(inputs, model_options, options, AffectOptions())
    model, history, *_ = train_model("affect_vlm", bank, plan, prompts, recipe)
    assert history["loss"].notna().all()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_scaled_gradient_that_never_fits_ends_the_run_and_is_no_explosion(recwarn):
    guard = FiniteGuard(3, ["F001/fear"])
    batch = torch.tensor([0])
    for step in range(20):
        assert guard.accepts({"loss": 1.0, "gradient_norm": 1.0}, batch, f"step {step}", scaled=True)
    too_long = {"loss": 1.0, "gradient_norm": float("inf")}
    assert all(guard.accepts(too_long, batch, f"step {step}", scaled=True) for step in range(OVERFLOWS - 1))
    with pytest.raises(NonFiniteLossError, match="precision to bfloat16"):
        guard.accepts(too_long, batch, "the last", scaled=True)
    assert not recwarn.list
