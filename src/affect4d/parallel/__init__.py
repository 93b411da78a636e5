"""Work spread over processes with ``dask.distributed``: chunks in, results or exceptions out.

:class:`EngineOptions` (``params:engine``) chooses the place: this process, processes of this machine (the default of a
run), or a scheduler at an address; the code is the same. A chunk holds a few scans, is idempotent, and returns paths
and statuses, never pixels. A chunk that crashes its process costs itself.
"""

from affect4d.parallel.chunks import map_chunks, map_excluding_failures, map_splitting_failures
from affect4d.parallel.dask_client_and_workers import ChunkTimeoutError, CodeMismatchError, LostChunkError
from affect4d.parallel.options import IN_PROCESS, EngineOptions, TlsOptions, available_cores

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
