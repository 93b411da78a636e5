"""Who looks on while a model is trained, and who helps."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from affect4d.training.processes.ranks import ALONE, Ranks
from affect4d.training.saving.keeping import Keeper

Report = Callable[[int, dict[str, float]], None]
"""Told, after every epoch, its number and the mean of every term."""

Examine = Callable[[int, nn.Module], None]
"""Handed, after every epoch, its number and the model as it is then, to look at."""

Show = Callable[[int, float, int], None]
"""Told, after every step, how many are done, the loss, and how many samples that step had."""


def ignore(*told: Any) -> None:
    """Nobody reads a report, looks at a model, or follows the steps."""


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
    examine: Examine = ignore
    show: Show = ignore
    keeper: Keeper = field(default_factory=Keeper)
    ranks: Ranks = ALONE
    processes_here: int = 1
    shard: bool = False
