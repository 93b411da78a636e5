"""Training in processes of their own: the job folder they read, and torchrun, followed from the program that starts it.

A job folder is everything that processes need to train, on this machine or carried to another (``cp -rL``):
``job.json``, ``train.safetensors`` (and ``validation.safetensors``), ``bank.safetensors`` (a link to the view bank),
``start`` (a link to the model that training starts from), and the results: ``progress.jsonl``, ``checkpoints/``,
``logs/``, ``result/``.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import torch
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python
from safetensors import safe_open
from torch import Tensor

from affect4d.models import load_model
from affect4d.training.batch_loader import SampleSplits, load_samples, save_samples
from affect4d.training.objectives import METHODS
from affect4d.training.options import CheckpointOptions, DistributedOptions, TrainingRecipe
from affect4d.training.state_and_checkpoints import TrainingInterruptedError, handling_sigterm
from affect4d.training.trainer import EpochCallback, StepCallback

JOB, TRAIN, VALIDATION, BANK = "job.json", "train.safetensors", "validation.safetensors", "bank.safetensors"
START = "start"
PROGRESS, LOGS, RESULT, CHECKPOINTS = "progress.jsonl", "logs", "result", "checkpoints"
POLL_SECONDS = 0.2
SHUTDOWN_SECONDS = 60  # time workers have, when told to stop, to finish their step and save
PACKAGES = Path(__file__).parents[2]
"""Folder of this package, for workers that do not have it installed."""
SIGNALLED = "torch.distributed.elastic.multiprocessing.api.SignalException"
"""Error of torchrun itself when it is told to stop."""
LOST_PEER = ("closed by peer", "reset by peer", "remote process exited")
"""Parts of errors that only follow from the failure of another process."""

_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


@dataclass(frozen=True)
class StoredImages:
    """A view bank's images, memory-mapped; see :class:`affect4d.views.batch_augmentation_and_motion.ImageBank`."""

    images: Tensor
    neutral: Tensor
    views: tuple[str, ...]


@dataclass(frozen=True)
class TrainingJob:
    """A training run that processes of their own can carry out; ``identity`` are digests of configuration and data."""

    method: str
    recipe: TrainingRecipe
    views: tuple[str, ...]
    sequence_names: tuple[str, ...]
    identity: Mapping[str, str]
    checkpoints: CheckpointOptions
    distributed: DistributedOptions

    def save(self, folder: Path, samples: SampleSplits, bank: Path) -> None:
        """Write the job; ``job.json`` comes last, so that a job that is found is complete."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in (JOB, PROGRESS, VALIDATION, BANK, START):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / RESULT, ignore_errors=True)
        save_samples(samples.train, folder / TRAIN)
        if samples.validation is not None:
            save_samples(samples.validation, folder / VALIDATION)
        (folder / BANK).symlink_to(bank.resolve())
        if self.recipe.start is not None:
            (folder / START).symlink_to(self.recipe.start.folder.resolve())
        partial = folder / f"{JOB}.partial"
        partial.write_text(json.dumps(to_jsonable_python(self), indent=1))
        partial.rename(folder / JOB)

    @classmethod
    def load(cls, folder: Path) -> "TrainingJob":
        """Read a job; ``FileNotFoundError`` if the folder holds none."""
        values: dict[str, Any] = json.loads((folder / JOB).read_text())
        recipe = TrainingRecipe.from_dict(values["recipe"], METHODS[values["method"]].options)
        if recipe.start is not None:
            recipe = replace(recipe, start=recipe.start.model_copy(update={"folder": folder / START}))
        return TypeAdapter(cls).validate_python({**values, "recipe": recipe})

    def load_samples(self, folder: Path) -> SampleSplits:
        """Training and validation samples."""
        validation = folder / VALIDATION
        return SampleSplits(load_samples(folder / TRAIN), load_samples(validation) if validation.exists() else None)

    def open_images(self, folder: Path) -> StoredImages:
        """Images of the view bank."""
        with safe_open(folder / BANK, framework="pt") as file:
            return StoredImages(file.get_tensor("images"), file.get_tensor("neutral"), self.views)


def find_job(folder: Path) -> Path:
    """The folder itself where it is a job, else the newest job below it; ``FileNotFoundError`` if there is none."""
    found = []
    for file in folder.rglob(JOB):
        with contextlib.suppress(FileNotFoundError):  # a finished job is removed meanwhile
            found.append((file.stat().st_mtime, file.parent))
    if not found:
        raise FileNotFoundError(f"There is no training job in {folder}: the first host has not started one yet.")
    return max(found)[1]


class TrainingFailedError(RuntimeError):
    """A process failed, and failed again after every restart; carries the traceback of the first one."""


def launch(folder: Path, on_epoch: EpochCallback, on_step: StepCallback) -> tuple[Any, dict[str, Any]]:
    """Carry out a job in processes of their own, and wait for its end.

    Every epoch is reported once, also where processes were restarted and trained it twice; steps about twice a second.
    However this call ends, no process is left behind.

    Returns:
        The trained model, on the CPU; and its ``history``, ``cost`` and ``validation`` (the loss by epoch).

    Raises:
        TrainingFailedError: If a process failed too often.
        TrainingInterruptedError: If the processes were told to stop; they have saved.
    """
    job, started = TrainingJob.load(folder), time.time()
    processes, gpus = job.distributed.processes, torch.cuda.device_count()
    if job.recipe.train.device != "cpu" and torch.cuda.is_available() and processes > gpus:
        raise ValueError(f"{processes} processes want a GPU each, this host has {gpus}.")
    progress = _ProgressReader(folder / PROGRESS, on_epoch, on_step)
    with (
        _log_file(folder).open("wb") as log,
        _torchrun(job, folder, log) as torchrun,
        handling_sigterm(torchrun.terminate),
    ):
        while torchrun.poll() is None:
            progress.read()
            with contextlib.suppress(subprocess.TimeoutExpired):
                torchrun.wait(POLL_SECONDS)
        progress.read()
    if torchrun.returncode:
        failure = first_failure(folder, started)
        if TrainingInterruptedError.__name__ in failure or SIGNALLED in failure:
            raise TrainingInterruptedError("Training was told to stop: run the same command again to resume.")
        raise TrainingFailedError(
            f"{failure}\nThe output of every process is in {folder / LOGS}, torchrun's in {_log_file(folder)}."
        )
    state: dict[str, Any] = json.loads((folder / RESULT / "state.json").read_text())
    return load_model(folder / RESULT), state


def torchrun_command(job: TrainingJob, folder: Path) -> list[str]:
    """Command that trains a job on this host, where all hosts meet; see docs/training.md for the other hosts'."""
    options, seconds = job.distributed, int(60 * job.distributed.timeout_minutes)
    endpoint = options.endpoint or "127.0.0.1:0"
    torchrun = {
        "nnodes": options.hosts,
        "nproc-per-node": options.processes,
        "rdzv-id": "affect4d",
        "rdzv-backend": "c10d",
        "rdzv-endpoint": endpoint,
        "rdzv-conf": f"is_host=1,join_timeout={seconds}",
        "local-addr": endpoint.rpartition(":")[0],
        "max-restarts": options.restarts,
        "shutdown-timeout": SHUTDOWN_SECONDS,
        "log-dir": folder / LOGS,
        "redirects": 3,
    }
    arguments = [f"--{name}={value}" for name, value in torchrun.items()]
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        *arguments,
        "-m",
        "affect4d.training.torchrun_worker",
        str(folder),
    ]


@contextlib.contextmanager
def _torchrun(job: TrainingJob, folder: Path, log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Torchrun with this host's workers, ended with the block; a new store, since a shared one keeps dead addresses."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PACKAGES), os.environ.get("PYTHONPATH", "")])),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    process = subprocess.Popen(
        torchrun_command(job, folder),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=environment,
        start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the others in order
        preexec_fn=end_with_parent,  # noqa: PLW1509  (one system call)
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2 * SHUTDOWN_SECONDS)
        if process.poll() is None:
            process.kill()


class _ProgressReader:
    """Calls back for the lines that the first worker has written since the last read."""

    def __init__(self, path: Path, on_epoch: EpochCallback, on_step: StepCallback) -> None:
        self._path, self._on_epoch, self._on_step = path, on_epoch, on_step
        self._position = 0
        self._next_epoch = 0

    def read(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._position)
            *lines, _ = file.read().split(b"\n")
        for line in lines:
            self._position += len(line) + 1
            self._call(json.loads(line))

    def _call(self, values: dict[str, Any]) -> None:
        if "terms" not in values:
            self._on_step(values["done"], values["loss"], values["samples"])
        elif values["epoch"] >= self._next_epoch:
            self._next_epoch = values["epoch"] + 1
            self._on_epoch(values["epoch"], values["terms"])


def first_failure(folder: Path, started: float = 0.0) -> str:
    """Traceback of the worker that failed first since a time (not of losing a peer), else the end of torchrun's log."""
    failures = []
    for file in (folder / LOGS).glob("*/attempt_*/*/error.json"):
        if file.stat().st_mtime >= started:
            message = json.loads(file.read_text())["message"]
            traceback = message["extraInfo"]["py_callstack"]
            lost_peer = any(words in traceback for words in LOST_PEER)
            attempt = -int(file.parents[1].name.removeprefix("attempt_"))
            failures.append((attempt, lost_peer, int(message["extraInfo"]["timestamp"]), file.parent.name, traceback))
    if failures and not min(failures)[1]:
        *_, rank, traceback = min(failures)
        return f"Process {rank} failed first:\n{traceback.strip()}"
    log = _log_file(folder)
    return f"torchrun failed:\n{log.read_text(errors='replace')[-3000:] if log.exists() else ''}"


def _log_file(folder: Path) -> Path:
    return folder / "torchrun.log"


def end_with_parent() -> None:
    """Let Linux send SIGTERM to this process when its parent ends, however it ends."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
