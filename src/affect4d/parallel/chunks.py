"""Chunks of work in this process, in others, or on a Dask scheduler; failed ones are tried again scan by scan."""

import asyncio
import contextlib
import itertools
import math
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from affect4d.malloc_and_peak_memory import keep_freed_memory
from affect4d.parallel.dask_client_and_workers import (
    CodeMismatchError,
    LostChunkError,
    attempt,
    open_client,
    package_digest,
    pickled,
)
from affect4d.parallel.options import IN_PROCESS, EngineOptions

_Chunk = TypeVar("_Chunk")
_Result = TypeVar("_Result")
ChunkOutcomes = Generator[tuple[_Chunk, _Result | Exception], None, None]

QUEUED_PER_WORKER = 3
"""Chunks the scheduler holds for each worker: enough to keep it busy, few enough to stay small and to stop at once."""
MIN_QUEUED = 8
RECOUNT_AFTER = 1.0  # seconds between two counts of the workers


def map_chunks(
    function: Callable[[_Chunk], _Result],
    chunks: Sequence[_Chunk],
    description: str,
    engine: EngineOptions = IN_PROCESS,
    scans: Callable[[_Chunk], int] | None = None,
    fatal: tuple[type[Exception], ...] = (),
) -> ChunkOutcomes[_Chunk, _Result]:
    """Apply a function to every chunk; yield each chunk with its result, or with the exception it ended in.

    Pairs come in order of completion, with the chunk object that was given; a consumer that stops cancels the rest. In
    this process nothing protects from a chunk that crashes or hangs it.

    Args:
        function: Importable by name (it travels to other processes), idempotent, returning small values. What it
            carries serves every chunk, and must not change.
        chunks: Small, picklable descriptions of work (paths, rows), never pixels.
        scans: How many scans a chunk holds, for the progress bar; without, it counts chunks.

    Raises:
        CodeMismatchError: If a worker runs another version of this package.
        ConnectionError: If the scheduler cannot be reached.
    """
    here = engine.workers == 1 and engine.address is None
    work = _run_here(function, chunks) if here else _run_on_cluster(function, chunks, engine)
    total, unit = (len(chunks), "chunk") if scans is None else (sum(map(scans, chunks)), "scan")
    bar = tqdm(desc=description, total=total, unit=unit, disable=None, dynamic_ncols=True)
    with contextlib.closing(work), bar:
        for chunk, outcome in work:
            if isinstance(outcome, Exception) and isinstance(outcome, (CodeMismatchError, *fatal)):
                raise outcome
            yield chunk, outcome
            bar.update(1 if scans is None else scans(chunk))


def map_splitting_failures(
    function: Callable[[_Chunk], _Result],
    chunks: Sequence[_Chunk],
    description: str,
    engine: EngineOptions = IN_PROCESS,
    *,
    split: Callable[[_Chunk], Sequence[_Chunk]],
    scans: Callable[[_Chunk], int] | None = None,
) -> ChunkOutcomes[_Chunk, _Result]:
    """:func:`map_chunks`, with the parts of a failed chunk in its place, last: for results that can be put together."""
    failed: list[_Chunk] = []
    for chunk, result in map_chunks(function, chunks, description, engine, scans):
        if isinstance(result, Exception):
            failed.append(chunk)
        else:
            yield chunk, result
    if failed:
        parts = [part for chunk in failed for part in split(chunk)]
        yield from map_chunks(function, parts, f"{description} again", engine, scans)


def map_excluding_failures(
    function: Callable[[_Chunk], _Result],
    chunks: Sequence[_Chunk],
    description: str,
    engine: EngineOptions = IN_PROCESS,
    *,
    split: Callable[[_Chunk], Sequence[_Chunk]],
    join: Callable[[_Chunk, Sequence[_Chunk]], _Chunk],
    probe: Callable[[_Chunk], object],
    retried: type[Exception] = Exception,
    fatal: tuple[type[Exception], ...] = (),
    scans: Callable[[_Chunk], int] | None = None,
) -> Generator[tuple[_Chunk, _Result | Exception | None, list[tuple[_Chunk, Exception]]], None, None]:
    """:func:`map_chunks`, where a failed chunk is repeated without the scans that fail: for one result a chunk.

    Yields triples ``(chunk, result, excluded)`` in order of completion, each given chunk once. The result is an
    exception where the chunk failed, also in its second attempt, and None where all of its parts are excluded;
    ``excluded`` pairs parts with their exceptions. ``join``, of a chunk and some of its parts, inverts ``split``; a
    chunk keeps an exception that is not ``retried`` as its outcome.
    """
    failed: list[_Chunk] = []
    for chunk, result in map_chunks(function, chunks, description, engine, scans, fatal):
        if isinstance(result, retried):
            failed.append(chunk)
        else:
            yield chunk, result, []
    if not failed:
        return
    parts = [list(split(chunk)) for chunk in failed]
    errors: dict[int, Exception] = {}
    flat = [part for group in parts for part in group]
    for part, probed in map_chunks(probe, flat, "isolating scans that fail", engine, scans, fatal):
        if isinstance(probed, retried):
            errors[id(part)] = probed
    again: list[_Chunk] = []
    origin: dict[int, tuple[_Chunk, list[tuple[_Chunk, Exception]]]] = {}
    for chunk, group in zip(failed, parts, strict=True):
        excluded = [(part, errors[id(part)]) for part in group if id(part) in errors]
        if len(excluded) == len(group):
            yield chunk, None, excluded
        else:
            again.append(join(chunk, [part for part in group if id(part) not in errors]))
            origin[id(again[-1])] = chunk, excluded
    for rest, result in map_chunks(function, again, f"{description} again", engine, scans, fatal):
        chunk, excluded = origin[id(rest)]
        yield chunk, result, excluded


def _run_here(function: Callable[[_Chunk], _Result], chunks: Iterable[_Chunk]) -> ChunkOutcomes[_Chunk, _Result]:
    keep_freed_memory()
    for chunk in chunks:
        try:
            with threadpool_limits(1):  # as in a worker: another number of threads rounds otherwise
                result = function(chunk)
            yield chunk, result
        except Exception as error:
            yield chunk, error


def _run_on_cluster(
    function: Callable[[_Chunk], _Result], chunks: Sequence[_Chunk], engine: EngineOptions
) -> ChunkOutcomes[_Chunk, _Result]:
    """Keep a few chunks per worker submitted; submit the next as one completes."""
    if not chunks:
        return
    from distributed import as_completed

    client = open_client(engine)
    code = None if engine.address is None else package_digest()
    sent = pickled(function)

    def submit(chunk: _Chunk) -> Any:
        future = client.submit(attempt, sent, chunk, engine.seconds, code, pure=False)
        under_way[future.key] = chunk
        return future

    under_way: dict[str, _Chunk] = {}
    waiting, limit = iter(chunks), _QueueLength(client)
    finished = as_completed([submit(chunk) for chunk in itertools.islice(waiting, limit.current())], raise_errors=False)
    try:
        for future in finished:
            done, outcome = under_way.pop(future.key), _outcome(future)
            for chunk in itertools.islice(waiting, max(0, limit.current() - len(under_way))):
                finished.add(submit(chunk))
            yield done, outcome
    finally:
        if client.status == "running":
            client.cancel([future for future in finished.futures if future.key in under_way])


class _QueueLength:
    """Number of chunks that may be submitted at once: workers come and go while the work runs."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._chunks, self._counted = MIN_QUEUED, -math.inf

    def current(self) -> int:
        if time.monotonic() - self._counted >= RECOUNT_AFTER:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
            self._chunks = max(MIN_QUEUED, QUEUED_PER_WORKER * len(workers))
            self._counted = time.monotonic()
        return self._chunks


def _outcome(future: Any) -> Any:
    """The result of a future, or its exception; a dead process as :class:`LostChunkError`."""
    from distributed.scheduler import KilledWorker

    try:
        error = future.exception()
        outcome = future.result() if error is None else error
    except (CancelledError, asyncio.CancelledError) as cancelled:
        raise ConnectionError(
            "The scheduler has gone. Finished results are kept: start it, and run again."
        ) from cancelled
    if isinstance(outcome, KilledWorker):
        return LostChunkError("its process died, twice: killed by the system, out of memory, or broken by this input")
    return outcome
