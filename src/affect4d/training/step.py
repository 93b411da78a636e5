"""One step of training: the gradient of a batch, judged, and what the optimiser makes of it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from affect4d.training.data.batches import TracedBatch
from affect4d.training.gradients import StepGradients, Task, clip_gradients
from affect4d.training.options import TrainOptions
from affect4d.training.state import Row, TrainingState
from affect4d.training.watching.company import Company
from affect4d.training.watching.guards import FiniteGuard, warn_of_untouched


class Outcome(NamedTuple):
    """What came of a step: its numbers, and what some process wishes to be done after it."""

    terms: Row
    stop: bool
    save: bool


class Step:
    """Takes a state one step on, or, where the step is not finite, leaves it out.

    Args:
        state: What is trained.
        task: What is minimised.
        options: How far a step may go, and in how many parts a batch goes through the towers.
        sequence_names: The bank's, for error messages.
        company: The processes, and who may wish to stop or to save.
    """

    def __init__(
        self,
        state: TrainingState,
        task: Task[Any, Any],
        options: TrainOptions,
        sequence_names: Sequence[str],
        company: Company,
    ) -> None:
        self._state, self._options, self._company = state, options, company
        self._gradients = StepGradients(state.model, task, options, state.scaler, company.ranks)
        self._guard = FiniteGuard(options.nonfinite_limit, sequence_names)

    def __call__(self, batch: TracedBatch, total: int) -> Outcome:
        """Train on a batch, of whose ``total`` samples this process holds its share."""
        state = self._state
        state.optimiser.zero_grad(set_to_none=True)
        value = self._gradients(batch, total)
        state.scaler.unscale_(state.optimiser)
        if not state.steps_done:
            warn_of_untouched(state.model, self._options.freeze)
        norm = clip_gradients(state.model, self._options.gradient_clip)
        outcome = self._numbers({**value.terms, "gradient_norm": norm})
        if self._guard.accepts(outcome.terms, batch.sequences, state.where, state.scaler.is_enabled()):
            state.take_step(outcome.terms)
        else:
            self._gradients.forget()
            state.leave_out()
        state.next_step(total)
        return outcome

    def _numbers(self, named: Mapping[str, Tensor]) -> Outcome:
        """Terms, and what any process wishes, as numbers: the device is waited for once a step, here."""
        device = named["loss"].device
        wishes = self._company.ranks.any(self._company.keeper.wishes(), device)
        stacked = torch.stack([term.detach().to(device, torch.float32) for term in named.values()])
        *numbers, stop, save = torch.cat([stacked, wishes]).tolist()
        return Outcome(dict(zip(named, numbers, strict=True)), bool(stop), bool(save))
