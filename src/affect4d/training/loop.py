"""One loop for every model: batches in, a trained model and its history out."""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from affect4d.tensors import Labels
from affect4d.training.batches import PlannedBatches
from affect4d.training.cost import CostMeter, count_flops
from affect4d.training.device import (
    choose_device,
    compile_towers,
    set_precision,
    threads_of,
    tower_precision,
    with_threads,
)
from affect4d.training.global_norm import share_statistics
from affect4d.training.gradients import StepGradients, Task, clip_gradients
from affect4d.training.guards import FiniteGuard, Statistics, warn_of_untouched
from affect4d.training.keeping import Keeper
from affect4d.training.optimiser import freeze
from affect4d.training.options import TrainOptions
from affect4d.training.prefetch import made_ahead
from affect4d.training.ranks import ALONE, Ranks
from affect4d.training.sharding import shard_towers
from affect4d.training.state import Row, TrainingState
from affect4d.training.validation import validate

Report = Callable[[int, dict[str, float]], None]
"""Told, after every epoch, its number and the mean of every term."""

Examine = Callable[[int, nn.Module], None]
"""Handed, after every epoch, its number and the model as it is then, to look at."""

Show = Callable[[int, float, int], None]
"""Told, after every step, how many are done, the loss, and how many samples that step had."""


def look_away(epoch: int, model: nn.Module) -> None:
    """Examine nothing."""


def ignore(*told: Any) -> None:
    """A report nobody reads."""


class TracedBatch(Protocol):
    """A batch that knows where its samples come from."""

    @property
    def sequences(self) -> Labels:
        """Position of each sample's sequence in the bank."""
        ...


Model = TypeVar("Model", bound=nn.Module)
Batch = TypeVar("Batch", bound=TracedBatch)


@dataclass(frozen=True)
class Company:
    """Who looks on while a model is trained, and who helps.

    Attributes:
        report: Told the mean terms of every epoch; after a resume, of earlier epochs again.
        examine: Handed the model after every epoch, before the report; it leaves it in training mode.
        show: Told of every step.
        keeper: Saves and resumes.
        ranks: The processes that train together.
        processes_here: Of them, on this host: they share its cores.
        shard: Whether the towers' weights are spread over them.
    """

    report: Report = ignore
    examine: Examine = look_away
    show: Show = ignore
    keeper: Keeper = dataclasses.field(default_factory=Keeper)
    ranks: Ranks = ALONE
    processes_here: int = 1
    shard: bool = False


def fit(
    model: Model,
    batches: PlannedBatches[Batch],
    task: Task[Model, Any],
    options: TrainOptions,
    *,
    sequence_names: Sequence[str],
    held_out: Sequence[Batch] = (),
    company: Company | None = None,
) -> TrainingState:
    """Train a model in place; it ends in evaluation mode, on the device it was trained on.

    Deterministic on a CPU: the same model, batches and options give the same weights, to the last bit, however often
    training was interrupted.

    Args:
        model: What to train.
        batches: What to train on; as many epochs as ``options`` asks for.
        task: What is minimised.
        options: How long, how fast, where.
        sequence_names: The bank's, for error messages.
        held_out: Batches of training subjects that are not trained on, to choose the best epoch by.
        company: Who looks on; nobody by default.

    Returns:
        The last state: its history has one row a step (epoch, step, every term, gradient_norm, learning_rate).

    Raises:
        ValueError: If the plan behind the batches has another number of epochs than asked for.
        NonFiniteLossError: If too many losses in a row are not finite.
        BatchTooLargeError: If a batch does not fit into memory.
        TrainingInterruptedError: On SIGTERM, after saving.
    """
    company = company or Company()
    keeper, ranks = company.keeper, company.ranks
    state, meter = _prepare(model, batches, task, options, company)
    gradients = StepGradients(model, task, options, state.scaler, ranks)
    guard, statistics = FiniteGuard(options.nonfinite_limit, sequence_names), Statistics(model)
    shares = ranks.shared(batches)
    if keeper.resume(state):
        _replay(state, company.report)
    with ExitStack() as meanwhile:
        meanwhile.enter_context(with_threads(threads_of(options, company.processes_here)))
        meanwhile.enter_context(keeper.listening())
        meanwhile.enter_context(meter.running(state.cost))
        ahead = meanwhile.enter_context(
            made_ahead(shares.onwards(state.epoch, state.step), choose_device(options.device))
        )
        while state.epoch < options.epochs and not state.ended:
            for batch in meter.waiting(islice(ahead, batches.steps_per_epoch - state.step)):
                statistics.keep()
                state.optimiser.zero_grad(set_to_none=True)
                value = gradients(batch, total := _size(batches.steps[state.epoch][state.step]))
                state.scaler.unscale_(state.optimiser)
                if not state.steps_done:
                    warn_of_untouched(model)
                norm = clip_gradients(model, options.gradient_clip)
                terms, stop, save = _numbers(value.terms, norm, ranks, keeper)
                if guard.accepts(terms, batch.sequences, state.where, state.scaler.is_enabled()):
                    state.take_step(terms)
                else:
                    statistics.give_back()
                    state.leave_out()
                state.next_step(total)
                company.show(state.steps_done, terms["loss"], total)
                keeper.serve(state, stop, save)
            validate(state, held_out, task, options.patience, ranks)
            company.examine(state.epoch, model)
            company.report(state.epoch, state.epoch_means(state.epoch))
            state.next_epoch()
    state.finish()
    return state


def _prepare(
    model: Model, batches: PlannedBatches[Batch], task: Task[Model, Any], options: TrainOptions, company: Company
) -> tuple[TrainingState, CostMeter[Batch]]:
    """The model on its device, ready for its first step."""
    if len(batches.steps) != options.epochs:
        raise ValueError(
            f"The plan was drawn for {len(batches.steps)} epochs, training asks for {options.epochs}: draw it anew."
        )
    if company.shard and options.average:
        raise ValueError("An average of spread weights is not kept: set average to 0, or shard to false.")
    device, ranks = choose_device(options.device), company.ranks
    freeze(model, options.freeze)
    model.to(device).train()
    flops = count_flops(model, batches, task)
    set_precision(model, tower_precision(options, device))
    if options.compile:
        compile_towers(model)
    share_statistics(model, ranks, device)
    if company.shard:
        shard_towers(model, device)
    state = TrainingState.at_start(model, options, options.epochs * batches.steps_per_epoch, device)
    state.cost.flops_per_sample = flops
    return state, CostMeter(device, ranks, threads_of(options, company.processes_here))


def _replay(state: TrainingState, report: Report) -> None:
    """Report the epochs that were done before an interruption, so that the curves of this run begin at the start."""
    for epoch in range(state.epoch):
        report(epoch, state.epoch_means(epoch))


def _size(rows: slice) -> int:
    return int(rows.stop - rows.start)


def _numbers(terms: dict[str, Tensor], norm: Tensor, ranks: Ranks, keeper: Keeper) -> tuple[Row, bool, bool]:
    """Terms, and what any process wishes, as numbers: the device is waited for once a step, here."""
    device = terms["loss"].device
    wishes = ranks.any(keeper.wishes(), device)
    named = {**terms, "gradient_norm": norm}
    stacked = torch.stack([term.detach().to(device, torch.float32) for term in named.values()])
    *numbers, stop, save = torch.cat([stacked, wishes]).tolist()
    return dict(zip(named, numbers, strict=True)), bool(stop), bool(save)
