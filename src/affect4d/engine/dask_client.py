"""The Dask client of an engine: opened on first use, kept for the life of the program, closed with it."""

import atexit
import contextlib
import functools
import logging
from typing import Any

from affect4d.engine.parallel_options import EngineOptions, TlsOptions, available_cores
from affect4d.memory import KEEPS_FREED

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
CHECK_EVERY = 5
"""Seconds between two checks for closed worker processes."""


def open_client(engine: EngineOptions) -> Any:
    """The client of an engine; a cluster that was opened before for the same place is used again.

    Raises:
        ConnectionError: If nothing answers at ``engine.address``.
    """
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
    """Worker processes of this machine, reachable from this machine only.

    No worker times out for being silent: its end is noticed at once, and after a laptop's sleep all have been silent.
    """
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
    """Start a new worker and nanny in place of one that closed, after a broken connection for example.

    A nanny restarts a worker that dies, but closes with one that closes in good order, and dask starts no other: the
    work would go on with fewer processes, and wait for ever once the last has closed.
    """
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
    """A client of a scheduler that is already running."""
    from distributed import Client

    try:
        client = Client(engine.address, security=None if engine.tls is None else _security(engine.tls), timeout="30 s")
    except OSError as error:
        raise ConnectionError(
            f"No scheduler answers at {engine.address} ({error}). Start one: 'dask scheduler'; see docs/cluster.md."
        ) from error
    atexit.register(client.close)
    return client


def _security(tls: TlsOptions) -> Any:
    from distributed.security import Security

    files = {"cert": str(tls.cert_file), "key": str(tls.key_file)}
    parties = {
        f"tls_{party}_{kind}": file for party in ("client", "scheduler", "worker") for kind, file in files.items()
    }
    return Security(require_encryption=True, tls_ca_file=str(tls.ca_file), **parties)


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
