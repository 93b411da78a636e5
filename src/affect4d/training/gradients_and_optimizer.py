"""Gradients of a (partitioned, distributed) training step, AdamW and its schedule, and guards of finite steps."""

import contextlib
import math
import re
import statistics
import warnings
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from affect4d.training.batch_loader import split_batch
from affect4d.training.device import random_state, restore_random_state
from affect4d.training.distributed import Ranks, full_tensor, is_sharded
from affect4d.training.objectives import (
    ObjectiveValue,
    TrainedModel,
    TrainingTask,
    join_outputs,
    map_outputs,
    output_tensors,
)
from affect4d.training.options import TrainOptions

ENCODERS = ("image.tower.", "text.tower.")
WINDOW = 100  # steps over which the usual gradient norm is computed
EXPLOSION = 100.0  # factor over the usual gradient norm that is reported
OVERFLOWS = 32
"""Overflowing scaled gradients in a row that end a run: each halves the scale, which from 65,536 is then nothing."""

_LAYER = re.compile(r"(?:resblocks|stages|blocks|layers|layer)\.?(\d+)\.")
_BELOW = ("conv1", "bn1", "stem", "patch_embed", "class_embedding", "positional_embedding", "token_embedding", "ln_pre")


def compute_gradients(
    model: TrainedModel,
    batch: Any,
    task: TrainingTask[TrainedModel, Any],
    *,
    total: int,
    parts: int,
    scaler: GradScaler,
    ranks: Ranks,
) -> ObjectiveValue:
    """Leave the whole batch's (scaled) gradient in the parameters; ``batch``, in ``parts``, is a share of ``total``."""
    if parts == 1:
        value = task.objective(model, ranks.gather(task.encode(model, batch), total))
        scaler.scale(value.loss).backward()  # type: ignore[no-untyped-call]
    else:
        value = _accumulate(model, split_batch(batch, parts), task, total, scaler, ranks)
    ranks.average_gradients(model)
    return value


def _accumulate(
    model: TrainedModel,
    parts: list[Any],
    task: TrainingTask[TrainedModel, Any],
    total: int,
    scaler: GradScaler,
    ranks: Ranks,
) -> ObjectiveValue:
    """Gradient caching (Gao et al. 2021): the loss of all parts together, then each part's share of its gradient.

    The encoders run twice: without gradients, to get the outputs of the whole batch, then part by part with the
    gradient of the loss with respect to these. Random numbers (dropout) are the same both times.
    """
    states: list[dict[str, Tensor]] = []
    with torch.no_grad(), kept_statistics(model):
        detached = []
        for part in parts:
            states.append(random_state(model))
            detached.append(task.encode(model, part))
    leaves = map_outputs(join_outputs(detached), lambda tensor: tensor.requires_grad_(tensor.is_floating_point()))
    value = task.objective(model, ranks.gather(leaves, total))
    scaler.scale(value.loss).backward()  # type: ignore[no-untyped-call]
    end = 0
    for part, state in zip(parts, states, strict=True):
        restore_random_state(state, model)
        start, end = end, end + len(part.sequences)
        pairs = [
            (output, leaf.grad[start:end])
            for output, leaf in zip(output_tensors(task.encode(model, part)), output_tensors(leaves), strict=True)
            if leaf.grad is not None and output.requires_grad
        ]
        torch.autograd.backward([output for output, _ in pairs], [gradient for _, gradient in pairs])
    return value


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
        decays = parameter.ndim >= 2 and "embedding" not in name  # norms, biases, learnt scalars and positions do not
        kind = 2 if name.endswith("free_margin") else 0 if decays else 1
        kinds[kind, -factors[name]].append(parameter)  # fastest first
    weight_decays = (options.weight_decay, 0.0, 0.0)
    faster = (1.0, 1.0, options.margin_rate)
    lr = options.learning_rate
    groups = [
        {"params": kinds[kind, rate], "weight_decay": weight_decays[kind], "lr": faster[kind] * -rate * lr}
        for kind, rate in sorted(kinds)
    ]
    sharded = any(is_sharded(parameter) for parameter in trainable.values())
    return AdamW(groups, lr=lr, fused=not sharded)  # one pass over memory instead of a dozen


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
    if not sharded:  # as clip_grad_norm_, to the bit; on a CPU, small gradients are not multiplied by 1
        norm: Tensor = get_total_norm([p.grad for p in plain if p.grad is not None])
        if norm.is_cuda or not limit / (norm + 1e-6) >= 1:
            clip_grads_with_norm_(plain, limit, norm)
        return norm
    norms = [get_total_norm([p.grad for p in group if p.grad is not None]) for group in (sharded, plain)]
    norm = torch.stack([full_tensor(part) for part in norms]).norm()
    for group in (sharded, plain):
        clip_grads_with_norm_(group, limit, norm)
    return norm


class NonFiniteLossError(ArithmeticError):
    """Too many steps in a row were not finite; names epoch, step, terms, and the sequences of the last batch."""


class BatchTooLargeError(RuntimeError):
    """A batch does not fit into memory."""


class NormStatistics:
    """Running statistics of a model's batch normalisations, to restore them if a step is skipped."""

    def __init__(self, model: nn.Module) -> None:
        norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
        self._buffers = [buffer for norm in norms for buffer in norm.buffers(recurse=False)]
        self._saved = [buffer.clone() for buffer in self._buffers]

    @torch.no_grad()
    def save(self) -> None:
        """Copy them."""
        for saved, buffer in zip(self._saved, self._buffers, strict=True):
            saved.copy_(buffer)

    @torch.no_grad()
    def restore(self) -> None:
        """Set them as they were when last saved."""
        for saved, buffer in zip(self._saved, self._buffers, strict=True):
            buffer.copy_(saved)


@contextlib.contextmanager
def kept_statistics(model: nn.Module) -> Iterator[None]:
    """Forward passes inside the block leave running statistics unchanged."""
    running = NormStatistics(model)
    try:
        yield
    finally:
        running.restore()


@contextlib.contextmanager
def explained_out_of_memory(samples: int, parts: int) -> Iterator[None]:
    """Turn CUDA's out-of-memory error into :class:`BatchTooLargeError` with remedies."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        tried = f"A batch of {samples} samples does not fit into memory" + (f" in {parts} parts" if parts > 1 else "")
        raise BatchTooLargeError(
            f"{tried}: set accumulate={2 * parts} (the loss still sees the whole batch), lower batch_size, or use more "
            "processes."
        ) from error


class FiniteGuard:
    """Skips steps that are not finite, with a warning that names the batch; ends the run after ``limit`` in a row."""

    def __init__(self, limit: int, sequence_names: Sequence[str]) -> None:
        self._limit, self._names = limit, sequence_names
        self._in_a_row = 0
        self._overflows = 0
        self._norms: deque[float] = deque(maxlen=WINDOW)

    def accepts(self, terms: Mapping[str, float], sequences: Tensor, where: str, scaled: bool = False) -> bool:
        """Decide if a step may be taken.

        Where the loss is scaled for float16, the scaler itself skips gradients that overflow. It is a
        ``NonFiniteLossError`` if this step is one non-finite step too many, or no scale is small enough.
        """
        checked = [terms["loss"]] if scaled else [terms["loss"], terms["gradient_norm"]]
        if all(abs(number) < float("inf") for number in checked):
            self._in_a_row = 0
            if not (scaled and self._overflowed(terms["gradient_norm"], where)):
                self._warn_of_explosion(terms["gradient_norm"], sequences, where)
            return True
        self._in_a_row += 1
        values = ", ".join(f"{name} {number:.4g}" for name, number in terms.items())
        message = f"The loss or its gradient is not finite at {where} ({values}). {self._list(sequences)}"
        if self._in_a_row >= self._limit:
            raise NonFiniteLossError(
                f"{message} That makes {self._in_a_row} in a row; the weights are those before them. Lower the "
                "learning rate, or set precision to float32."
            )
        warnings.warn(f"{message} The step is skipped.", stacklevel=2)
        return False

    def _overflowed(self, norm: float, where: str) -> bool:
        """A scaled gradient is not finite: the scaler skips the step and tries a smaller scale."""
        self._overflows = 0 if abs(norm) < float("inf") else self._overflows + 1
        if self._overflows >= OVERFLOWS:
            raise NonFiniteLossError(
                f"The gradient in float16 is not finite at {where}, for the {self._overflows}th time in a row, at ever "
                "smaller scales; the weights are those before them. Set precision to bfloat16 or float32."
            )
        return self._overflows > 0

    def _warn_of_explosion(self, norm: float, sequences: Tensor, where: str) -> None:
        usual = statistics.median(self._norms) if len(self._norms) >= WINDOW // 10 else None
        if usual and norm > EXPLOSION * usual:
            warnings.warn(
                f"The gradient at {where} is {norm / usual:.0f} times as large as usual ({norm:.3g}); it is clipped. "
                f"{self._list(sequences)}",
                stacklevel=3,
            )
        self._norms.append(norm)

    def _list(self, sequences: Tensor) -> str:
        names = sorted({self._names[place] for place in sequences.tolist()})
        return f"Sequences of the batch: {', '.join(names)}."
