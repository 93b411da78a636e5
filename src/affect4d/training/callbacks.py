"""Training callbacks: after every step and after every epoch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

EpochCallback = Callable[[int, dict[str, float]], None]
"""Takes an epoch's number and the mean of every term."""

ModelCallback = Callable[[int, nn.Module], None]
"""Takes an epoch's number and the model as it is then; must leave it in training mode."""

StepCallback = Callable[[int, float, int], None]
"""Takes the number of steps done, the loss, and the samples of the step."""


def ignore(*values: Any) -> None:
    """Callback that does nothing."""


@dataclass(frozen=True)
class Callbacks:
    """Functions called in training.

    Attributes:
        on_step: After every step.
        on_model: After every epoch, before ``on_epoch``.
        on_epoch: After every epoch; after a resume, for earlier epochs again.
    """

    on_step: StepCallback = ignore
    on_model: ModelCallback = ignore
    on_epoch: EpochCallback = ignore
