"""A training run from its schedules: the same in the program that asked for it and in processes of their own."""

from typing import Any, NamedTuple

import torch

from affect4d.memory import keep_freed_memory
from affect4d.models import build_model
from affect4d.training.data.batches import planned_batches
from affect4d.training.data.schedule import Schedule
from affect4d.training.device import choose_device
from affect4d.training.loop import fit
from affect4d.training.methods import METHODS
from affect4d.training.recipe import TrainingRecipe
from affect4d.training.state import TrainingState
from affect4d.training.watching.company import Company
from affect4d.views.assembly import Pictures


class Schedules(NamedTuple):
    """What is trained on, and what is held out of the training subjects to choose the best epoch by, if anything."""

    trained: Schedule
    held_out: Schedule | None = None


def run(
    method: str,
    schedules: Schedules,
    bank: Pictures,
    recipe: TrainingRecipe,
    sequence_names: tuple[str, ...],
    company: Company,
) -> tuple[Any, TrainingState]:
    """Build a model and train it; see :func:`affect4d.training.loop.fit`.

    Args:
        method: One of :data:`affect4d.training.methods.METHODS`.
        schedules: What it is trained on.
        bank: The pictures.
        recipe: How; the model's views and channels follow from the bank.
        sequence_names: For error messages.
        company: Who looks on, and who helps.

    Returns:
        The model, and the last state.
    """
    keep_freed_memory()
    chosen, recipe = METHODS[method], recipe.for_views(len(bank.views))
    device = choose_device(recipe.train.device)
    batches = planned_batches(schedules.trained, bank, chosen.batch, recipe.inputs, device)
    held_out = [
        batch
        for schedule in (schedules.held_out,)
        if schedule is not None
        for batch in planned_batches(schedule, bank, chosen.batch, recipe.inputs, device)(0)
    ]
    model = build_model(chosen.model, recipe.model, recipe.train.seed)
    task = chosen.task(recipe.objective)
    names = sequence_names
    with torch.random.fork_rng():
        torch.manual_seed(recipe.train.seed)  # noqa: TID251  (dropout of a tower draws from it; a checkpoint has its own)
        state = fit(model, batches, task, recipe.train, sequence_names=names, held_out=held_out, company=company)
    return model, state
