"""Choices of a run: precision, averages, slower encoders, held-out subjects; and the account of what it cost."""

import importlib.util
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from affect4d.models import EncoderOptions, ModelOptions, build_model
from affect4d.training.batch_loader import prefetched
from affect4d.training.cached_training import train_model
from affect4d.training.device import with_threads
from affect4d.training.distributed import Ranks
from affect4d.training.gradients_and_optimizer import build_optimizer, encoder_rates
from affect4d.training.options import CheckpointOptions, DistributedOptions, TrainOptions
from affect4d.training.sample_table_and_validation_split import (
    check_no_leaks,
    split_plan,
    validation_plan,
    validation_subjects,
)
from affect4d.training.state_and_checkpoints import CheckpointFolder, CheckpointPolicy
from affect4d.views.input_options import InputOptions

_SPEC = importlib.util.spec_from_file_location("small_job", Path(__file__).with_name("small_job.py"))
small_job = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(small_job)

CPU = torch.device("cpu")


def changed(**changes):
    return small_job.TRAIN.model_copy(update={"ema_decay": 0.0, **changes})


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_encoders_train_single_precision_weights(precision):
    model, state = small_job.small_run(options=changed(precision=precision))
    single, _ = small_job.small_run(options=changed())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert all(row["loss"] < 20 for row in state.history)
    assert not torch.equal(model.image.tower.stem.weight, single.image.tower.stem.weight)
    assert state.scaler.is_enabled() == (precision == "float16")


def test_the_average_follows_the_weights():
    last, _ = small_job.small_run(options=changed())
    averaged, state = small_job.small_run(options=changed(ema_decay=0.5))
    start = build_model("affect_vlm", small_job.small_recipe("affect_vlm").for_views(3).model, 0)
    distances = [(model.temperature.logit_scale - start.temperature.logit_scale).abs() for model in (last, averaged)]
    assert torch.equal(state.model.temperature.logit_scale, averaged.temperature.logit_scale)
    assert 0 < distances[1] < distances[0]


def test_a_frozen_encoder_stays():
    model, _ = small_job.small_run(options=changed(freeze=("text.tower",)))
    start = build_model("affect_vlm", small_job.small_recipe("affect_vlm").for_views(3).model, 0)
    one, other = model.text.tower.state_dict(), start.text.tower.state_dict()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert not torch.equal(model.image.tower.stem.weight, start.image.tower.stem.weight)


def test_a_layer_learns_more_slowly_than_the_one_above_it():
    names = [
        "image.tower.conv1.weight",
        "image.tower.transformer.resblocks.0.mlp.weight",
        "image.tower.transformer.resblocks.1.mlp.weight",
        "image.tower.ln_post.weight",
        "image.projection.weight",
        "text.tower.token_embedding.weight",
        "text.tower.ln_final.weight",
    ]
    rates = list(encoder_rates(names, encoder_rate=0.1, layer_decay=0.5).values())
    assert rates == pytest.approx([0.1 / 8, 0.1 / 4, 0.1 / 2, 0.1, 1.0, 0.1 / 2, 0.1])


def test_slower_encoders_keep_what_must_not_decay_apart():
    encoders = EncoderOptions(
        text="compact", image_width=64, text_width=32, text_layers=1, text_heads=2, context_length=16
    )
    model = build_model("affect_vlm", ModelOptions(encoder=encoders, dim=16, channels=4))
    optimiser = build_optimizer(model, TrainOptions(encoder_rate=0.1, layer_decay=0.5))
    rates = {id(p): (group["lr"], group["weight_decay"]) for group in optimiser.param_groups for p in group["params"]}
    assert rates[id(model.image.tower.stem.weight)] == pytest.approx((2e-3 * 0.1 / 32, 0.05))
    assert rates[id(model.image.tower.norm.bias)] == pytest.approx((2e-3 * 0.1, 0.0))
    assert rates[id(model.free_margin)] == pytest.approx((1e-2, 0.0))
    assert len(rates) == sum(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.slow
def test_compiled_encoders_train(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model, state = small_job.small_run(options=changed(compile=True, epochs=small_job.EPOCHS))
    plain, expected = small_job.small_run(options=changed())
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert state.history[0]["loss"] == pytest.approx(expected.history[0]["loss"], rel=1e-4)


def with_subjects():
    bank = small_job.small_bank()
    _, prompts = small_job.small_tables(bank, "affect_vlm")
    subjects = pd.Series({name: name.split("/")[0] for name in bank.sequences})
    index = bank.index()
    of_row = index["sequence"].map(subjects)
    held = validation_subjects(subjects, 0.3, seed=0)
    words = {name: name.split("/")[1] for name in bank.sequences}
    trained = small_job.sample_schedule(
        index[~of_row.isin(held)],
        small_job.MixedViewOptions(),
        epochs=small_job.EPOCHS,
        batch_size=6,
        samples_per_sequence=1,
        seed=0,
        views=bank.views,
        groups=words,
    )
    unseen = validation_plan(index[of_row.isin(held)], batch_size=4, seed=0, views=bank.views)
    return bank, pd.concat([trained, unseen], ignore_index=True), prompts, subjects, held


def test_held_out_subjects_are_looked_at_once_and_never_trained_on():
    bank, plan, _, subjects, held = with_subjects()
    trained, unseen = split_plan(plan)
    check_no_leaks(plan, subjects)
    assert len(held) == 1
    assert sorted(unseen["sequence"]) == sorted(name for name in bank.sequences if subjects[name] in held)
    assert (unseen["source_sequence_left"] == unseen["sequence"]).all()
    assert not unseen["mirror"].any()
    assert not set(trained.filter(regex="sequence").to_numpy().ravel()) & set(unseen["sequence"])


def test_a_held_out_subject_that_is_trained_on_is_named():
    _, plan, _, subjects, held = with_subjects()
    leaked = next(name for name in subjects.index if subjects[name] in held)
    with pytest.raises(ValueError, match=f"{held[0]}.* held out and trained on"):
        check_no_leaks(
            plan.assign(source_sequence_left=plan["source_sequence_left"].where(plan.index != 3, leaked)), subjects
        )


def told_held_out_losses(monkeypatch, losses, patience=0, policy=None, stop_in=None):
    """Train, where validation is told these losses: the result, the losses by epoch, the weights after each epoch."""
    bank, plan, prompts, _, _ = with_subjects()
    to_come, told, after = iter(losses), {}, {}
    monkeypatch.setattr(Ranks, "from_first", lambda ranks, loss: next(to_come))

    def inspect(epoch, model):
        if epoch == stop_in:
            raise KeyboardInterrupt
        after[epoch] = {name: weight.clone() for name, weight in model.state_dict().items()}

    recipe = small_job.small_recipe("affect_vlm", changed(validation=0.3, patience=patience))
    model, *_ = train_model("affect_vlm", bank, plan, prompts, recipe, told.__setitem__, inspect, policy)
    return model.state_dict(), {epoch: row["validation_loss"] for epoch, row in told.items()}, after


def same_weights(one, other):
    return all(torch.equal(weight, other[name]) for name, weight in one.items())


@pytest.mark.parametrize(("losses", "patience", "epochs", "best"), [
    ((3.0, 1.0, 2.0), 2, 3, 1),
    ((3.0, 2.0, 1.0), 1, 3, 2),
    ((1.0, 2.0, 0.5), 1, 2, 0),
    ((1.0, 2.0, 0.5), 2, 3, 2),
    ((1.0, 2.0, 3.0), 0, 3, 0),
])  # fmt: skip
def test_the_best_epoch_by_held_out_subjects_is_the_result_and_patience_ends_the_run(
    monkeypatch, losses, patience, epochs, best
):
    result, told, after = told_held_out_losses(monkeypatch, losses, patience)
    assert told == dict(enumerate(losses[:epochs]))
    assert [epoch for epoch in after if same_weights(result, after[epoch])] == [best]


def test_a_resumed_run_knows_its_best_epoch(monkeypatch, tmp_path):
    def policy():
        return CheckpointPolicy(CheckpointFolder(tmp_path, small_job.IDENTITY), CheckpointOptions(checkpoint_minutes=0))

    with pytest.raises(KeyboardInterrupt):
        told_held_out_losses(monkeypatch, (1.0, 2.0), policy=policy(), stop_in=1)
    whole, *_, after = told_held_out_losses(monkeypatch, (1.0, 2.0, 3.0))
    assert same_weights(whole, after[0])
    resumed, told, _ = told_held_out_losses(monkeypatch, (2.0, 3.0), policy=policy())
    assert same_weights(resumed, after[0])
    assert (told[1], told[2]) == (2.0, 3.0)


def test_what_an_encoder_draws_while_it_trains_follows_the_seed():
    """Dropout of patches, as open_clip has it: the same training twice gives the same weights."""
    vision = {"image_size": 24, "patch_size": 8, "width": 32, "head_width": 16, "layers": 1, "patch_dropout": 0.5}
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    encoders = EncoderOptions(
        image="open_clip:dropping",
        text="open_clip:dropping",
        architecture={"embed_dim": 16, "vision_cfg": vision, "text_cfg": text},
    )
    bank = small_job.small_bank()
    pictures = torch.cat([bank.images, bank.images[:, :, :1]], dim=2)  # three channels
    bank = replace(bank, images=pictures)
    tables = small_job.small_tables(bank, "affect_vlm")
    recipe = small_job.small_recipe("affect_vlm", changed())
    inputs = InputOptions(channels=("grey", "shading", "curvature"), motion="none", size=24)
    recipe = replace(recipe, inputs=inputs, model=recipe.model.model_copy(update={"encoder": encoders, "channels": 3}))
    state = torch.random.get_rng_state()
    one, other = (train_model("affect_vlm", bank, *tables, recipe).model.state_dict() for _ in range(2))
    assert same_weights(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_nobody_to_train_on_is_said():
    with pytest.raises(ValueError, match="leaves no subject"):
        validation_subjects(["F001"], 0.5, seed=0)


def test_patience_without_validation_is_refused():
    with pytest.raises(ValueError, match="set validation"):
        TrainOptions(patience=3)


def test_several_hosts_without_a_place_to_meet_are_refused():
    with pytest.raises(ValueError, match="need an endpoint"):
        DistributedOptions(hosts=2)


def test_a_run_knows_what_it_cost():
    model, state = small_job.small_run()
    cost, summary = state.cost, state.cost.summary()
    assert cost.samples == 6 * small_job.STEPS
    encoder = model.image.tower
    stem = 3 * 12 * 12 * encoder.stem.weight.numel() * 2  # three views, forward only
    assert cost.flops_per_sample > 2 * stem
    assert summary["samples_per_second"] == pytest.approx(cost.samples / cost.seconds, rel=0.01)
    assert 0 <= summary["waiting_share"] < 1
    assert summary["peak_gib"] > 0


def test_counting_operations_leaves_no_trace():
    torch.random.default_generator.manual_seed(5)
    expected = torch.random.get_rng_state()
    _, state = small_job.small_run()
    assert torch.equal(torch.random.get_rng_state(), expected)
    assert state.cost.flops_per_sample > 0


def test_batches_made_ahead_come_in_order():
    with prefetched(iter(range(20)), CPU) as ahead:
        assert list(ahead) == list(range(20))


def test_an_error_in_a_batch_made_ahead_is_raised():
    def batches():
        yield 1
        raise ValueError("a shard is damaged")

    with prefetched(batches(), CPU) as ahead:
        assert next(ahead) == 1
        with pytest.raises(ValueError, match="a shard is damaged"):
            next(ahead)


def test_leaving_early_ends_the_thread_that_makes_batches():
    made = []

    def batches():
        for number in range(10_000):
            made.append(number)
            yield number

    with prefetched(batches(), CPU) as ahead:
        next(ahead)
    count = len(made)
    time.sleep(0.3)
    assert len(made) == count < 10


def test_making_batches_ahead_leaves_this_thread_its_number_of_threads():
    before = torch.get_num_threads()
    seen = []

    def batches():
        seen.append(torch.get_num_threads())
        yield 1

    with with_threads(before + 1), prefetched(batches(), CPU) as ahead:
        assert list(ahead) == [1]
        assert torch.get_num_threads() == before + 1
    assert seen == [1]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("options", "old", "new", "value"), [
    (TrainOptions, "average", "ema_decay", 0.5),
    (DistributedOptions, "patience_minutes", "timeout_minutes", 2.0),
])  # fmt: skip
def test_former_names_of_options_are_accepted_with_a_warning(options, old, new, value):
    with pytest.warns(FutureWarning, match=f"option {old} is called {new} now"):
        assert getattr(options.model_validate({old: value}), new) == value
