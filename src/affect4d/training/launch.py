"""Training in processes of their own, started by torchrun and followed from the program that launched it."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import torch

from affect4d.models import load_model
from affect4d.training.checkpoint import TrainingInterruptedError, handling_sigterm
from affect4d.training.job_folder import LOGS, PROGRESS, RESULT, TrainingJob
from affect4d.training.trainer import EpochCallback, StepCallback
from affect4d.training.worker import end_with_parent

POLL_SECONDS = 0.2
SHUTDOWN_SECONDS = 60
"""Time workers have, when told to stop, to finish their step and save."""
PACKAGES = Path(__file__).parents[2]
"""Folder of this package, for workers that do not have it installed."""
SIGNALLED = "torch.distributed.elastic.multiprocessing.api.SignalException"
"""Error of torchrun itself when it is told to stop."""
LOST_PEER = ("closed by peer", "reset by peer", "remote process exited")
"""Parts of errors that only follow from the failure of another process."""


class TrainingFailedError(RuntimeError):
    """A process failed, and failed again after every restart; carries the traceback of the first one."""


def launch(folder: Path, on_epoch: EpochCallback, on_step: StepCallback) -> tuple[Any, dict[str, Any]]:
    """Carry out a job in processes of their own, and wait for its end.

    Every epoch is reported once, also where processes were restarted and trained it twice. However this call ends, no
    process is left behind.

    Args:
        folder: A job; see :class:`affect4d.training.job_folder.TrainingJob`.
        on_step: Called about twice a second.

    Returns:
        The trained model, on the CPU; and its ``history``, ``cost`` and ``validation`` (the loss by epoch).

    Raises:
        ValueError: If there are fewer GPUs than processes.
        TrainingFailedError: If a process failed too often.
        TrainingInterruptedError: If the processes were told to stop; they have saved.
    """
    job, started = TrainingJob.load(folder), time.time()
    if job.recipe.train.device != "cpu":
        check_gpus(job.distributed.processes)
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
    options, seconds = job.distributed, int(60 * job.distributed.patience_minutes)
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
    return [sys.executable, "-m", "torch.distributed.run", *arguments, "-m", "affect4d.training.worker", str(folder)]


@contextlib.contextmanager
def _torchrun(job: TrainingJob, folder: Path, log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Torchrun with this host's workers; all have ended when the block is left, or soon after this process is killed.

    Workers meet in a store that is new after every restart: in torchrun's shared one they find addresses of dead peers.
    """
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
    """Traceback of the worker of a job that failed first since a time; the end of torchrun's log where there is none.

    A worker that lost a peer is a consequence, and did not fail first: torchrun's times are whole seconds.
    """
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


def check_gpus(processes: int) -> None:
    """Check that there is a GPU for every process.

    Raises:
        ValueError: If there are fewer.
    """
    if torch.cuda.is_available() and processes > torch.cuda.device_count():
        raise ValueError(f"{processes} processes want a GPU each, this host has {torch.cuda.device_count()}.")
