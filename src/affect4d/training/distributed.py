"""Data-parallel training: each process encodes its share of a batch, and all compute the loss of the whole batch.

Every process ends up with the outputs of the whole batch, in the order of one process, and so with the same loss.
Backward through a gather sums over processes, so that gradients *averaged* over processes equal those of one process
on the whole batch, for weights that saw a share (encoders) and for weights that saw everything (temperature, margin,
projector) alike. Encoders may be sharded (FSDP); full weights and optimizer state come back for a checkpoint.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from affect4d.training.batch_loader import BatchLoader
from affect4d.training.device import encoders_of
from affect4d.training.objectives import Outputs, map_outputs

BUCKET = 2**25
"""Numbers that are reduced in one call."""
_LAYERS = ("resblocks", "stages", "blocks", "layers")
_NOT_SAVED = {"params", "fused"}  # keys of an optimizer's group that belong to the process, not to its state


@dataclass(frozen=True)
class Ranks:
    """The processes that train one model, ``local_world_size`` on this host; ``shard``: encoders are sharded (FSDP)."""

    rank: int = 0
    world_size: int = 1
    local_world_size: int = 1
    shard: bool = False

    @property
    def first(self) -> bool:
        """This process reports and saves."""
        return self.rank == 0

    def sizes(self, total: int) -> list[int]:
        """Samples of each process, of a batch of ``total``."""
        return [total // self.world_size + (rank < total % self.world_size) for rank in range(self.world_size)]

    def share(self, rows: slice) -> slice:
        """This process's samples of a batch: contiguous, in the order of ranks; at least one."""
        total = rows.stop - rows.start
        sizes = self.sizes(total)
        if not sizes[-1]:
            raise ValueError(f"A batch of {total} samples cannot be shared by {self.world_size} processes.")
        start = rows.start + sum(sizes[: self.rank])
        return slice(start, start + sizes[self.rank])

    def share_loader(self, loader: BatchLoader) -> BatchLoader:
        """This process's share of every batch."""
        if self.world_size == 1:
            return loader
        return BatchLoader([[self.share(rows) for rows in epoch] for epoch in loader.steps], loader.make)

    def gather(self, outputs: Outputs, total: int) -> Outputs:
        """Outputs of the whole batch, with gradients, from every process's share."""
        if self.world_size == 1:
            return outputs
        sizes = self.sizes(total)
        return map_outputs(outputs, lambda tensor: _Gather.apply(tensor, sizes, self.rank))

    @torch.no_grad()
    def average_gradients(self, model: nn.Module) -> None:
        """Replace gradients by their mean over processes; FSDP has averaged those of sharded weights already."""
        if self.world_size == 1:
            return
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        for bucket in _buckets([gradient for gradient in gradients if not is_sharded(gradient)]):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            distributed.all_reduce(flat)
            parts = torch.split(flat.div_(self.world_size), [gradient.numel() for gradient in bucket])
            for gradient, mean in zip(bucket, parts, strict=True):
                gradient.copy_(mean.view(gradient.shape))

    def any(self, flags: Sequence[bool], device: torch.device) -> Tensor:
        """Flags raised by any process, on the device, so that nothing waits yet."""
        raised = torch.tensor(flags, dtype=torch.float32, device=device)
        if self.world_size > 1:
            distributed.all_reduce(raised, distributed.ReduceOp.MAX)
        return raised

    def from_first(self, value: float) -> float:
        """The first process's value, so that all decide alike."""
        if self.world_size == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]

    def collect(self, tensor: Tensor) -> list[Tensor]:
        """Tensors of all processes, of equal shape, on the CPU."""
        if self.world_size == 1:
            return [tensor.cpu()]
        parts: list[Any] = [None] * self.world_size
        distributed.all_gather_object(parts, tensor.cpu())
        return parts


SINGLE_PROCESS = Ranks()


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
    """Consecutive gradients of one type, up to :data:`BUCKET` numbers each."""
    buckets: list[list[Tensor]] = []
    room, kind = 0, None
    for gradient in gradients:
        if room < gradient.numel() or gradient.dtype != kind:
            buckets.append([])
            room, kind = BUCKET, gradient.dtype
        buckets[-1].append(gradient)
        room -= gradient.numel()
    return buckets


def shard_encoders(model: nn.Module, device: torch.device) -> None:
    """Shard the encoders over all processes (FSDP2), layer by layer; a layer is whole only while it computes."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    for backbone in (encoder.tower for encoder in encoders_of(model)):
        frozen = {parameter for parameter in backbone.parameters() if not parameter.requires_grad}
        stacks = [child for name, child in backbone.named_modules() if name.rsplit(".", 1)[-1] in _LAYERS]
        for layer in [layer for stack in stacks for layer in stack.children()]:
            fully_shard(layer, mesh=mesh)
        fully_shard(backbone, mesh=mesh, ignored_params=frozen)


def is_sharded(tensor: Any) -> bool:
    """This process holds only its part of the tensor (a DTensor, whose module is slow to import)."""
    return hasattr(tensor, "full_tensor")


def full_tensor(tensor: Any) -> Tensor:
    """A tensor with all its parts; all processes must call this."""
    whole: Tensor = tensor.full_tensor() if is_sharded(tensor) else tensor
    return whole


@torch.no_grad()
def full_weights(model: nn.Module) -> dict[str, Tensor]:
    """Copy of all parameters and buffers on the CPU; all processes must call this."""
    return {name: full_tensor(tensor).detach().cpu().clone() for name, tensor in model.state_dict().items()}


@torch.no_grad()
def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load full weights into a model, sharded or not; a missing one is a ``KeyError``."""
    for name, tensor in model.state_dict().items():
        _copy(tensor, weights[name])


def full_optimizer_state(model: nn.Module, optimizer: Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Tensors of an optimizer by ``parameter|quantity``, in full, and the numbers of its groups."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    tensors = {
        f"{names[parameter]}|{quantity}": full_tensor(value).detach().cpu().clone()
        for parameter, state in optimizer.state.items()
        for quantity, value in state.items()
    }
    groups = [{key: value for key, value in group.items() if key not in _NOT_SAVED} for group in optimizer.param_groups]
    return tensors, groups


@torch.no_grad()
def load_optimizer_state(
    model: nn.Module, optimizer: Optimizer, tensors: Mapping[str, Tensor], groups: Sequence[Mapping[str, Any]]
) -> None:
    """Load what :func:`full_optimizer_state` gave; every tensor gets the layout of its parameter."""
    parameters = dict(model.named_parameters())
    for name, value in tensors.items():
        parameter, quantity = name.rsplit("|", 1)
        owner = parameters[parameter]
        if quantity == "step":  # a fused AdamW wants it beside the parameter
            restored = value.to(owner.device if optimizer.defaults["fused"] else "cpu", copy=True)
        else:
            restored = torch.empty_like(owner, dtype=value.dtype)
            _copy(restored, value)
        optimizer.state[owner][quantity] = restored
    for group, numbers in zip(optimizer.param_groups, groups, strict=True):
        group.update({key: tuple(value) if isinstance(value, list) else value for key, value in numbers.items()})


def _copy(target: Any, value: Tensor) -> None:
    """Copy full values into a tensor, or this process's part of them into a sharded one."""
    if is_sharded(target):
        from torch.distributed.tensor import distribute_tensor

        value = distribute_tensor(value.to(target.device), target.device_mesh, target.placements)
    target.copy_(value)


def synchronise_batchnorm(model: nn.Module, ranks: Ranks, device: torch.device) -> None:
    """Replace the encoders' batch normalisations, in place (all else sees the whole batch); names of weights stay."""
    if ranks.world_size > 1:
        for encoder in encoders_of(model):
            for parent in list(encoder.modules()):
                for name, child in list(parent.named_children()):
                    if isinstance(child, _BatchNorm):
                        setattr(parent, name, _synchronised(child, device))


def _synchronised(norm: _BatchNorm, device: torch.device) -> nn.Module:
    if device.type == "cuda":
        synchronised: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)  # type: ignore[no-untyped-call]
        return synchronised
    replacement = GlobalBatchNorm(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    for name, parameter in norm.named_parameters(recurse=False):
        setattr(replacement, name, parameter)
    for name, buffer in norm.named_buffers(recurse=False):
        setattr(replacement, name, buffer)
    return replacement.train(norm.training)


class GlobalBatchNorm(_BatchNorm):
    """Batch normalisation whose mean and variance are those of all processes' rows, in forward and backward."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions: [rows, features, ...]."""

    def forward(self, input: Tensor) -> Tensor:
        """[rows, features, ...] to the same, in the same precision; sums are single precision at least."""
        if not self.training:
            return super().forward(input)
        given, input = input.dtype, input.to(torch.promote_types(input.dtype, torch.float32))
        axes = [axis for axis in range(input.ndim) if axis != 1]
        shape = [1, -1] + [1] * (input.ndim - 2)
        local = torch.tensor([input.numel() / input.shape[1]], dtype=input.dtype, device=input.device)
        sums: Tensor = _Sum.apply(torch.cat([input.sum(axes), local]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = input - mean.view(shape)
        squares: Tensor = _Sum.apply(centred.square().sum(axes))
        variance = squares / count
        self._update_running(mean.detach(), (squares / (count - 1)).detach())
        normal = centred * (variance + self.eps).rsqrt().view(shape)
        return (normal * self.weight.view(shape) + self.bias.view(shape) if self.affine else normal).to(given)

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor) -> None:
        """Running statistics, as one process would have them."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), momentum)


class _Sum(torch.autograd.Function):
    """Sum over processes; backward, the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total
