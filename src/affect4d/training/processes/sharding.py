"""Weights spread over processes (FSDP), and whole again for a checkpoint; where nothing is spread, plain state."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from affect4d.models.encoders import TextEncoder, ViewEncoder

_OF_THIS_RUN = {"params", "fused"}
"""What an optimiser's group holds that is no part of its state: a run that goes on elsewhere has its own."""
_LAYERS = ("resblocks", "stages", "blocks", "layers")


def shard_towers(model: nn.Module, device: torch.device) -> None:
    """Spread the towers' weights over all processes, layer by layer; a layer is whole only while it computes.

    Gradients of what is spread are averaged by FSDP itself, those of the rest by
    :meth:`affect4d.training.processes.ranks.Ranks.average_gradients`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    encoders = [part for part in model.modules() if isinstance(part, ViewEncoder | TextEncoder)]
    for tower in (encoder.tower for encoder in encoders):
        frozen = {parameter for parameter in tower.parameters() if not parameter.requires_grad}
        for layer in _layers(tower):
            fully_shard(layer, mesh=mesh)
        fully_shard(tower, mesh=mesh, ignored_params=frozen)


def _layers(tower: nn.Module) -> Sequence[nn.Module]:
    lists = [child for name, child in tower.named_modules() if name.rsplit(".", 1)[-1] in _LAYERS]
    return [layer for layers in lists for layer in layers.children()]


def is_spread(tensor: Tensor) -> bool:
    """Whether this process holds only its part of it."""
    return hasattr(tensor, "full_tensor")  # a DTensor, whose module is not worth importing otherwise


def whole(tensor: Any) -> Tensor:
    """A tensor with all its parts; all processes take part."""
    together: Tensor = tensor.full_tensor() if is_spread(tensor) else tensor
    return together


@torch.no_grad()
def full_weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of parameters and buffers on the CPU, whole."""
    return {name: whole(tensor).detach().cpu().clone() for name, tensor in model.state_dict().items()}


@torch.no_grad()
def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put whole weights into a model, spread or not.

    Raises:
        KeyError: If one is missing.
    """
    for name, tensor in model.state_dict().items():
        _fill(tensor, weights[name])


def full_optimiser_state(model: nn.Module, optimiser: Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """An optimiser's tensors by ``parameter|quantity``, whole, and its groups' numbers."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    tensors = {
        f"{names[parameter]}|{quantity}": whole(value).detach().cpu().clone()
        for parameter, state in optimiser.state.items()
        for quantity, value in state.items()
    }
    groups = [
        {key: value for key, value in group.items() if key not in _OF_THIS_RUN} for group in optimiser.param_groups
    ]
    return tensors, groups


@torch.no_grad()
def load_optimiser_state(
    model: nn.Module, optimiser: Optimizer, tensors: Mapping[str, Tensor], groups: Sequence[Mapping[str, Any]]
) -> None:
    """Put an optimiser's whole state back; every tensor gets the layout of its parameter, as it had."""
    parameters = dict(model.named_parameters())
    for name, value in tensors.items():
        parameter, quantity = name.rsplit("|", 1)
        owner = parameters[parameter]
        if quantity == "step":  # a fused AdamW wants it beside the parameter
            mine = value.to(owner.device if optimiser.defaults["fused"] else "cpu", copy=True)
        else:
            mine = torch.empty_like(owner, dtype=value.dtype)
            _fill(mine, value)
        optimiser.state[owner][quantity] = mine
    for group, numbers in zip(optimiser.param_groups, groups, strict=True):
        group.update({key: tuple(value) if isinstance(value, list) else value for key, value in numbers.items()})


def _fill(target: Any, value: Tensor) -> None:
    """Copy whole values into a tensor, or into this process's part of one."""
    if is_spread(target):
        from torch.distributed.tensor import distribute_tensor

        target.copy_(distribute_tensor(value.to(target.device), target.device_mesh, target.placements))
    else:
        target.copy_(value)
