"""Training from tables: in this process with a progress bar, or in processes of their own."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from affect4d.progress import console
from affect4d.training.callbacks import Callbacks, EpochCallback, ModelCallback, StepCallback, ignore
from affect4d.training.checkpoint_policy import CheckpointPolicy
from affect4d.training.cost import TrainingCost
from affect4d.training.dataset import SampleSplits
from affect4d.training.dataset_tables import labelled_samples, unlabelled_samples
from affect4d.training.job import TrainingJob
from affect4d.training.launch import launch
from affect4d.training.objectives import METHODS
from affect4d.training.options import TrainingRecipe
from affect4d.training.sampling import split_plan
from affect4d.training.trainer import train
from affect4d.views.bank import ViewBank


class TrainedModel(NamedTuple):
    """A trained model, its history (one row a step: epoch, step, terms), its cost, and its validation loss by epoch."""

    model: Any
    history: pd.DataFrame
    cost: TrainingCost
    validation: Mapping[int, float]


def train_model(
    method: str,
    bank: ViewBank,
    plan: pd.DataFrame,
    prompts: pd.DataFrame,
    recipe: TrainingRecipe,
    on_epoch: EpochCallback = ignore,
    on_model: ModelCallback = ignore,
    policy: CheckpointPolicy | None = None,
) -> TrainedModel:
    """Train a model in this process.

    Args:
        method: One of :data:`affect4d.training.objectives.METHODS`.
        bank: Images of at least the plan's sequences.
        plan: Augmentation plan with as many epochs as the recipe; drawn without groups for SMILE-VLM.
        prompts: Columns sequence, prompt and expression; for SMILE-VLM pseudo_label in place of expression.
        recipe: All options.
        on_epoch: Called with the mean terms of every epoch.
        on_model: Called with the model after every epoch, before ``on_epoch``.
        policy: Saves and resumes; by default nothing is saved.

    Raises:
        KeyError: If no method has that name.
        ValueError: If the plan does not fit the recipe, or a label could leak.
    """
    samples = make_samples(method, bank, plan, prompts, recipe)
    with progress_bar(samples.train.sizes.numel()) as on_step:
        callbacks = Callbacks(on_step, on_model, on_epoch)
        model, state = train(method, samples, bank, recipe, bank.sequences, callbacks, policy)
    return TrainedModel(model, pd.DataFrame(state.history), state.cost, state.validation)


def train_in_processes(
    job: TrainingJob, folder: Path, samples: SampleSplits, bank: Path, on_epoch: EpochCallback
) -> TrainedModel:
    """Train a job in processes of their own; checkpoints in its folder are resumed.

    Args:
        job: The run.
        folder: Written for the processes.
        samples: To train on and to validate on; their rows are those of ``bank``.
        bank: A file with the tensors ``pictures`` and ``neutral``.
        on_epoch: Called with the mean terms of every epoch.
    """
    job.save(folder, samples, bank)
    with progress_bar(samples.train.sizes.numel()) as on_step:
        model, state = launch(folder, on_epoch, on_step)
    validation = {int(epoch): loss for epoch, loss in state["validation"].items()}
    return TrainedModel(model, pd.DataFrame(state["history"]), TrainingCost(**state["cost"]), validation)


def make_samples(
    method: str, bank: ViewBank, plan: pd.DataFrame, prompts: pd.DataFrame, recipe: TrainingRecipe
) -> SampleSplits:
    """Plan and prompts as tensors, with exactly what a method may see."""
    make = labelled_samples if METHODS[method].supervised else unlabelled_samples
    context = recipe.model.towers.context_length
    training, validation = split_plan(plan)
    return SampleSplits(
        make(training, bank, prompts, context), None if validation.empty else make(validation, bank, prompts, context)
    )


@contextlib.contextmanager
def progress_bar(steps: int) -> Iterator[StepCallback]:
    """Show steps, loss, samples a second and time left; yields the callback that updates them."""
    pattern = "loss {task.fields[loss]:.3f}  {task.fields[speed]:.0f} samples/s  left"
    columns = ("training", BarColumn(), MofNCompleteColumn(), TextColumn(pattern), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task("training", total=steps, loss=float("nan"), speed=0.0)
        start, trained = time.perf_counter(), 0

        def update(done: int, loss: float, samples: int) -> None:
            nonlocal trained
            trained += samples
            progress.update(task, completed=done, loss=loss, speed=trained / (time.perf_counter() - start))

        yield update
