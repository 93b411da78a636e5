"""One loop for every model: batches in, a trained model and its history out."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from torch import nn

from affect4d.training.data.batches import PlannedBatches, TracedBatch
from affect4d.training.data.prefetch import made_ahead
from affect4d.training.device import choose_device, threads_of, with_threads
from affect4d.training.gradients import Task
from affect4d.training.options import TrainOptions
from affect4d.training.start import start
from affect4d.training.state import TrainingState
from affect4d.training.step import Step
from affect4d.training.watching.company import Company
from affect4d.training.watching.cost import CostMeter
from affect4d.training.watching.validation import validate


def fit(
    model: nn.Module,
    batches: PlannedBatches[TracedBatch],
    task: Task[Any, Any],
    options: TrainOptions,
    *,
    sequence_names: Sequence[str],
    held_out: Sequence[TracedBatch] = (),
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
        TrainingInterruptedError: On SIGTERM, after saving; also where it comes after the last step.
    """
    company = company or Company()
    device, threads = choose_device(options.device), threads_of(options, company.processes_here)
    state = start(model, batches, task, options, company)
    take_step = Step(state, task, options, sequence_names, company)
    meter: CostMeter[TracedBatch] = CostMeter(device, company.ranks, threads)
    to_come = company.ranks.shared(batches).onwards(state.epoch, state.step)
    with (
        with_threads(threads),
        company.keeper.listening(),
        meter.running(state.cost),
        made_ahead(to_come, device) as ahead,
    ):
        while state.epoch < options.epochs and not state.ended:
            for batch in meter.waiting(islice(ahead, batches.steps_per_epoch - state.step)):
                samples = batches.samples(state.epoch, state.step)
                terms, stop, save = take_step(batch, samples)
                company.show(state.steps_done, terms["loss"], samples)
                company.keeper.serve(state, stop, save)
            validate(state, held_out, task, options.patience, company.ranks)
            company.examine(state.epoch, model)
            company.report(state.epoch, state.epoch_means(state.epoch))
            state.next_epoch()
        stop, _ = company.ranks.any(company.keeper.wishes(), device).tolist()  # told after the last step
        company.keeper.serve(state, bool(stop), save=False)
    state.finish()
    return state
