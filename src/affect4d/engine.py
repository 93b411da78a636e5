"""Work spread over processes: chunks in, results or exceptions out, one bad chunk never a lost batch.

The engine is ``dask.distributed``: a local cluster of spawned, single-threaded processes, kept for the life of the
program. A chunk whose process dies is reported as a failure of that chunk; the others finish.
"""

import functools
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from affect4d.progress import track

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")

SINGLE_THREADED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "LP_NUM_THREADS": "1",  # Mesa's software rasteriser: without it, processes fight for the cores
}


def map_chunks(
    function: Callable[[Chunk], Result], chunks: Sequence[Chunk], description: str, workers: int = 0
) -> Iterator[tuple[Chunk, Result | Exception]]:
    """Apply a function to every chunk; yield each chunk with its result, or with the exception it ended in.

    Args:
        function: Importable by name (it travels to other processes), idempotent, returning small values.
        chunks: What to go through; small, picklable descriptions of work (paths, rows), never pixels.
        description: What is being done, as a person says it.
        workers: How many processes; 0 means one a core, 1 means here, without a cluster.

    Yields:
        Pairs in order of completion.
    """
    count = min(workers or available_cores(), len(chunks))
    if count <= 1:
        yield from track(_here(function, chunks), description, total=len(chunks))
    else:
        yield from track(_on_cluster(function, chunks, workers or available_cores()), description, total=len(chunks))


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _here(function: Callable[[Chunk], Result], chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, Result | Exception]]:
    for chunk in chunks:
        try:
            yield chunk, function(chunk)
        except Exception as error:
            yield chunk, error


def _on_cluster(
    function: Callable[[Chunk], Result], chunks: Sequence[Chunk], workers: int
) -> Iterator[tuple[Chunk, Result | Exception]]:
    from distributed import as_completed

    client = _local_client(workers)
    futures = {client.submit(function, chunk, pure=False): chunk for chunk in chunks}
    for future in as_completed(futures, raise_errors=False):
        error = future.exception()
        yield futures[future], future.result() if error is None else error


@functools.cache
def _local_client(workers: int) -> Any:
    """A cluster on this machine's loopback, started on first use and closed with the program."""
    import dask
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.ERROR)
    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": 1,
            "distributed.scheduler.worker-saturation": 1.0,  # nothing queues behind a chunk that may kill its process
            "distributed.worker.multiprocessing-method": "spawn",
            "distributed.nanny.pre-spawn-environ": {**SINGLE_THREADED, "DASK_LOGGING__DISTRIBUTED": "error"},
        }
    )
    cluster = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        silence_logs=logging.ERROR,
        memory_limit=0,
    )
    return Client(cluster)
