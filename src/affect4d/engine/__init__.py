"""Work spread over processes with ``dask.distributed``: chunks in, results or exceptions out.

:class:`EngineOptions` chooses the place: this process, processes of this machine (the default of a run), or a scheduler
at an address; the code is the same. A chunk holds a few scans, is idempotent, and returns paths and statuses, never
pixels. A chunk that crashes its process costs itself; :mod:`affect4d.engine.isolate_failures` narrows it down to
single scans.
"""

from affect4d.engine.chunks import map_chunks
from affect4d.engine.isolate_failures import map_excluding_failures, map_splitting_failures
from affect4d.engine.parallel_options import IN_PROCESS, EngineOptions, TlsOptions, available_cores
from affect4d.engine.worker import ChunkTimeoutError, CodeMismatchError, LostChunkError

__all__ = [
    "IN_PROCESS",
    "ChunkTimeoutError",
    "CodeMismatchError",
    "EngineOptions",
    "LostChunkError",
    "TlsOptions",
    "available_cores",
    "map_chunks",
    "map_excluding_failures",
    "map_splitting_failures",
]
