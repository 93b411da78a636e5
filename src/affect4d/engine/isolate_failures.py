"""Failed chunks tried again scan by scan, so that a scan that crashes its process costs itself and nothing else."""

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from affect4d.engine.chunks import ChunkOutcomes, map_chunks
from affect4d.engine.parallel_options import IN_PROCESS, EngineOptions

_Chunk = TypeVar("_Chunk")
_Result = TypeVar("_Result")


def map_splitting_failures(
    function: Callable[[_Chunk], _Result],
    chunks: Sequence[_Chunk],
    description: str,
    engine: EngineOptions = IN_PROCESS,
    *,
    split: Callable[[_Chunk], Sequence[_Chunk]],
    scans: Callable[[_Chunk], int] | None = None,
) -> ChunkOutcomes[_Chunk, _Result]:
    """:func:`map_chunks`, with the parts of a failed chunk in its place: for results that can be put together.

    Args:
        function: As in :func:`map_chunks`.
        chunks: As in :func:`map_chunks`.
        description: As in :func:`map_chunks`.
        engine: As in :func:`map_chunks`.

    Yields:
        Pairs in order of completion: chunks that succeed, then parts of the others, with their result or exception.
    """
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

    Args:
        function: As in :func:`map_chunks`.
        chunks: As in :func:`map_chunks`.
        description: As in :func:`map_chunks`.
        engine: As in :func:`map_chunks`.
        join: The chunk made of some parts of a chunk: the inverse of ``split``.
        retried: Exceptions that make a chunk repeated and a part excluded; a chunk keeps any other as its outcome.

    Yields:
        Triples ``(chunk, result, excluded)`` in order of completion, each given chunk once. The result is an exception
        where the chunk failed, also in its second attempt, and None where all of its parts are excluded; ``excluded``
        pairs parts with their exceptions.
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
