"""Dask client, kept for the program's life, and its workers: one chunk at a time, in one thread, in limited time."""

import atexit
import contextlib
import faulthandler
import functools
import hashlib
import logging
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, TypeVar

from affect4d.malloc_and_peak_memory import KEEPS_FREED, keep_freed_memory
from affect4d.parallel.options import EngineOptions, TlsOptions, available_cores

_Result = TypeVar("_Result")

SINGLE_THREADED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "LP_NUM_THREADS": "1",  # Mesa's software rasteriser: without it, processes fight for the cores
}
SETTINGS = {
    "distributed.scheduler.allowed-failures": 1,
    "distributed.scheduler.worker-saturation": 1.0,  # nothing queues behind a chunk that may kill its process
    "distributed.scheduler.worker-ttl": "60 s",
    "distributed.deploy.lost-worker-timeout": "1 hour",  # a busy machine takes its time to replace a dead process
    "distributed.worker.multiprocessing-method": "spawn",
    "distributed.worker.memory.target": False,  # results are small: nothing to spill, only processes to end
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.worker.profile.enabled": False,  # it interrupts the work a hundred times a second
    "distributed.admin.large-graph-warning-threshold": "1 GiB",  # a study's tables travel with each trial
    "distributed.admin.tick.interval": "1 s",  # the default monitors fifty times a second
    "distributed.admin.tick.limit": "30 s",
    "distributed.admin.system-monitor.interval": "10 s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.worker.memory.monitor-interval": "500 ms",
    "distributed.nanny.pre-spawn-environ": {**SINGLE_THREADED, **KEEPS_FREED, "DASK_LOGGING__DISTRIBUTED": "error"},
}
CONNECTION_TIMEOUT = "30 s"  # until a scheduler at an address has to answer
CHECK_EVERY = 5  # seconds between two checks for closed worker processes
EXIT_DELAY = 1.0  # seconds between a timeout and the end of its process, so that the exception reaches the scheduler
GRACE = 30.0  # further seconds after which a process that cannot report its timeout is ended


def open_client(engine: EngineOptions) -> Any:
    """The client of a place, opened once; ``ConnectionError`` if nothing answers at ``engine.address``."""
    return _kept_client(engine.model_copy(update={"seconds": 1.0}))


@functools.cache
def _kept_client(engine: EngineOptions) -> Any:
    import dask

    logging.getLogger("distributed").setLevel(logging.ERROR)
    dask.config.set(SETTINGS)
    if engine.address is not None:
        return _connect(engine)
    return _closing_at_exit(_local_cluster(engine))


def _local_cluster(engine: EngineOptions) -> Any:
    """Local worker processes; none times out for being silent: after a laptop's sleep all have been silent."""
    import dask
    from distributed import LocalCluster

    with dask.config.set({"distributed.scheduler.worker-ttl": None}):
        cluster = LocalCluster(
            n_workers=engine.workers or available_cores(),
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            silence_logs=logging.ERROR,
            memory_limit=engine.memory,
        )
    _replace_closed_workers(cluster)
    return cluster


def _replace_closed_workers(cluster: Any) -> None:
    """Replace workers that closed, for example with their connection; dask's nannies replace only those that die."""
    from distributed.core import Status
    from tornado.ioloop import PeriodicCallback

    def check() -> None:
        if cluster.status != Status.running:
            return
        for name, nanny in list(cluster.workers.items()):
            if nanny.status in (Status.closed, Status.failed):
                del cluster.workers[name]
        if len(cluster.workers) < len(cluster.worker_spec):
            cluster.scale(len(cluster.worker_spec))

    cluster.loop.add_callback(PeriodicCallback(check, 1000 * CHECK_EVERY).start)


def _connect(engine: EngineOptions) -> Any:
    from distributed import Client

    try:
        security = None if engine.tls is None else _security(engine.tls)
        client = Client(engine.address, security=security, timeout=CONNECTION_TIMEOUT)
    except OSError as error:
        raise ConnectionError(
            f"No scheduler answers at {engine.address} ({error}). Start one: 'dask scheduler'; see docs/cluster.md."
        ) from error
    atexit.register(client.close)
    return client


def _security(tls: TlsOptions) -> Any:
    from distributed.security import Security

    files = {"cert": str(tls.cert_file), "key": str(tls.key_file)}
    parties = ("client", "scheduler", "worker")
    keys = {f"tls_{party}_{kind}": file for party in parties for kind, file in files.items()}
    return Security(require_encryption=True, tls_ca_file=str(tls.ca_file), **keys)


def _closing_at_exit(cluster: Any) -> Any:
    """A client that closes, with its cluster, before the interpreter ends their threads."""
    from distributed import Client

    client = Client(cluster)

    def close() -> None:
        with contextlib.suppress(Exception):  # the program ends: a worker that does not close is killed by its nanny
            client.close(timeout=2)
            cluster.close(timeout=5)

    atexit.register(close)
    return client


class LostChunkError(RuntimeError):
    """The process that worked on a chunk died: ended by the system, out of memory, or broken by a bad file."""


class ChunkTimeoutError(LostChunkError):
    """A chunk took longer than it may; its process has been ended."""


class CodeMismatchError(RuntimeError):
    """A worker has another version of this package than the driver: its results would be stored under a wrong key."""


def pickled(function: Callable[[Any], Any]) -> bytes:
    """The function as :func:`attempt` takes it: bytes travel eight times faster than the tables in a function."""
    from distributed.protocol import pickle

    sent: bytes = pickle.dumps(function)
    return sent


_read: dict[bytes, Callable[[Any], Any]] = {}
"""The function that this process has read last, by its digest."""


def _unpickled(function: bytes) -> Callable[[Any], Any]:
    """The function, read once by a worker, not with every chunk."""
    from distributed.protocol import pickle

    digest = hashlib.blake2b(function).digest()
    if digest not in _read:
        _read.clear()
        _read[digest] = pickle.loads(function)
    return _read[digest]


def attempt(function: bytes, chunk: Any, seconds: float, code: str | None) -> Any:
    """Apply a pickled function to a chunk; ends this process after ``seconds``. ``code``: the driver's digest."""
    if code is not None and code != package_digest():
        raise CodeMismatchError(
            f"The worker on {socket.gethostname()} runs another version of affect4d than the driver: install the same "
            "there and restart its workers."
        )
    keep_freed_memory()
    for name, value in SINGLE_THREADED.items():
        os.environ.setdefault(name, value)
    faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=sys.__stderr__ or sys.stderr)
    try:
        future = _worker_thread().submit(functools.partial(_unpickled(function), chunk))
        if wait([future], seconds).done:
            return future.result()
    finally:
        faulthandler.cancel_dump_traceback_later()
    _end_this_process()
    raise ChunkTimeoutError(f"took longer than {seconds:g} s on {socket.gethostname()} (engine.seconds)")


@functools.cache
def package_digest() -> str:
    """Digest of every source file of this package."""
    root, digest = Path(__file__).parents[1], hashlib.blake2b(digest_size=12)
    for file in sorted(root.rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


class _WorkerThread:
    """A daemon thread that runs calls one after another: a call that hangs does not keep the process alive."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="affect4d", daemon=True).start()

    def submit(self, call: Callable[[], _Result]) -> "Future[_Result]":
        future: Future[_Result] = Future()
        self._calls.put((call, future))
        return future

    def _work(self) -> None:
        while True:
            call, future = self._calls.get()
            try:
                future.set_result(call())
            except BaseException as error:  # also SystemExit: it fails the chunk, not the worker
                future.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))


@functools.cache
def _worker_thread() -> _WorkerThread:
    return _WorkerThread()


def _end_this_process() -> None:
    """Close this worker, return its queued chunks, and let the nanny start a new one."""
    from distributed import get_worker

    worker = get_worker()
    close = functools.partial(worker.close_gracefully, restart=True, reason="a chunk took too long")
    worker.loop.add_callback(worker.loop.call_later, EXIT_DELAY, worker.loop.add_callback, close)
