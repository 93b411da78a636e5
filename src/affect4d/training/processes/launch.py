"""Training in processes of their own, asked for and followed from one place: the one training node."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import torch

from affect4d.models import load_model
from affect4d.training.agent import SHUTDOWN_SECONDS, STOPPED
from affect4d.training.processes.job import FAILURE, LOGS, REPORTS, RESULT, Job
from affect4d.training.saving.keeping import TrainingInterruptedError
from affect4d.training.watching.company import Report, Show

POLL_SECONDS = 0.2
PACKAGES = Path(__file__).parents[3]
"""Where this package lies, for an interpreter that does not have it installed."""


class TrainingFailedError(RuntimeError):
    """A process of a training failed, and failed again after every restart; carries the first one's traceback."""


def launch(folder: Path, report: Report, show: Show) -> tuple[Any, dict[str, Any]]:
    """Carry out a job in processes of their own; returns when they are done.

    Every epoch is reported once, also where processes were started again and went through it twice. However this call
    ends, no process is left behind.

    Args:
        folder: A job; see :class:`affect4d.training.processes.job.Job`.
        report: Told the mean terms of every epoch.
        show: Told of steps.

    Returns:
        The trained model, on the CPU; and its ``history``, ``cost`` and ``validation`` (the loss by epoch).

    Raises:
        ValueError: If there are fewer GPUs than processes.
        TrainingFailedError: If a process failed too often.
        TrainingInterruptedError: If the processes were told to stop; they have saved.
    """
    job = Job.load(folder)
    if job.recipe.train.device != "cpu":
        processes_fit(job.distributed.processes)
    with (folder / "agent.log").open("ab") as log, _agent(folder, log) as agent, _stopped_with_this_program(agent):
        told = _Told(folder / REPORTS, report, show)
        while agent.poll() is None:
            told.pass_on()
            with contextlib.suppress(subprocess.TimeoutExpired):
                agent.wait(POLL_SECONDS)
        told.pass_on()
    if agent.returncode == STOPPED:
        raise TrainingInterruptedError("Training was told to stop: run the same command again to go on.")
    if agent.returncode:
        raise TrainingFailedError(_why(folder))
    state: dict[str, Any] = json.loads((folder / RESULT / "state.json").read_text())
    return load_model(folder / RESULT), state


@contextlib.contextmanager
def _agent(folder: Path, log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """This host's agent; when the block is left, it has ended, and its workers with it."""
    job = Job.load(folder)
    path = os.pathsep.join(filter(None, [str(PACKAGES), os.environ.get("PYTHONPATH", "")]))
    python = job.distributed.python or sys.executable
    command = [python, "-m", "affect4d.training.agent", "--leash", "--host", str(folder)]
    agent = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
        start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the others in order
    )
    try:
        yield agent
    finally:
        if agent.poll() is None:
            agent.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            agent.wait(2 * SHUTDOWN_SECONDS)
        if agent.poll() is None:
            agent.kill()


@contextlib.contextmanager
def _stopped_with_this_program(agent: subprocess.Popen[bytes]) -> Iterator[None]:
    """Pass SIGTERM on: workers finish their step and save. In a program's main thread, the only one that is told."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: agent.terminate())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Told:
    """Passes on what the first worker has written since the last look."""

    def __init__(self, path: Path, report: Report, show: Show) -> None:
        self._path, self._report, self._show = path, report, show
        self._read = 0
        self._next_epoch = 0

    def pass_on(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            *whole, _ = file.read().split(b"\n")
        for line in whole:
            self._read += len(line) + 1
            self._tell(json.loads(line))

    def _tell(self, what: dict[str, Any]) -> None:
        if "terms" not in what:
            self._show(what["done"], what["loss"], what["samples"])
        elif what["epoch"] >= self._next_epoch:
            self._next_epoch = what["epoch"] + 1
            self._report(what["epoch"], what["terms"])


def _why(folder: Path) -> str:
    """What the first process that failed said, and where everybody's output is."""
    where = f"The output of every process is in {folder / LOGS}, the agent's in {folder / 'agent.log'}."
    file = folder / FAILURE
    if not file.exists():
        return f"Training did not start: {(folder / 'agent.log').read_text(errors='replace')[-2000:]}\n{where}"
    failure = json.loads(file.read_text())
    return f"Process {failure['rank']} failed first:\n{failure['reason']}\n{where}"


def processes_fit(wanted: int) -> None:
    """Say so where there are fewer GPUs than processes.

    Raises:
        ValueError: If there are.
    """
    if torch.cuda.is_available() and wanted > torch.cuda.device_count():
        raise ValueError(f"{wanted} processes want a GPU each, this host has {torch.cuda.device_count()}.")
