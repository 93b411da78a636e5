"""Train one of the three models: the same plan, pictures, tower and loop, a different objective."""

import functools
from typing import Generic, NamedTuple, TypeVar, cast

import pandas as pd
from torch import nn

from affect4d.models import AffectVLM, ModelOptions, SmileVLM, ViewClassifier, build_model
from affect4d.training.batches import labelled_batches, unlabelled_batches
from affect4d.training.loop import Report, choose_device, fit
from affect4d.training.objectives import (
    affect_objective,
    cross_entropy_objective,
    smile_objective,
)
from affect4d.training.options import AffectOptions, CrossEntropyOptions, SmileOptions, TrainOptions
from affect4d.views.bank import ViewBank
from affect4d.views.inputs import InputOptions

Model = TypeVar("Model", bound=nn.Module)


class Trained(NamedTuple, Generic[Model]):
    """A trained model and its history: one row a step (epoch, step, terms)."""

    model: Model
    history: pd.DataFrame


def ignore(epoch: int, terms: dict[str, float]) -> None:
    """A report nobody reads."""


def train_affect_vlm(
    bank: ViewBank,
    plan: pd.DataFrame,
    prompts: pd.DataFrame,
    inputs: InputOptions,
    model_options: ModelOptions,
    train_options: TrainOptions,
    affect_options: AffectOptions,
    *,
    report: Report = ignore,
) -> Trained[AffectVLM]:
    """Train AffectVLM on labelled sequences.

    Args:
        bank: Pictures of the training sequences.
        plan: Mixed-view plan, drawn with labels as groups; as many epochs as ``train_options`` asks for.
        prompts: Columns sequence, prompt, expression.
        inputs: How pictures become the model's input; decides views and channels of the model.
        model_options: Size of the model.
        train_options: How long, how fast, where.
        affect_options: Weights of the terms, mining, bounds of the margin.
        report: Told the mean terms of every epoch.

    Raises:
        ValueError: If the plan has another number of epochs than asked for, or its batches cannot be made.
        NonFiniteLossError: If a loss is not finite.
    """
    device, context = choose_device(train_options.device), model_options.towers.context_length
    batches = labelled_batches(plan, bank, prompts, inputs, context_length=context, device=device)
    model = cast(AffectVLM, _first_model("affect_vlm", bank, inputs, model_options, train_options.seed))
    objective = functools.partial(affect_objective, options=affect_options)
    history = fit(model, batches, objective, train_options, report=report, sequence_names=bank.sequences)
    return Trained(model, history)


def train_smile_vlm(
    bank: ViewBank,
    plan: pd.DataFrame,
    pseudo_prompts: pd.DataFrame,
    inputs: InputOptions,
    model_options: ModelOptions,
    train_options: TrainOptions,
    smile_options: SmileOptions,
    *,
    report: Report = ignore,
) -> Trained[SmileVLM]:
    """Train SMILE-VLM; no human label reaches it.

    Args:
        bank: Pictures of the training sequences.
        plan: Mixed-view plan, drawn without groups; as many epochs as ``train_options`` asks for.
        pseudo_prompts: Columns sequence, prompt, pseudo_label.
        inputs: How pictures become the model's input; decides views and channels of the model.
        model_options: Size of the model.
        train_options: How long, how fast, where.
        smile_options: β, γ, λ.
        report: Told the mean terms of every epoch.

    Raises:
        ValueError: If the plan has another number of epochs than asked for, or its batches cannot be made.
        NonFiniteLossError: If a loss is not finite.
    """
    device, context = choose_device(train_options.device), model_options.towers.context_length
    batches = unlabelled_batches(plan, bank, pseudo_prompts, inputs, context_length=context, device=device)
    model = cast(SmileVLM, _first_model("smile_vlm", bank, inputs, model_options, train_options.seed))
    objective = functools.partial(smile_objective, options=smile_options)
    history = fit(model, batches, objective, train_options, report=report, sequence_names=bank.sequences)
    return Trained(model, history)


def train_view_classifier(
    bank: ViewBank,
    plan: pd.DataFrame,
    prompts: pd.DataFrame,
    inputs: InputOptions,
    model_options: ModelOptions,
    train_options: TrainOptions,
    cross_entropy_options: CrossEntropyOptions,
    *,
    report: Report = ignore,
) -> Trained[ViewClassifier]:
    """Train the cross-entropy peer on what AffectVLM is trained on; of the prompts it sees the label alone.

    Args:
        bank: Pictures of the training sequences.
        plan: As for :func:`train_affect_vlm`.
        prompts: Columns sequence, prompt, expression.
        inputs: How pictures become the model's input; decides views and channels of the model.
        model_options: Size of the model.
        train_options: How long, how fast, where.
        cross_entropy_options: Label smoothing.
        report: Told the mean terms of every epoch.

    Raises:
        ValueError: If the plan has another number of epochs than asked for, or its batches cannot be made.
        NonFiniteLossError: If a loss is not finite.
    """
    device, context = choose_device(train_options.device), model_options.towers.context_length
    batches = labelled_batches(plan, bank, prompts, inputs, context_length=context, device=device)
    model = cast(ViewClassifier, _first_model("view_classifier", bank, inputs, model_options, train_options.seed))
    objective = functools.partial(cross_entropy_objective, options=cross_entropy_options)
    history = fit(model, batches, objective, train_options, report=report, sequence_names=bank.sequences)
    return Trained(model, history)


def _first_model(name: str, bank: ViewBank, inputs: InputOptions, options: ModelOptions, seed: int) -> nn.Module:
    """The untrained model, for as many views and channels as the bank gives."""
    views, channels = inputs.input_shape(len(bank.views))
    return build_model(name, options.model_copy(update={"views": views, "channels": channels}), seed)
