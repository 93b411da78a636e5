"""State of a training run: everything that changes, and its way into a checkpoint and back, to the last bit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from affect4d.training.device import encoder_precision
from affect4d.training.distributed import (
    Ranks,
    full_optimizer_state,
    full_weights,
    load_optimizer_state,
    load_weights,
)
from affect4d.training.optimizer import build_optimizer, build_schedule
from affect4d.training.options import TrainOptions

NOT_MEASURED = "not measured"


@dataclass
class TrainingCost:
    """Cost of a run, over all its sessions where it was interrupted.

    Operations are those of forward and backward pass, a multiplication with an addition being two. ``peak_bytes`` is
    the most memory one process held: on a GPU in this training, on a CPU since the process began.
    """

    flops_per_sample: float = 0.0
    samples: int = 0
    seconds: float = 0.0
    waiting_seconds: float = 0.0
    processes: int = 1
    device: str = "cpu"
    peak_bytes: int = 0

    def summary(self) -> dict[str, float | str]:
        """Rounded figures for the report and MLflow."""
        return {
            "gflops_per_sample": round(self.flops_per_sample / 1e9, 4),
            "tflops_in_all": round(self.flops_per_sample * self.samples / 1e12, 3),
            "samples_per_second": round(self.samples / self.seconds, 1) if self.seconds else NOT_MEASURED,
            "waiting_share": round(self.waiting_seconds / self.seconds, 4) if self.seconds else NOT_MEASURED,
            "device": self.device,
            "peak_gib": round(self.peak_bytes / 2**30, 3),
        }


@dataclass(frozen=True)
class Checkpoint:
    """A saved state: tensors by file and name, and everything else as JSON."""

    tensors: Mapping[str, Mapping[str, Tensor]]
    numbers: Mapping[str, Any]


@dataclass
class TrainingState:
    """State of a training run.

    ``step`` is the next of the current ``epoch``. ``history`` has a row for each step taken: epoch, step, every term,
    gradient_norm, learning_rate. The scaler is enabled for float16 only.
    """

    model: nn.Module
    optimizer: AdamW
    schedule: LambdaLR
    scaler: GradScaler
    ema: AveragedModel | None = None
    epoch: int = 0
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_loss: float = float("inf")
    best_epoch: int = -1
    validation: dict[int, float] = field(default_factory=dict)
    ended: bool = False
    steps_done: int = 0
    cost: TrainingCost = field(default_factory=TrainingCost)

    @classmethod
    def initial(cls, model: nn.Module, options: TrainOptions, steps: int, device: torch.device) -> "TrainingState":
        """The state before the first step."""
        optimizer = build_optimizer(model, options)
        scaler = GradScaler(device.type, enabled=encoder_precision(options, device) == torch.float16)
        ema = None
        if options.ema_decay:
            ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(options.ema_decay))  # type: ignore[no-untyped-call]
        return cls(model, optimizer, build_schedule(optimizer, steps, options.warmup), scaler, ema)

    @property
    def where(self) -> str:
        """Position, for messages."""
        return f"epoch {self.epoch}, step {self.step}"

    def take_step(self, terms: dict[str, float]) -> None:
        """Step along the (clipped, unscaled) gradients, and record the step."""
        if not math.isfinite(terms["gradient_norm"]):  # it overflowed in float16: the scaler tries a smaller scale
            self.scaler.update()
            return
        rate = float(self.schedule.get_last_lr()[0])
        self.history.append({"epoch": self.epoch, "step": self.step, **terms, "learning_rate": rate})
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        if self.ema is not None:
            self.ema.update_parameters(self.model)

    def next_step(self, samples: int) -> None:
        """Advance past a step, taken or skipped."""
        self.step += 1
        self.steps_done += 1
        self.cost.samples += samples

    def next_epoch(self) -> None:
        """Advance to the next epoch."""
        self.epoch += 1
        self.step = 0

    def epoch_means(self, epoch: int) -> dict[str, float]:
        """Mean of every term over the steps of an epoch, and its validation loss where there is one."""
        rows = [row for row in self.history if row["epoch"] == epoch]
        terms = [name for name in rows[0] if name not in ("epoch", "step")] if rows else []
        means = {name: sum(row[name] for row in rows) / len(rows) for name in terms}
        return {**means, "validation_loss": self.validation[epoch]} if epoch in self.validation else means

    @property
    def evaluated(self) -> nn.Module:
        """The model to validate: the average where there is one."""
        return self.model if self.ema is None else self.ema.module

    def finish(self) -> None:
        """Load the result into the model: the best epoch's weights, else the average's, else its own."""
        weights = self.best or ({} if self.ema is None else full_weights(self.ema.module))
        if weights:
            load_weights(self.model, weights)
        self.model.eval()

    def to_checkpoint(self, ranks: Ranks) -> Checkpoint:
        """The state as tensors and numbers; all processes must call this."""
        optimizer, groups = full_optimizer_state(self.model, self.optimizer)
        tensors = {
            "model.safetensors": full_weights(self.model),
            "optimizer.safetensors": optimizer,
            "random.safetensors": _random_states(self.model, ranks),
        }
        if self.ema is not None:
            tensors["average.safetensors"] = dict(self.ema.state_dict())
        if self.best:
            tensors["best.safetensors"] = self.best
        schedule = {key: value for key, value in self.schedule.state_dict().items() if key != "lr_lambdas"}
        numbers = {
            "position": [self.epoch, self.step, self.steps_done],
            "cost": vars(self.cost),
            "optimizer_groups": groups,
            "schedule": schedule,
            "scaler": self.scaler.state_dict(),
            "best": [self.best_loss, self.best_epoch],
            "validation": sorted(self.validation.items()),
            "ended": self.ended,
            "history": self.history,
            "processes": ranks.world_size,
        }
        return Checkpoint(tensors, numbers)

    def restore(self, checkpoint: Checkpoint, ranks: Ranks) -> None:
        """Continue from a checkpoint, as if it had never stopped."""
        tensors, numbers = checkpoint.tensors, checkpoint.numbers
        load_weights(self.model, tensors["model.safetensors"])
        load_optimizer_state(self.model, self.optimizer, tensors["optimizer.safetensors"], numbers["optimizer_groups"])
        self.schedule.load_state_dict({**numbers["schedule"], "lr_lambdas": [None] * len(self.optimizer.param_groups)})
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(numbers["scaler"])
        if self.ema is not None:
            self.ema.load_state_dict(tensors["average.safetensors"])
        self.epoch, self.step, self.steps_done = numbers["position"]
        self.cost = TrainingCost(**numbers["cost"])
        self.best = dict(tensors.get("best.safetensors", {}))
        self.best_loss, self.best_epoch = numbers["best"]
        self.validation = {int(epoch): loss for epoch, loss in numbers["validation"]}
        self.ended, self.history = numbers["ended"], list(numbers["history"])
        _restore_random_states(tensors["random.safetensors"], self.model, ranks)


def _random_states(model: nn.Module, ranks: Ranks) -> dict[str, Tensor]:
    """States of every process's random generators, which dropout uses."""
    states = {"cpu": torch.get_rng_state()}
    if _on_gpu(model):
        states["cuda"] = torch.cuda.get_rng_state()
    return {f"{rank}.{kind}": state for kind in states for rank, state in enumerate(ranks.collect(states[kind]))}


def _restore_random_states(states: Mapping[str, Tensor], model: nn.Module, ranks: Ranks) -> None:
    """Restore the generators; a process that did not exist when saving keeps its own."""
    if f"{ranks.rank}.cpu" in states:
        torch.set_rng_state(states[f"{ranks.rank}.cpu"])
    if f"{ranks.rank}.cuda" in states and _on_gpu(model):
        torch.cuda.set_rng_state(states[f"{ranks.rank}.cuda"])


def _on_gpu(model: nn.Module) -> bool:
    return any(parameter.is_cuda for parameter in model.parameters())
