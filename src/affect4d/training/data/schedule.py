"""What a training run looks at, step by step, as tensors: resolved once, and carried to other processes as a file.

The order of samples is the plan's, whose epochs are each a pure function of (seed, epoch): which process computes a
sample, and where a run was interrupted, does not enter.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Int64
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from affect4d.tensors import Labels, Tokens
from affect4d.views.assembly import PlanRows

_PLAN = "plan."


@dataclass(frozen=True)
class Schedule:
    """Every sample of every step of every epoch.

    Attributes:
        views: Which pictures, and how they are changed; one row a sample.
        prompts: Tokens of the distinct prompts, [prompts, context].
        prompt: Position in ``prompts`` of each sample's.
        groups: Of each sample: a class, or a number that is equal where pseudo-labels are.
        sequences: Where each sample comes from, a position in the bank's sequences.
        sizes: Samples of each step, [epochs, steps].
    """

    views: PlanRows
    prompts: Tokens
    prompt: Int64[Tensor, " samples"]
    groups: Labels
    sequences: Labels
    sizes: Int64[Tensor, "epochs steps"]

    @property
    def steps(self) -> Sequence[Sequence[slice]]:
        """Samples of each step of each epoch."""
        ends = self.sizes.flatten().cumsum(0).view_as(self.sizes).tolist()
        return [
            [slice(end - size, end) for end, size in zip(*row, strict=True)]
            for row in zip(ends, self.sizes.tolist(), strict=True)
        ]


def save_schedule(schedule: Schedule, path: Path) -> None:
    """Write a schedule to a safetensors file."""
    names = [field.name for field in dataclasses.fields(schedule) if field.name != "views"]
    whole = {name: getattr(schedule, name) for name in names}
    plan = {f"{_PLAN}{name}": getattr(schedule.views, name) for name in PlanRows.__slots__}
    save_file({name: tensor.contiguous() for name, tensor in {**whole, **plan}.items()}, path)


def load_schedule(path: Path) -> Schedule:
    """Read a schedule written by :func:`save_schedule`."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    plan = PlanRows(*(tensors.pop(f"{_PLAN}{name}") for name in PlanRows.__slots__))
    return Schedule(plan, **tensors)


@dataclass(frozen=True)
class StoredPictures:
    """A bank's pictures as other processes open them: by memory map, without names of sequences.

    Attributes:
        pictures: uint8, [rows, views, channels, height, width].
        neutral: Row of each row's neutral frame.
        views: Names.
    """

    pictures: Tensor
    neutral: Tensor
    views: tuple[str, ...]
