"""The gradient of one step, from the whole batch at once or from parts of it; on one process or on several."""

import contextlib
import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from affect4d.training.data.batches import split_batch
from affect4d.training.objectives import ObjectiveValue
from affect4d.training.options import TrainOptions
from affect4d.training.processes.ranks import ALONE, Ranks
from affect4d.training.processes.sharding import is_spread, whole
from affect4d.training.seen import Seen, each_tensor, put_together, tensors_of
from affect4d.training.watching.guards import Statistics, kept_statistics, out_of_memory, parts_that_fit

LOGGER = logging.getLogger(__name__)
Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Task(Generic[Model, Seen]):
    """What is minimised.

    Attributes:
        see: A batch through the towers, sample by sample.
        objective: Loss and terms of what they saw of the whole batch.
    """

    see: Callable[[Model, Any], Seen]
    objective: Callable[[Model, Seen], ObjectiveValue]

    def value(self, model: Model, batch: Any, ranks: Ranks = ALONE, total: int = 0) -> ObjectiveValue:
        """Loss and terms of a batch, of which this process holds its share."""
        return self.objective(model, ranks.gather(self.see(model, batch), total or len(batch.sequences)))


def take_gradients(
    model: Model, batch: Any, task: Task[Model, Any], *, total: int, parts: int, scaler: GradScaler, ranks: Ranks
) -> ObjectiveValue:
    """Leave the (scaled) gradient of the whole batch's loss in the parameters, the same on every process.

    Args:
        model: In training mode, without gradients.
        batch: This process's share.
        task: What is minimised.
        total: Samples of the whole batch.
        parts: In how many parts the share goes through the towers.
        scaler: Of the loss, for float16.
        ranks: The processes.

    Returns:
        Loss and terms of the whole batch.
    """
    if parts == 1:
        value = task.value(model, batch, ranks, total)
        scaler.scale(value.loss).backward()  # type: ignore[no-untyped-call]
    else:
        value = _in_parts(model, split_batch(batch, parts), task, total, scaler, ranks)
    ranks.average_gradients(model)
    return value


class StepGradients(Generic[Model]):
    """:func:`take_gradients` of every step, in as many parts as memory asks for.

    Args:
        model: In training mode.
        task: What is minimised.
        options: In how many parts, and what to do where memory ends.
        scaler: Of the loss.
        ranks: The processes.
    """

    def __init__(
        self, model: Model, task: Task[Model, Any], options: TrainOptions, scaler: GradScaler, ranks: Ranks
    ) -> None:
        self._model, self._parts, self._options, self._ranks = model, options.accumulate, options, ranks
        self._statistics = Statistics(model)
        self._take = functools.partial(take_gradients, model, task=task, scaler=scaler, ranks=ranks)

    def __call__(self, batch: Any, total: int) -> ObjectiveValue:
        """Leave the gradient of the whole batch's loss in the parameters.

        Raises:
            BatchTooLargeError: If the batch does not fit into memory, and parts of it were not asked for.
        """
        self._statistics.keep()
        with contextlib.suppress(torch.OutOfMemoryError):
            return self._take(batch, total=total, parts=self._parts)
        self.forget()  # what the towers had seen of it before memory ended
        if self._ranks.count > 1:
            raise out_of_memory(len(batch.sequences), self._parts)
        fitting = parts_that_fit(functools.partial(self._attempt, batch, total), len(batch.sequences), self._parts)
        if fitting is None or self._options.when_memory_ends == "stop":
            raise out_of_memory(len(batch.sequences), self._parts, fitting or 0)
        LOGGER.warning("A batch does not fit into memory; from now on it goes through in %d parts.", fitting)
        self._parts = fitting
        self._model.zero_grad(set_to_none=True)
        return self._take(batch, total=total, parts=fitting)

    def forget(self) -> None:
        """Leave nothing of the last batch in the model's running statistics."""
        self._statistics.give_back()

    def _attempt(self, batch: Any, total: int, parts: int) -> None:
        self._model.zero_grad(set_to_none=True)
        with kept_statistics(self._model):
            self._take(batch, total=total, parts=parts)


def clip_gradients(model: nn.Module, limit: float) -> Tensor:
    """Scale the whole gradient down to a norm, where it is larger; returns what it was."""
    spread = [p for p in model.parameters() if p.grad is not None and is_spread(p.grad)]
    if not spread:
        return _clip_plain([p for p in model.parameters() if p.grad is not None], limit)
    plain = [p for p in model.parameters() if p.grad is not None and not is_spread(p.grad)]
    lengths = [get_total_norm([p.grad for p in group if p.grad is not None]) for group in (spread, plain)]
    norm: Tensor = torch.stack([whole(length) for length in lengths]).norm()
    for group in (spread, plain):
        clip_grads_with_norm_(group, limit, norm)
    return norm


def _clip_plain(parameters: list[nn.Parameter], limit: float) -> Tensor:
    """As ``clip_grad_norm_``, to the bit; a processor, which need not be waited for, leaves a short gradient alone."""
    norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
    if norm.is_cuda or not limit / (norm + 1e-6) >= 1:
        clip_grads_with_norm_(parameters, limit, norm)
    return norm


def _in_parts(
    model: Model, parts: list[Any], task: Task[Model, Any], total: int, scaler: GradScaler, ranks: Ranks
) -> ObjectiveValue:
    """Gradient caching (Gao et al. 2021): the loss of all parts together, then each part's share of its gradient.

    The towers run twice: without gradients to know what they see of the whole batch, then part by part with the
    gradient of the loss with respect to that. Random numbers (dropout) are the same both times.
    """
    states: list[tuple[Tensor, Tensor | None]] = []
    with torch.no_grad(), kept_statistics(model):
        glimpses = []
        for part in parts:
            states.append(_random_state(model))
            glimpses.append(task.see(model, part))
    whole = each_tensor(put_together(glimpses), lambda seen: seen.requires_grad_(seen.is_floating_point()))
    value = task.objective(model, ranks.gather(whole, total))
    scaler.scale(value.loss).backward()  # type: ignore[no-untyped-call]
    starts = [0]
    for part, state in zip(parts, states, strict=True):
        _restore_random_state(state)
        starts.append(starts[-1] + len(part.sequences))
        pairs = [
            (seen, leaf.grad[starts[-2] : starts[-1]])
            for seen, leaf in zip(tensors_of(task.see(model, part)), tensors_of(whole), strict=True)
            if leaf.grad is not None and seen.requires_grad
        ]
        torch.autograd.backward([seen for seen, _ in pairs], [gradient for _, gradient in pairs])
    return value


def _random_state(model: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Of the generators that dropout draws from."""
    gpu = any(parameter.is_cuda for parameter in model.parameters())
    return torch.get_rng_state(), torch.cuda.get_rng_state() if gpu else None


def _restore_random_state(state: tuple[Tensor, Tensor | None]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])
