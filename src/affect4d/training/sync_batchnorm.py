"""Batch normalisation over the batch of all processes, on a CPU too, where torch's SyncBatchNorm refuses."""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from affect4d.models.encoders import ViewEncoder
from affect4d.models.text_encoders import TextEncoder
from affect4d.training.distributed import Ranks


def synchronise_batchnorm(model: nn.Module, ranks: Ranks, device: torch.device) -> None:
    """Replace the encoders' batch normalisations, in place; names of weights stay.

    Everything after the encoders sees the whole batch on every process anyway.
    """
    if ranks.world_size > 1:
        for encoder in [part for part in model.modules() if isinstance(part, ViewEncoder | TextEncoder)]:
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
