"""The Dask client of an engine: opened on first use, kept for the life of the program, closed with it."""

import atexit
import contextlib
import functools
import logging
from typing import Any

from affect4d.engine.options import EngineOptions, SlurmOptions, available_cores
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
    "distributed.worker.profile.enabled": False,  # it stops the work a hundred times a second to look where it is
    "distributed.admin.large-graph-warning-threshold": "1 GiB",  # a study's tables travel with each trial
    "distributed.admin.tick.interval": "1 s",  # nor do its watchers look fifty times a second whether all goes well
    "distributed.admin.tick.limit": "30 s",
    "distributed.admin.system-monitor.interval": "10 s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.worker.memory.monitor-interval": "500 ms",
    "distributed.nanny.pre-spawn-environ": {**SINGLE_THREADED, **KEEPS_FREED, "DASK_LOGGING__DISTRIBUTED": "error"},
}
LOOKED_AFTER = 5
"""Seconds between two looks whether each process of this machine is still there."""


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
    cluster = _local_cluster(engine) if engine.slurm is None else slurm_cluster(engine.slurm, engine)
    return _closing_at_exit(cluster)


def _local_cluster(engine: EngineOptions) -> Any:
    """Processes of this machine, reachable from this machine only.

    None is given up for being silent: one that ends is noticed at once, and a laptop that slept has silenced them all.
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
    _replace_the_departed(cluster)
    return cluster


def _replace_the_departed(cluster: Any) -> None:
    """Open a new process, with a new nanny, in the place of one that took its leave, after a broken connection say.

    A nanny replaces a process that dies. One that closes in good order it follows, and dask opens no other instead: the
    work would go on with one process fewer, and without the last wait for ever.
    """
    from distributed.core import Status
    from tornado.ioloop import PeriodicCallback

    def look() -> None:
        if cluster.status != Status.running:
            return
        for name, nanny in list(cluster.workers.items()):
            if nanny.status in (Status.closed, Status.failed):
                del cluster.workers[name]
        if len(cluster.workers) < len(cluster.worker_spec):
            cluster.scale(len(cluster.worker_spec))

    cluster.loop.add_callback(PeriodicCallback(look, 1000 * LOOKED_AFTER).start)


def slurm_cluster(slurm: SlurmOptions, engine: EngineOptions) -> Any:
    """A scheduler here and workers in SLURM jobs, which are submitted at once.

    Without certificates of its own, a pair is made for this run and handed to the jobs through ``shared_folder``.

    Raises:
        ModuleNotFoundError: If ``dask-jobqueue`` is not installed.
    """
    cluster = job_queue(slurm, engine)
    cluster.scale(jobs=slurm.jobs)
    return cluster


def job_queue(slurm: SlurmOptions, engine: EngineOptions) -> Any:
    """The cluster with no job submitted yet; its ``job_script()`` is what ``sbatch`` will get."""
    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "SLURM needs dask-jobqueue: `make setup` brings it; elsewhere, in a clone: pip install -e '.[cluster]'."
        ) from error

    return SLURMCluster(
        queue=slurm.queue,
        account=slurm.account,
        cores=slurm.cores,
        processes=slurm.cores,
        memory=slurm.memory,
        walltime=slurm.walltime,
        interface=slurm.interface,
        job_extra_directives=list(slurm.directives),
        job_script_prologue=[f"export {name}={value}" for name, value in SINGLE_THREADED.items()]
        + list(slurm.prologue),
        protocol="tcp://" if engine.plain_network else "tls://",
        security=None if engine.plain_network else _security(engine),
        shared_temp_directory=str(slurm.shared_folder),
        scheduler_options={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
    )


def _security(engine: EngineOptions) -> Any:
    """The engine's certificates, or a pair made for this run."""
    from distributed.security import Security

    if engine.tls is None:
        return Security.temporary()
    files = {"cert": str(engine.tls.cert_file), "key": str(engine.tls.key_file)}
    parties = {
        f"tls_{party}_{kind}": file for party in ("client", "scheduler", "worker") for kind, file in files.items()
    }
    return Security(require_encryption=True, tls_ca_file=str(engine.tls.ca_file), **parties)


def _connect(engine: EngineOptions) -> Any:
    """A client of a scheduler that somebody else keeps."""
    from distributed import Client

    try:
        client = Client(engine.address, security=None if engine.tls is None else _security(engine), timeout="30 s")
    except OSError as error:
        raise ConnectionError(
            f"No scheduler answers at {engine.address} ({error}). Start one: 'dask scheduler'; see docs/cluster.md."
        ) from error
    atexit.register(client.close)
    return client


def _closing_at_exit(cluster: Any) -> Any:
    """A client of a cluster of our own; both close before the interpreter takes their threads away, which is quick."""
    from distributed import Client

    client = Client(cluster)

    def close() -> None:
        with contextlib.suppress(
            Exception
        ):  # the program ends: a worker that will not say goodbye is killed by its nanny
            client.close(timeout=2)
            cluster.close(timeout=5)

    atexit.register(close)
    return client
