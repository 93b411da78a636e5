"""Chunks in, results or exceptions out."""

import asyncio
import itertools
import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from affect4d.engine.clusters import open_client
from affect4d.engine.options import IN_PROCESS, EngineOptions
from affect4d.engine.worker import LostChunkError, attempt, package_digest
from affect4d.memory import keep_freed_memory
from affect4d.progress import track

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")

WAITING_PER_WORKER = 3
"""Chunks the scheduler holds for each worker: enough to keep it busy, few enough to stay small and to stop at once."""
LEAST_WAITING = 8
COUNTED_FOR = 1.0
"""Seconds after which workers are counted anew."""


def map_chunks(
    function: Callable[[Chunk], Result],
    chunks: Sequence[Chunk],
    description: str,
    engine: EngineOptions = IN_PROCESS,
    scans: Callable[[Chunk], int] | None = None,
) -> Generator[tuple[Chunk, Result | Exception], None, None]:
    """Apply a function to every chunk; yield each chunk with its result, or with the exception it ended in.

    Args:
        function: Importable by name (it travels to other processes), idempotent, returning small values.
        chunks: What to go through; small, picklable descriptions of work (paths, rows), never pixels.
        description: What is being done, as a person says it.
        engine: Where. In this process nothing protects from a chunk that kills or hangs it.
        scans: How many scans a chunk holds, for the progress bar; without, it counts chunks.

    Yields:
        Pairs in order of completion. A consumer that stops early cancels the rest.
    """
    work = _here(function, chunks) if _is_here(engine) else _on_cluster(function, chunks, engine)
    size = scans or _one
    total = sum(map(size, chunks))
    yield from track(work, description, total, size=lambda pair: size(pair[0]), unit="scans" if scans else "")


def _is_here(engine: EngineOptions) -> bool:
    return engine.workers == 1 and engine.address is None and engine.slurm is None


def _one(_: Any) -> int:
    return 1


def _here(function: Callable[[Chunk], Result], chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, Result | Exception]]:
    keep_freed_memory()
    for chunk in chunks:
        try:
            with threadpool_limits(1):  # as in a worker: another number of threads rounds otherwise
                result = function(chunk)
            yield chunk, result
        except Exception as error:
            yield chunk, error


def _on_cluster(
    function: Callable[[Chunk], Result], chunks: Sequence[Chunk], engine: EngineOptions
) -> Iterator[tuple[Chunk, Result | Exception]]:
    """Keep a few chunks a worker under way; hand in the next as one comes back."""
    if not chunks:
        return
    from distributed import as_completed

    client = open_client(engine)
    code = None if engine.address is None and engine.slurm is None else package_digest()

    def submit(chunk: Chunk) -> Any:
        future = client.submit(attempt, function, chunk, engine.seconds, code, pure=False)
        under_way[future.key] = chunk
        return future

    under_way: dict[str, Chunk] = {}
    waiting, width = iter(chunks), _Width(client)
    finished = as_completed([submit(chunk) for chunk in itertools.islice(waiting, width.now())], raise_errors=False)
    try:
        for future in finished:
            done, outcome = under_way.pop(future.key), _outcome(future)
            for chunk in itertools.islice(waiting, max(0, width.now() - len(under_way))):
                finished.add(submit(chunk))
            yield done, outcome
    finally:
        if client.status == "running":
            client.cancel([future for future in finished.futures if future.key in under_way])


class _Width:
    """How many chunks may be under way; workers come and go, and on SLURM the first one comes after the work begins."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._chunks, self._counted = LEAST_WAITING, -math.inf

    def now(self) -> int:
        """As many as the workers need; they are counted once a second at most."""
        if time.monotonic() - self._counted >= COUNTED_FOR:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
            self._chunks = max(LEAST_WAITING, WAITING_PER_WORKER * len(workers))
            self._counted = time.monotonic()
        return self._chunks


def _outcome(future: Any) -> Any:
    """The result, or what it ended in; a dead process in words of ours.

    Raises:
        ConnectionError: If the scheduler has gone.
    """
    from distributed.scheduler import KilledWorker

    try:
        error = future.exception()
        outcome = future.result() if error is None else error
    except (CancelledError, asyncio.CancelledError) as cancelled:
        raise ConnectionError("The scheduler has gone. What is made is kept: start it, and run again.") from cancelled
    if isinstance(outcome, KilledWorker):
        return LostChunkError("its process died, twice: killed by the system, out of memory, or broken by this input")
    return outcome
