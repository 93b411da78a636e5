"""Work spread over processes: chunks in, results or exceptions out, one bad chunk never a lost batch.

The engine is ``dask.distributed``. :class:`EngineOptions` says where it works: in this process, in processes of this
machine (the default of a run), on a scheduler's address, or on SLURM; the code is the same. A task is a chunk of scans,
idempotent, and returns paths and statuses, never pixels.
"""

from affect4d.engine.chunks import map_chunks
from affect4d.engine.options import IN_PROCESS, EngineOptions, SlurmOptions, TlsOptions, available_cores
from affect4d.engine.worker import ChunkTimeoutError, LostChunkError, StrangeCodeError

__all__ = [
    "IN_PROCESS",
    "ChunkTimeoutError",
    "EngineOptions",
    "LostChunkError",
    "SlurmOptions",
    "StrangeCodeError",
    "TlsOptions",
    "available_cores",
    "map_chunks",
]
