"""State of a training run, and its checkpoints: atomic, verified, safetensors and JSON only, equal to the last bit."""

import contextlib
import hashlib
import json
import logging
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from affect4d.training.device import encoder_precision, random_state, restore_random_state
from affect4d.training.distributed import (
    SINGLE_PROCESS,
    Ranks,
    full_optimizer_state,
    full_weights,
    load_optimizer_state,
    load_weights,
)
from affect4d.training.gradients_and_optimizer import build_optimizer, build_schedule
from affect4d.training.options import CheckpointOptions, TrainOptions

LOGGER = logging.getLogger(__name__)

MARKER = "checksums.json"
NUMBERS = "state.json"
NOT_MEASURED = "not measured"
_SAVED = ("epoch", "step", "steps_done", "best_loss", "best_epoch", "ended", "history")
"""Fields of a state that a checkpoint holds as they are."""


@dataclass
class TrainingCost:
    """Cost of a run, over all its sessions where it was interrupted."""

    flops_per_sample: float = 0.0  # of forward and backward pass; a multiplication with an addition is two
    samples: int = 0
    seconds: float = 0.0
    waiting_seconds: float = 0.0
    processes: int = 1
    device: str = "cpu"
    peak_bytes: int = 0  # most of one process: on a GPU in this training, on a CPU since it began

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
    """State before ``step`` of ``epoch``; ``history``: terms, gradient_norm and learning_rate of each step taken."""

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
            "random.safetensors": {
                f"{rank}.{kind}": state
                for kind, own in random_state(self.model).items()
                for rank, state in enumerate(ranks.collect(own))
            },
        }
        if self.ema is not None:
            tensors["average.safetensors"] = dict(self.ema.state_dict())
        if self.best:
            tensors["best.safetensors"] = self.best
        numbers = {
            "state": {name: getattr(self, name) for name in _SAVED},
            "cost": vars(self.cost),
            "optimizer_groups": groups,
            "schedule": {key: value for key, value in self.schedule.state_dict().items() if key != "lr_lambdas"},
            "scaler": self.scaler.state_dict(),
            "validation": sorted(self.validation.items()),
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
        for name in _SAVED:
            setattr(self, name, numbers["state"][name])
        self.cost = TrainingCost(**numbers["cost"])
        self.best = dict(tensors.get("best.safetensors", {}))
        self.validation = {int(epoch): loss for epoch, loss in numbers["validation"]}
        states = tensors["random.safetensors"]  # a process that did not exist when saving keeps its own
        own = f"{ranks.rank}."
        restore_random_state(
            {name.removeprefix(own): state for name, state in states.items() if name.startswith(own)}, self.model
        )


class DamagedCheckpointError(ValueError):
    """A checkpoint is damaged or belongs to another run; says which file and why."""


@dataclass(frozen=True)
class CheckpointFolder:
    """Checkpoints of one run (``identity``): ``step-00000120/`` with tensors, numbers and, last, their checksums."""

    root: Path
    identity: Mapping[str, str]
    keep: int = 2

    def save(self, step: int, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, whole or not at all, whenever the machine stops."""
        target = self.root / f"step-{step:08d}"
        partial = target.with_suffix(".partial")
        for leftover in (partial, target):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, tensors in checkpoint.tensors.items():
            save_file({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}, partial / name)
        numbers = {"identity": dict(self.identity), "step": step, **checkpoint.numbers}
        (partial / NUMBERS).write_text(json.dumps(numbers))
        checksums = {file.name: _digest(file) for file in sorted(partial.iterdir())}
        (partial / MARKER).write_text(json.dumps(checksums, indent=1))
        for file in (*partial.iterdir(), partial):
            _sync(file)
        partial.rename(target)
        _sync(self.root)
        for old in list(self._folders())[self.keep :]:
            shutil.rmtree(old, ignore_errors=True)
        return target

    def newest(self) -> Checkpoint | None:
        """The newest valid checkpoint of this run, or None; the log says why others were skipped."""
        for folder in self._folders():
            try:
                return self.load(folder)
            except (DamagedCheckpointError, OSError, SafetensorError, json.JSONDecodeError) as error:
                LOGGER.warning("Checkpoint %s is skipped: %s", folder.name, error)
        return None

    def load(self, folder: Path) -> Checkpoint:
        """Read one checkpoint; ``DamagedCheckpointError`` if a file is missing or changed, or it is another run's."""
        marker = folder / MARKER
        if not marker.exists():
            raise DamagedCheckpointError(f"{marker.name} is missing: it was never finished.")
        for name, digest in json.loads(marker.read_text()).items():
            file = folder / name
            if not file.exists():
                raise DamagedCheckpointError(f"{name} is missing.")
            if _digest(file) != digest:
                raise DamagedCheckpointError(f"{name} is damaged (its checksum differs).")
        numbers = json.loads((folder / NUMBERS).read_text())
        for what, digest in self.identity.items():
            if numbers["identity"].get(what) != digest:
                raise DamagedCheckpointError(f"it belongs to a run with another {what}.")
        return Checkpoint({file.name: load_file(file) for file in folder.glob("*.safetensors")}, numbers)

    def _folders(self) -> Iterator[Path]:
        """Newest first."""
        yield from sorted((folder for folder in self.root.glob("step-????????") if folder.is_dir()), reverse=True)


class TrainingInterruptedError(RuntimeError):
    """Training was told to stop and has saved its state: the same command resumes it."""


class CheckpointPolicy:
    """Decides when to save and to stop; all processes must call its methods alike, the first one writes."""

    def __init__(
        self,
        folder: CheckpointFolder | None = None,
        options: CheckpointOptions | None = None,
        ranks: Ranks = SINGLE_PROCESS,
    ) -> None:
        self._folder, self._options, self._ranks = folder, options or CheckpointOptions(), ranks
        self._stop = False
        self._saved = time.monotonic()

    def resume(self, state: TrainingState) -> bool:
        """Restore the newest valid checkpoint; False if there is none."""
        checkpoint = None if self._folder is None else self._folder.newest()
        if checkpoint is None:
            return False
        state.restore(checkpoint, self._ranks)
        if self._ranks.first:
            LOGGER.info("Training resumes at %s.", state.where)
        return True

    def stop(self) -> None:
        """Request to stop after the current step."""
        self._stop = True

    def requests(self) -> tuple[bool, bool]:
        """This process was told to stop; it is time to save."""
        due = time.monotonic() - self._saved >= 60 * self._options.checkpoint_minutes
        return self._stop, self._folder is not None and due and self._ranks.first

    def apply(self, state: TrainingState, stop: bool, save: bool) -> None:
        """Save and stop if any process requested it; to stop is :class:`TrainingInterruptedError`, after saving."""
        if stop or save:
            self.save(state)
        if stop:
            saved = "nothing was saved" if self._folder is None else "run the same command again to resume"
            raise TrainingInterruptedError(f"Training stopped at {state.where}: {saved}.")

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint."""
        if self._folder is not None:
            checkpoint = state.to_checkpoint(self._ranks)
            if self._ranks.first:
                self._folder.save(state.steps_done, checkpoint)
        self._saved = time.monotonic()


@contextlib.contextmanager
def handling_sigterm(stop: Callable[[], None]) -> Iterator[None]:
    """Call a function on SIGTERM inside the block; only a program's main thread can receive it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _sync(path: Path) -> None:
    with contextlib.suppress(PermissionError):  # some systems cannot open a folder
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
