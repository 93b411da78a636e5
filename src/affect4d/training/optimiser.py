"""AdamW with a warm-up and a half cosine; what must not decay does not, what is pretrained may learn more slowly."""

import math
import re
from collections import defaultdict

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from affect4d.training.options import TrainOptions
from affect4d.training.processes.sharding import is_spread

MARGIN = "free_margin"
TOWERS = ("image.tower.", "text.tower.")

_LAYER = re.compile(r"(?:resblocks|stages|blocks|layers|layer)\.?(\d+)\.")
_BELOW = ("conv1", "bn1", "stem", "patch_embed", "class_embedding", "positional_embedding", "token_embedding", "ln_pre")


def freeze(model: nn.Module, starts: tuple[str, ...]) -> None:
    """Keep the parameters whose names start so as they are.

    Raises:
        ValueError: If no parameter's name starts so; the message lists the model's parts.
    """
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


def build_optimiser(model: nn.Module, options: TrainOptions) -> AdamW:
    """AdamW over the trainable parameters in groups: weight matrices, undecayed, the faster margin; by their rate."""
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    slowness = tower_rates(list(trainable), options.tower_rate, options.layer_decay)
    kinds: dict[tuple[int, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in trainable.items():
        kind = 2 if name.endswith(MARGIN) else 0 if _decays(name, parameter) else 1
        kinds[kind, -slowness[name]].append(parameter)  # fastest first
    decays = (options.weight_decay, 0.0, 0.0)
    faster = (1.0, 1.0, options.margin_rate)
    groups = [
        {"params": kinds[kind, rate], "weight_decay": decays[kind], "lr": faster[kind] * -rate * options.learning_rate}
        for kind, rate in sorted(kinds)
    ]
    spread = any(is_spread(parameter) for parameter in trainable.values())
    return AdamW(groups, lr=options.learning_rate, fused=not spread)  # one pass over memory instead of a dozen


def tower_rates(names: list[str], tower_rate: float, layer_decay: float) -> dict[str, float]:
    """Factor on each parameter's rate: in a tower ``tower_rate · layer_decay^(layers above it)``, elsewhere 1."""
    depths = {name: (tower, _depth(name)) for name in names for tower in TOWERS if name.startswith(tower)}
    top: dict[str, int] = defaultdict(int)
    for tower, depth in depths.values():
        top[tower] = max(top[tower], depth or 0)
    rates = dict.fromkeys(names, 1.0)
    for name, (tower, depth) in depths.items():
        above = 0 if depth is None else top[tower] + 1 - depth
        rates[name] = tower_rate * layer_decay**above
    return rates


def _depth(name: str) -> int | None:
    """0 for what stands below the first layer, 1 for the first layer, …; None for what stands above the last."""
    found = _LAYER.search(name)
    if found:
        return int(found[1]) + 1
    return 0 if any(f".{part}" in name for part in _BELOW) else None


def _decays(name: str, parameter: nn.Parameter) -> bool:
    """Weight matrices and kernels decay; norms, biases, temperatures, view weights and positions do not."""
    return parameter.ndim >= 2 and "embedding" not in name


def build_schedule(optimiser: Optimizer, steps: int, warmup: float) -> LambdaLR:
    """Linear rise over a share of the steps, then a half cosine to zero.

    Args:
        optimiser: Whose rates are scaled.
        steps: Of the whole run.
        warmup: Share of them, 0…1.
    """
    rising = max(1, round(warmup * steps))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    return LambdaLR(optimiser, factor)
