"""Before the first step: the model on its device, in its precision, with its optimiser; or where it was stopped."""

from typing import Any

from torch import nn

from affect4d.training.data.batches import PlannedBatches, TracedBatch
from affect4d.training.device import choose_device, compile_towers, set_precision, tower_precision
from affect4d.training.gradients import Task
from affect4d.training.optimiser import freeze
from affect4d.training.options import TrainOptions
from affect4d.training.processes.global_norm import share_statistics
from affect4d.training.processes.sharding import shard_towers
from affect4d.training.state import TrainingState
from affect4d.training.watching.company import Company
from affect4d.training.watching.cost import count_flops


def start(
    model: nn.Module,
    batches: PlannedBatches[TracedBatch],
    task: Task[Any, Any],
    options: TrainOptions,
    company: Company,
) -> TrainingState:
    """Make a model ready for its next step: the first, or the one after the newest checkpoint.

    Epochs that are done already are reported again, so that the curves of this run begin at the beginning.

    Raises:
        ValueError: If the plan behind the batches has another number of epochs than asked for, or an average is asked
            for of weights that are spread.
    """
    if len(batches.steps) != options.epochs:
        raise ValueError(
            f"The plan was drawn for {len(batches.steps)} epochs, training asks for {options.epochs}: draw it anew."
        )
    if company.shard and options.average:
        raise ValueError("An average of spread weights is not kept: set average to 0, or shard to false.")
    device = choose_device(options.device)
    freeze(model, options.freeze)
    model.to(device).train()
    flops = count_flops(model, batches, task)
    set_precision(model, tower_precision(options, device))
    if options.compile:
        compile_towers(model)
    share_statistics(model, company.ranks, device)
    if company.shard:
        shard_towers(model, device)
    state = TrainingState.at_start(model, options, options.epochs * batches.steps_per_epoch, device)
    state.cost.flops_per_sample = flops
    if company.keeper.resume(state):
        for epoch in range(state.epoch):
            company.report(epoch, state.epoch_means(epoch))
    return state
