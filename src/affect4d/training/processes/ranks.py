"""Several processes as one: each runs its share of a batch through the towers, and all compute the loss of the whole.

Every process ends up with the embeddings of the whole batch, in the order of one process, and therefore with the same
loss. What flows back through a gather is the sum over processes, so that gradients *averaged* over processes equal
those of one process on the whole batch, for weights that saw a share (towers) and for weights that saw everything
(temperature, margin, projector) alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn

from affect4d.training.data.batches import PlannedBatches
from affect4d.training.processes.sharding import is_spread
from affect4d.training.seen import Seen, each_tensor

BUCKET = 2**25
"""Numbers that are reduced in one go."""


@dataclass(frozen=True)
class Ranks:
    """The processes that train one model, seen from one of them; alone, everything here changes nothing.

    Attributes:
        rank: Which this is.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that reports and saves."""
        return self.rank == 0

    def sizes(self, total: int) -> list[int]:
        """How many of so many samples each process has."""
        return [total // self.count + (rank < total % self.count) for rank in range(self.count)]

    def share(self, rows: slice) -> slice:
        """This process's samples of a batch: a contiguous part, so that the parts in order of rank are the batch.

        Raises:
            ValueError: If there are fewer samples than processes.
        """
        sizes = self.sizes(rows.stop - rows.start)
        if not sizes[-1]:
            raise ValueError(f"A batch of {rows.stop - rows.start} samples cannot be shared by {self.count} processes.")
        start = rows.start + sum(sizes[: self.rank])
        return slice(start, start + sizes[self.rank])

    def shared(self, batches: PlannedBatches[Any]) -> PlannedBatches[Any]:
        """This process's share of every batch."""
        if self.count == 1:
            return batches
        steps = [[self.share(rows) for rows in epoch] for epoch in batches.steps]
        return PlannedBatches(steps, batches.make)

    def gather(self, seen: Seen, total: int) -> Seen:
        """The whole batch from everybody's share, with gradients; labels and groups too."""
        if self.count == 1:
            return seen
        sizes = self.sizes(total)
        return each_tensor(seen, lambda tensor: _Gather.apply(tensor, sizes, self.rank))

    @torch.no_grad()
    def average_gradients(self, model: nn.Module) -> None:
        """Give every process the mean of all gradients; those of spread weights are averaged already."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        for bucket in _buckets([gradient for gradient in gradients if not is_spread(gradient)]):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            distributed.all_reduce(flat)
            parts = torch.split(flat.div_(self.count), [gradient.numel() for gradient in bucket])
            for gradient, mean in zip(bucket, parts, strict=True):
                gradient.copy_(mean.view(gradient.shape))

    def any(self, flags: Sequence[bool], device: torch.device) -> Tensor:
        """Which flags are raised by any process; stays on the device, so that nobody waits yet."""
        raised = torch.tensor(flags, dtype=torch.float32, device=device)
        if self.count > 1:
            distributed.all_reduce(raised, distributed.ReduceOp.MAX)
        return raised

    def from_first(self, value: float) -> float:
        """A number of the first process, so that all decide alike."""
        if self.count == 1:
            return value
        told = [value]
        distributed.broadcast_object_list(told, src=0)
        return told[0]

    def everybodys(self, tensor: Tensor) -> list[Tensor]:
        """The tensors of all processes, of equal shape, on the CPU."""
        if self.count == 1:
            return [tensor.cpu()]
        parts: list[Any] = [None] * self.count
        distributed.all_gather_object(parts, tensor.cpu())
        return parts


ALONE = Ranks()


class _Gather(torch.autograd.Function):
    """Rows of all processes in order of rank; backward, each process's rows get the gradients of all."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: list[int], rank: int) -> Tensor:
        ctx.sizes, ctx.rank = sizes, rank
        padded = rows.new_zeros(max(sizes), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in sizes]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return torch.split(total, ctx.sizes)[ctx.rank], None, None


def _buckets(gradients: Sequence[Tensor]) -> list[list[Tensor]]:
    """Gradients of one type, a bucketful at a time."""
    buckets: list[list[Tensor]] = []
    room, kind = 0, None
    for gradient in gradients:
        if room < gradient.numel() or gradient.dtype != kind:
            buckets.append([])
            room, kind = BUCKET, gradient.dtype
        buckets[-1].append(gradient)
        room -= gradient.numel()
    return buckets
