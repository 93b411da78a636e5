"""Gradient of one training step, from the whole batch at once or from parts of it, on one process or on several."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler

from affect4d.training.dataset import split_batch
from affect4d.training.distributed import Ranks
from affect4d.training.guards import kept_statistics
from affect4d.training.objectives import Model, ObjectiveValue, TrainingTask, join_outputs, map_outputs, output_tensors


def compute_gradients(
    model: Model,
    batch: Any,
    task: TrainingTask[Model, Any],
    *,
    total: int,
    parts: int,
    scaler: GradScaler,
    ranks: Ranks,
) -> ObjectiveValue:
    """Leave the (scaled) gradient of the whole batch's loss in the parameters, the same on every process.

    Args:
        model: In training mode, without gradients.
        batch: This process's share.
        parts: Parts in which the share passes the encoders.
        scaler: Of the loss, for float16.
    """
    if parts == 1:
        value = task.objective(model, ranks.gather(task.encode(model, batch), total))
        scaler.scale(value.loss).backward()  # type: ignore[no-untyped-call]
    else:
        value = _accumulate(model, split_batch(batch, parts), task, total, scaler, ranks)
    ranks.average_gradients(model)
    return value


def _accumulate(
    model: Model, parts: list[Any], task: TrainingTask[Model, Any], total: int, scaler: GradScaler, ranks: Ranks
) -> ObjectiveValue:
    """Gradient caching (Gao et al. 2021): the loss of all parts together, then each part's share of its gradient.

    The encoders run twice: without gradients, to get the outputs of the whole batch, then part by part with the
    gradient of the loss with respect to these. Random numbers (dropout) are the same both times.
    """
    states: list[tuple[Tensor, Tensor | None]] = []
    with torch.no_grad(), kept_statistics(model):
        detached = []
        for part in parts:
            states.append(_random_state(model))
            detached.append(task.encode(model, part))
    leaves = map_outputs(join_outputs(detached), lambda tensor: tensor.requires_grad_(tensor.is_floating_point()))
    value = task.objective(model, ranks.gather(leaves, total))
    scaler.scale(value.loss).backward()  # type: ignore[no-untyped-call]
    end = 0
    for part, state in zip(parts, states, strict=True):
        _restore_random_state(state)
        start, end = end, end + len(part.sequences)
        pairs = [
            (output, leaf.grad[start:end])
            for output, leaf in zip(output_tensors(task.encode(model, part)), output_tensors(leaves), strict=True)
            if leaf.grad is not None and output.requires_grad
        ]
        torch.autograd.backward([output for output, _ in pairs], [gradient for _, gradient in pairs])
    return value


def _random_state(model: nn.Module) -> tuple[Tensor, Tensor | None]:
    """State of the generators that dropout uses."""
    gpu = any(parameter.is_cuda for parameter in model.parameters())
    return torch.get_rng_state(), torch.cuda.get_rng_state() if gpu else None


def _restore_random_state(state: tuple[Tensor, Tensor | None]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])
