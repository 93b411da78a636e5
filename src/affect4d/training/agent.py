"""The process that looks after a host's workers: ``python -m affect4d.training.agent FOLDER``.

It starts them, meets the agents of other hosts at the job's endpoint (torch's elastic c10d rendezvous), starts all
workers again from the newest checkpoint when one is lost, keeps their output in files, and names the first that failed.
FOLDER is a job, or, for the further hosts of several trainings, a folder in which jobs will appear: ``--watch FOLDER``.

The agent of the program that asked for the training holds a pipe to it (``--leash``): when that program is gone,
however it went, the agent ends its workers and itself.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from affect4d.training.processes.job import FAILURE, JOB, LOGS, RESULT, Job

FAILED, STOPPED = 1, 143
SHUTDOWN_SECONDS = 60
"""Time workers have, when told to stop, to finish their step and save."""
WATCH_SECONDS = 1.0
OWN_STORE = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
"""Workers meet in a store that is new after every restart: in a shared one they find addresses of dead peers."""


def main(arguments: Sequence[str]) -> int:
    """Look after the workers of a job, or of all jobs that appear in a folder."""
    parser = argparse.ArgumentParser(prog="python -m affect4d.training.agent", description=__doc__)
    parser.add_argument("folder", type=Path, help="a job, or with --watch a folder in which jobs appear")
    parser.add_argument("--watch", action="store_true", help="serve every job that appears, until stopped")
    parser.add_argument("--host", action="store_true", help="this host is where all meet: the endpoint's")
    parser.add_argument("--leash", action="store_true", help="end when standard input is closed")
    chosen = parser.parse_args(arguments)
    if chosen.leash:
        threading.Thread(target=_end_with_leash, daemon=True).start()
    return watch(chosen.folder) if chosen.watch else serve(chosen.folder, chosen.host)


def serve(folder: Path, host: bool = False) -> int:
    """Run this host's workers of one job to their end; 0 where all went well.

    Args:
        folder: The job.
        host: Whether the hosts meet here; where there is one host only, they do.
    """
    job = Job.load(folder)
    os.environ.update(OWN_STORE)
    try:
        elastic_launch(launch_config(job, folder, host), job.distributed.python or sys.executable)(
            "-m", "affect4d.training.processes.worker", str(folder)
        )
    except ChildFailedError as error:
        rank, failure = first_failure(error)
        (folder / FAILURE).write_text(json.dumps({"rank": rank, "reason": reason_of(failure)}))
        return FAILED
    except SignalException:
        return STOPPED
    return 0


def watch(folder: Path) -> int:
    """Serve every job that appears below a folder, one after the other; runs until it is stopped.

    A job that an earlier run left behind, whose other hosts are gone, is given up after a minute and said so.
    """
    served: set[tuple[Path, float]] = set()
    while True:
        for job, written in sorted(_jobs_below(folder) - served, key=lambda one: one[1]):
            served.add((job, written))
            try:
                if not (job / RESULT).exists() and serve(job) == STOPPED:
                    return STOPPED
            except (RendezvousError, OSError) as error:
                sys.stderr.write(f"{job}: the other hosts are not there, or no longer ({error}).\n")
        time.sleep(WATCH_SECONDS)


def _jobs_below(folder: Path) -> set[tuple[Path, float]]:
    """Folders of jobs and when each was written; one may vanish while it is looked at, as its run is done."""
    jobs = set()
    for file in folder.rglob(JOB):
        with contextlib.suppress(FileNotFoundError):
            jobs.add((file.parent, file.stat().st_mtime))
    return jobs


def launch_config(job: Job, folder: Path, host: bool) -> LaunchConfig:
    """What torch's elastic launcher is told."""
    options = job.distributed
    alone = options.hosts == 1
    return LaunchConfig(
        min_nodes=options.hosts,
        max_nodes=options.hosts,
        nproc_per_node=options.processes,
        run_id=folder.name,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0" if alone else options.endpoint,
        rdzv_configs={"timeout": int(60 * options.patience_minutes), "is_host": alone or host},
        max_restarts=options.restarts,
        shutdown_timeout=SHUTDOWN_SECONDS,
        logs_specs=DefaultLogsSpecs(str(_log_folder(folder)), redirects=Std.ALL),
        local_addr="127.0.0.1" if alone else _address_towards(options.endpoint),
    )


def _address_towards(endpoint: str) -> str | None:
    """This host's address as the endpoint sees it; None where that is a loopback, and the host's name must do."""
    name, _, port = endpoint.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # sends nothing: asks for the route
        probe.connect((name, int(port)))
        address: str = probe.getsockname()[0]
    return None if address.startswith("127.") else address


def first_failure(error: ChildFailedError) -> tuple[int, ProcessFailure]:
    """Rank and failure of the worker that fell first.

    torch notes whole seconds, within which a whole company falls: who complains of a lost peer was not the first.
    """
    return min(error.failures.items(), key=lambda one: (_lost_a_peer(one[1]), one[1].timestamp))


def _lost_a_peer(failure: ProcessFailure) -> bool:
    reason = reason_of(failure)
    return any(words in reason for words in ("closed by peer", "reset by peer", "remote process exited"))


def reason_of(failure: ProcessFailure) -> str:
    """The traceback of a worker that failed, or how it died."""
    told = (failure.error_file_data or {}).get("message")
    traceback = told.get("extraInfo", {}).get("py_callstack") if isinstance(told, dict) else None
    return f"{str(traceback or failure.message).strip()}\n(exit code {failure.exitcode})"


def _log_folder(folder: Path) -> Path:
    logs = folder / LOGS
    logs.mkdir(parents=True, exist_ok=True)
    return logs


def _end_with_leash() -> None:
    """Wait until the other end of standard input is gone, then stop as if told to."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
