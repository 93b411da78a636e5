"""Train any of the models: the same pictures, plan, tower and loop; a method is its batches and its objective."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd

from affect4d.training.data.planning import split_plan
from affect4d.training.data.tables import labelled_schedule, unlabelled_schedule
from affect4d.training.methods import METHODS
from affect4d.training.recipe import TrainingRecipe
from affect4d.training.run import Schedules, run
from affect4d.training.saving.keeping import Keeper
from affect4d.training.watching.company import Company, Examine, Report, ignore
from affect4d.training.watching.cost import Cost
from affect4d.training.watching.display import training_bar
from affect4d.views.bank import ViewBank

__all__ = ["METHODS", "Trained", "TrainingRecipe", "make_schedules", "train_model"]


class Trained(NamedTuple):
    """A trained model, its history (one row a step: epoch, step, terms), what it cost, and its loss on held-out people.

    That loss, by epoch, is there where training subjects were held out.
    """

    model: Any
    history: pd.DataFrame
    cost: Cost
    validation: Mapping[int, float] = MappingProxyType({})


def train_model(
    method: str,
    bank: ViewBank,
    plan: pd.DataFrame,
    prompts: pd.DataFrame,
    recipe: TrainingRecipe,
    report: Report = ignore,
    examine: Examine = ignore,
    keeper: Keeper | None = None,
) -> Trained:
    """Train a model by one of :data:`METHODS`, in this process.

    Args:
        method: Which.
        bank: Pictures of at least the plan's sequences.
        plan: Mixed-view plan with as many epochs as the recipe asks for; drawn without groups for SMILE-VLM.
        prompts: Columns sequence, prompt and expression; for SMILE-VLM pseudo_label in place of expression.
        recipe: How.
        report: Told the mean terms of every epoch.
        examine: Handed the model after every epoch, before the report; it may look, not change.
        keeper: Saves and resumes; None keeps nothing.

    Raises:
        KeyError: If no method has that name.
        ValueError: If the plan does not fit the recipe, or a label could leak.
    """
    schedules = make_schedules(method, bank, plan, prompts, recipe)
    with training_bar(schedules.trained.sizes.numel()) as show:
        company = Company(report, examine, show, keeper or Keeper())
        model, state = run(method, schedules, bank, recipe, bank.sequences, company)
    return Trained(model, pd.DataFrame(state.history), state.cost, state.validation)


def make_schedules(
    method: str, bank: ViewBank, plan: pd.DataFrame, prompts: pd.DataFrame, recipe: TrainingRecipe
) -> Schedules:
    """Plan and prompts as tensors, with exactly what a method may see."""
    make = labelled_schedule if METHODS[method].supervised else unlabelled_schedule
    context = recipe.model.towers.context_length
    trained, held_out = split_plan(plan)
    return Schedules(
        make(trained, bank, prompts, context), None if held_out.empty else make(held_out, bank, prompts, context)
    )
