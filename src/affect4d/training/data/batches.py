"""From a schedule to batches: pictures assembled, prompts looked up, each with exactly what its method may see."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from affect4d.tensors import Labels, Tokens, ViewImages
from affect4d.training.data.schedule import Schedule
from affect4d.views.assembly import Pictures, assemble_rows
from affect4d.views.inputs import InputOptions


@dataclass(frozen=True)
class LabelledBatch:
    """What AffectVLM and the cross-entropy peer see.

    Attributes:
        images: Augmented views, [batch, views, channels, size, size].
        tokens: One prompt a sample, [batch, context].
        labels: Class of each sample, a position in ``EXPRESSIONS``.
        sequences: Where each sample comes from, a position in the bank's sequences; for error messages.
    """

    images: ViewImages
    tokens: Tokens
    labels: Labels
    sequences: Labels


@dataclass(frozen=True)
class UnlabelledBatch:
    """What SMILE-VLM sees: no field of it holds, or was made from, a human label.

    Attributes:
        images: Augmented views, [batch, views, channels, size, size].
        tokens: One pseudo-labelled prompt a sample, [batch, context].
        groups: Equal where the pseudo-labels are equal.
        sequences: Where each sample comes from, a position in the bank's sequences; for error messages.
    """

    images: ViewImages
    tokens: Tokens
    groups: Labels
    sequences: Labels


class TracedBatch(Protocol):
    """A batch that knows where its samples come from."""

    @property
    def sequences(self) -> Labels:
        """Position of each sample's sequence in the bank."""
        ...


Batch = TypeVar("Batch", covariant=True)


@dataclass(frozen=True)
class PlannedBatches(Generic[Batch]):
    """The batches of a schedule; calling it with an epoch yields that epoch's.

    Attributes:
        steps: For each epoch, for each step, which samples of the schedule.
        make: Samples to a batch.
    """

    steps: Sequence[Sequence[slice]]
    make: Callable[[slice], Batch]

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        return len(self.steps[0])

    def samples(self, epoch: int, step: int) -> int:
        """Samples of a batch."""
        rows = self.steps[epoch][step]
        return int(rows.stop - rows.start)

    def __call__(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, in order, from a step on."""
        return map(self.make, self.steps[epoch][first:])

    def onwards(self, epoch: int, step: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from a step on, and those of all epochs after it."""
        yield from self(epoch, step) if epoch < len(self.steps) else ()
        for later in range(epoch + 1, len(self.steps)):
            yield from self(later)


def planned_batches(
    schedule: Schedule,
    bank: Pictures,
    kind: type[LabelledBatch] | type[UnlabelledBatch],
    inputs: InputOptions,
    device: torch.device,
) -> PlannedBatches[Any]:
    """The batches of a schedule.

    Args:
        schedule: Which samples, step by step.
        bank: The pictures.
        kind: What a batch holds.
        inputs: How pictures become the model's input.
        device: Where batches are put; pictures are changed there.
    """
    prompts, groups = schedule.prompts.to(device), schedule.groups.to(device)

    def make(rows: slice) -> LabelledBatch | UnlabelledBatch:
        images = assemble_rows(bank, schedule.views[rows], inputs, device)
        return kind(images, prompts[schedule.prompt[rows].to(device)], groups[rows], schedule.sequences[rows])

    return PlannedBatches(schedule.steps, make)


def split_batch(batch: Any, parts: int) -> list[Any]:
    """A batch in parts of nearly equal size, in order; no more parts than samples."""
    fields = [field.name for field in dataclasses.fields(batch)]
    columns: list[tuple[Tensor, ...]] = [getattr(batch, name).tensor_split(parts) for name in fields]
    return [type(batch)(*column) for column in zip(*columns, strict=True) if len(column[0])]
