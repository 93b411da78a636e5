"""Train any of the models: the same pictures, plan, tower and loop; a method is its batches and its objective."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd

from affect4d.models import ModelOptions, build_model
from affect4d.training.batches import PlannedBatches, labelled_batches, unlabelled_batches
from affect4d.training.loop import Examine, Report, choose_device, fit, look_away
from affect4d.training.objectives import (
    affect_objective,
    cross_entropy_objective,
    smile_objective,
    supervised_contrast_objective,
)
from affect4d.training.options import AffectOptions, ContrastOptions, CrossEntropyOptions, SmileOptions, TrainOptions
from affect4d.views.bank import ViewBank
from affect4d.views.inputs import InputOptions


@dataclass(frozen=True)
class Method:
    """One way of training.

    Attributes:
        model: Name in :data:`affect4d.models.MODELS`.
        batches: From a plan and prompts to batches with exactly what the method may see.
        objective: What is minimised.
    """

    model: str
    batches: Callable[..., PlannedBatches[Any]]
    objective: Callable[..., Any]


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "affect_vlm": Method("affect_vlm", labelled_batches, affect_objective),
        "smile_vlm": Method("smile_vlm", unlabelled_batches, smile_objective),
        "cross_entropy": Method("view_classifier", labelled_batches, cross_entropy_objective),
        "supervised_contrast": Method("affect_vlm", labelled_batches, supervised_contrast_objective),
    }
)
"""SMILE-VLM's batches have no label; the cross-entropy peer sees of the prompts the label alone."""


@dataclass(frozen=True)
class TrainingRecipe:
    """How a model is trained.

    Attributes:
        inputs: How pictures become the model's input; decides views and channels of the model.
        model: Size of the model.
        train: How long, how fast, where.
        objective: Weights of the terms.
    """

    inputs: InputOptions
    model: ModelOptions
    train: TrainOptions
    objective: AffectOptions | SmileOptions | CrossEntropyOptions | ContrastOptions


class Trained(NamedTuple):
    """A trained model and its history: one row a step (epoch, step, terms)."""

    model: Any
    history: pd.DataFrame


def ignore(epoch: int, terms: dict[str, float]) -> None:
    """A report nobody reads."""


def train_model(
    method: str,
    bank: ViewBank,
    plan: pd.DataFrame,
    prompts: pd.DataFrame,
    recipe: TrainingRecipe,
    report: Report = ignore,
    examine: Examine = look_away,
) -> Trained:
    """Train a model by one of :data:`METHODS`.

    Args:
        method: Which.
        bank: Pictures of at least the plan's sequences.
        plan: Mixed-view plan with as many epochs as the recipe asks for; drawn without groups for SMILE-VLM.
        prompts: Columns sequence, prompt and expression; for SMILE-VLM pseudo_label in place of expression.
        recipe: How.
        report: Told the mean terms of every epoch.
        examine: Handed the model after every epoch, before the report; it may look, not change.

    Raises:
        KeyError: If no method has that name.
        ValueError: If the plan does not fit the recipe, or a label could leak.
    """
    chosen, train = METHODS[method], recipe.train
    views, channels = recipe.inputs.input_shape(len(bank.views))
    size = recipe.model.model_copy(update={"views": views, "channels": channels})
    model = build_model(chosen.model, size, train.seed)
    batches = chosen.batches(
        plan,
        bank,
        prompts,
        recipe.inputs,
        context_length=size.towers.context_length,
        device=choose_device(train.device),
    )
    objective = functools.partial(chosen.objective, options=recipe.objective)
    return Trained(
        model, fit(model, batches, objective, train, report=report, examine=examine, sequence_names=bank.sequences)
    )
