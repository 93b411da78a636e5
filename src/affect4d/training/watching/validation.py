"""Choosing the best epoch, on training subjects that are held out: test subjects are never looked at here."""

from collections.abc import Sequence
from typing import Any

import torch

from affect4d.training.gradients import Task
from affect4d.training.processes.ranks import Ranks
from affect4d.training.processes.sharding import full_weights
from affect4d.training.state import TrainingState


def validate(state: TrainingState, held_out: Sequence[Any], task: Task[Any, Any], patience: int, ranks: Ranks) -> None:
    """Note the loss on held-out batches after an epoch; keep the weights of the best; end when patience is out.

    Every process looks at all of them, so that each sample counts once; the first one's loss decides.
    """
    if not held_out:
        return
    judged = state.judged.eval()
    with torch.no_grad():
        losses = [float(task.value(judged, batch).loss) for batch in held_out]
    state.model.train()
    loss = ranks.from_first(sum(losses) / len(losses))
    state.validation[state.epoch] = loss
    if loss < state.best_loss:
        state.best_loss, state.best_epoch, state.best = loss, state.epoch, full_weights(judged)
    state.ended = bool(patience) and state.epoch - state.best_epoch >= patience
