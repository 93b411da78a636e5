"""AdamW with parameter groups, warm-up and a half cosine; frozen parameters and gradient clipping."""

import math
import re
from collections import defaultdict

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from affect4d.training.distributed import full_tensor, is_sharded
from affect4d.training.options import TrainOptions

MARGIN = "free_margin"
ENCODERS = ("image.tower.", "text.tower.")

_LAYER = re.compile(r"(?:resblocks|stages|blocks|layers|layer)\.?(\d+)\.")
_BELOW = ("conv1", "bn1", "stem", "patch_embed", "class_embedding", "positional_embedding", "token_embedding", "ln_pre")


def freeze(model: nn.Module, starts: tuple[str, ...]) -> None:
    """Freeze the parameters whose names have one of these prefixes; ``ValueError`` if a prefix names no parameter."""
    names = [name for name, _ in model.named_parameters()]
    for start in starts:
        if not any(name.startswith(start) for name in names):
            parts = sorted({".".join(name.split(".")[:2]) for name in names})
            raise ValueError(
                f"No parameter's name starts with {start!r}, nothing to freeze; parts: {', '.join(parts)}."
            )
    for name, parameter in model.named_parameters():
        if name.startswith(starts):
            parameter.requires_grad_(False)


def build_optimizer(model: nn.Module, options: TrainOptions) -> AdamW:
    """AdamW over the trainable parameters, grouped by weight decay (margin apart) and learning rate."""
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    factors = encoder_rates(list(trainable), options.encoder_rate, options.layer_decay)
    kinds: dict[tuple[int, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in trainable.items():
        kind = 2 if name.endswith(MARGIN) else 0 if _decays(name, parameter) else 1
        kinds[kind, -factors[name]].append(parameter)  # fastest first
    decays = (options.weight_decay, 0.0, 0.0)
    faster = (1.0, 1.0, options.margin_rate)
    groups = [
        {"params": kinds[kind, rate], "weight_decay": decays[kind], "lr": faster[kind] * -rate * options.learning_rate}
        for kind, rate in sorted(kinds)
    ]
    sharded = any(is_sharded(parameter) for parameter in trainable.values())
    return AdamW(groups, lr=options.learning_rate, fused=not sharded)  # one pass over memory instead of a dozen


def encoder_rates(names: list[str], encoder_rate: float, layer_decay: float) -> dict[str, float]:
    """Factor on each parameter's rate: in an encoder ``encoder_rate · layer_decay^(layers above it)``, elsewhere 1."""
    depths = {name: (encoder, _depth(name)) for name in names for encoder in ENCODERS if name.startswith(encoder)}
    top: dict[str, int] = defaultdict(int)
    for encoder, depth in depths.values():
        top[encoder] = max(top[encoder], depth or 0)
    rates = dict.fromkeys(names, 1.0)
    for name, (encoder, depth) in depths.items():
        above = 0 if depth is None else top[encoder] + 1 - depth
        rates[name] = encoder_rate * layer_decay**above
    return rates


def _depth(name: str) -> int | None:
    """0 below the first layer, 1 for the first layer, …; None above the last."""
    found = _LAYER.search(name)
    if found:
        return int(found[1]) + 1
    return 0 if any(f".{part}" in name for part in _BELOW) else None


def _decays(name: str, parameter: nn.Parameter) -> bool:
    """Weight matrices and kernels decay; norms, biases, temperatures, view weights and positions do not."""
    return parameter.ndim >= 2 and "embedding" not in name


def build_schedule(optimizer: Optimizer, steps: int, warmup: float) -> LambdaLR:
    """Linear rise over the share ``warmup`` of the run's steps, then a half cosine to zero."""
    rising = max(1, round(warmup * steps))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    return LambdaLR(optimizer, factor)


def clip_gradients(model: nn.Module, limit: float) -> Tensor:
    """Scale the gradients of a model down to a total norm, where it is larger; returns the norm before."""
    with_gradient = [parameter for parameter in model.parameters() if parameter.grad is not None]
    sharded = [parameter for parameter in with_gradient if is_sharded(parameter.grad)]
    plain = [parameter for parameter in with_gradient if not is_sharded(parameter.grad)]
    if not sharded:
        return _clip_plain(plain, limit)
    norms = [get_total_norm([p.grad for p in group if p.grad is not None]) for group in (sharded, plain)]
    norm: Tensor = torch.stack([full_tensor(part) for part in norms]).norm()
    for group in (sharded, plain):
        clip_grads_with_norm_(group, limit, norm)
    return norm


def _clip_plain(parameters: list[nn.Parameter], limit: float) -> Tensor:
    """As ``clip_grad_norm_``, to the bit; on a CPU, whose result costs no wait, a small gradient is not multiplied."""
    norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
    if norm.is_cuda or not limit / (norm + 1e-6) >= 1:
        clip_grads_with_norm_(parameters, limit, norm)
    return norm
