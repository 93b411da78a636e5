"""One loop for every model: batches in, a trained model and its history out."""

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import pandas as pd
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from affect4d.engine import available_cores
from affect4d.progress import console
from affect4d.tensors import Labels
from affect4d.training.batches import PlannedBatches
from affect4d.training.objectives import ObjectiveValue
from affect4d.training.optimiser import build_optimiser, build_schedule
from affect4d.training.options import TrainOptions

Report = Callable[[int, dict[str, float]], None]
"""Told, after every epoch, its number and the mean of every term."""

Examine = Callable[[int, nn.Module], None]
"""Handed, after every epoch, its number and the model as it is then, to look at."""


def look_away(epoch: int, model: nn.Module) -> None:
    """Examine nothing."""


class TracedBatch(Protocol):
    """A batch that knows where its samples come from."""

    @property
    def sequences(self) -> Labels:
        """Position of each sample's sequence in the bank."""
        ...


Model = TypeVar("Model", bound=nn.Module)
Batch = TypeVar("Batch", bound=TracedBatch)


class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite; names the epoch, the step, the terms, and the sequences of the batch."""


def fit(
    model: Model,
    batches: PlannedBatches[Batch],
    objective: Callable[[Model, Batch], ObjectiveValue],
    options: TrainOptions,
    *,
    report: Report,
    examine: Examine = look_away,
    sequence_names: Sequence[str],
) -> pd.DataFrame:
    """Train a model in place; it ends in evaluation mode, on the device it was trained on.

    Deterministic on a CPU: the same model, batches and options give the same weights, to the last bit.

    Args:
        model: What to train.
        batches: What to train on; as many epochs as ``options`` asks for.
        objective: Loss and terms of a batch.
        options: How long, how fast, where.
        report: Told the mean terms of every epoch.
        examine: Handed the model after every epoch, before the report; it leaves it in training mode.
        sequence_names: The bank's, for error messages.

    Returns:
        One row a step: epoch, step, every term, gradient_norm, learning_rate.

    Raises:
        ValueError: If the plan behind the batches has another number of epochs than asked for.
        NonFiniteLossError: If a loss is not finite.
    """
    _check_epochs(batches, options)
    steps = options.epochs * batches.steps_per_epoch
    device = choose_device(options.device)
    model.to(device).train()
    optimiser = build_optimiser(model, options)
    schedule = build_schedule(optimiser, steps, options.warmup)
    history: list[dict[str, float]] = []
    with _threads(options.threads), _display(steps) as show:
        for epoch in range(options.epochs):
            for step, batch in enumerate(batches(epoch)):
                optimiser.zero_grad(set_to_none=True)
                value = objective(model, batch)
                _check_finite(value, batch, sequence_names, f"epoch {epoch}, step {step}")
                value.loss.backward()  # type: ignore[no-untyped-call]
                if not history:
                    _warn_of_untouched(model)
                gradient_norm = clip_grad_norm_(model.parameters(), options.gradient_clip)
                rate = schedule.get_last_lr()[0]
                optimiser.step()
                schedule.step()
                terms = _numbers({**value.terms, "gradient_norm": torch.as_tensor(gradient_norm)})
                history.append({"epoch": epoch, "step": step, **terms, "learning_rate": float(rate)})
                show(terms["loss"], len(batch.sequences))
            examine(epoch, model)
            report(epoch, _epoch_means(history[-batches.steps_per_epoch :]))
    model.eval()
    return pd.DataFrame(history)


def choose_device(name: str) -> torch.device:
    """``"auto"`` is CUDA where there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def _check_epochs(batches: PlannedBatches[TracedBatch], options: TrainOptions) -> None:
    if len(batches.steps) != options.epochs:
        raise ValueError(
            f"The plan was drawn for {len(batches.steps)} epochs, training asks for {options.epochs}: draw it anew."
        )


def _check_finite(value: ObjectiveValue, batch: TracedBatch, sequence_names: Sequence[str], where: str) -> None:
    if bool(torch.isfinite(value.loss)):
        return
    terms = ", ".join(f"{name} {number:.4g}" for name, number in _numbers(value.terms).items())
    names = ", ".join(sorted({sequence_names[place] for place in batch.sequences.tolist()}))
    raise NonFiniteLossError(
        f"The loss is not finite at {where} ({terms}). Sequences of the batch: {names}. "
        "Look at their views for NaN, or lower the learning rate."
    )


def _warn_of_untouched(model: nn.Module) -> None:
    """Name the trainable parameters the loss does not depend on."""
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None]
    if names:
        warnings.warn(f"The loss does not depend on {', '.join(names)}: freeze or remove them.", stacklevel=3)


def _numbers(terms: dict[str, Tensor]) -> dict[str, float]:
    """Scalars to numbers, waiting for the device once."""
    device = terms["loss"].device
    stacked = torch.stack([term.detach().to(device, torch.float32) for term in terms.values()])
    return dict(zip(terms, stacked.tolist(), strict=True))


def _epoch_means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    means = pd.DataFrame(rows).drop(columns=["epoch", "step"]).mean()
    return {str(name): float(mean) for name, mean in means.items()}


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Run torch on so many threads (0: one a core), then as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or available_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _display(steps: int) -> Iterator[Callable[[float, int], None]]:
    """A bar with steps, loss, samples a second and time left; gives what is to be told of each step."""
    pattern = "loss {task.fields[loss]:.3f}  {task.fields[speed]:.0f} samples/s  left"
    columns = ("training", BarColumn(), MofNCompleteColumn(), TextColumn(pattern), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task("training", total=steps, loss=float("nan"), speed=0.0)
        start, seen = time.perf_counter(), 0

        def show(loss: float, samples: int) -> None:
            nonlocal seen
            seen += samples
            progress.update(task, advance=1, loss=loss, speed=seen / (time.perf_counter() - start))

        yield show
