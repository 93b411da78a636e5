"""AdamW with a warm-up and a half cosine; what must not decay does not."""

import math

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from affect4d.training.options import TrainOptions

MARGIN = "free_margin"


def build_optimiser(model: nn.Module, options: TrainOptions) -> AdamW:
    """AdamW over the trainable parameters in three groups: weight matrices, undecayed, and the faster margin."""
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    margin = [parameter for name, parameter in trainable.items() if name.endswith(MARGIN)]
    others = {name: parameter for name, parameter in trainable.items() if not name.endswith(MARGIN)}
    decayed = [parameter for name, parameter in others.items() if _decays(name, parameter)]
    undecayed = [parameter for name, parameter in others.items() if not _decays(name, parameter)]
    groups = [
        {"params": decayed, "weight_decay": options.weight_decay},
        {"params": undecayed, "weight_decay": 0.0},
        {"params": margin, "weight_decay": 0.0, "lr": options.margin_rate * options.learning_rate},
    ]
    return AdamW([group for group in groups if group["params"]], lr=options.learning_rate)


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
