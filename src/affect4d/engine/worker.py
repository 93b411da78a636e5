"""Execution of a chunk in a worker process: one at a time, in one thread (OpenGL needs that), with a time limit."""

import faulthandler
import functools
import hashlib
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, TypeVar

from affect4d.engine.dask_client import SINGLE_THREADED
from affect4d.memory import keep_freed_memory

_Chunk = TypeVar("_Chunk")
_Result = TypeVar("_Result")

EXIT_DELAY = 1.0
"""Seconds between a timeout and the end of its process, so that the exception reaches the scheduler."""
GRACE = 30.0
"""Further seconds after which a process that cannot report its timeout is ended."""


class LostChunkError(RuntimeError):
    """The process that worked on a chunk died: ended by the system, out of memory, or broken by a bad file."""


class ChunkTimeoutError(LostChunkError):
    """A chunk took longer than it may; its process has been ended."""


class CodeMismatchError(RuntimeError):
    """A worker has another version of this package than the driver: its results would be stored under a wrong key."""


def attempt(function: Callable[[_Chunk], _Result], chunk: _Chunk, seconds: float, code: str | None) -> _Result:
    """Apply the function to a chunk, in a worker.

    Args:
        seconds: Time limit; after it this process is ended, also inside native code that lets nothing else run.
        code: Digest of the driver's package; None where the worker has the same files.

    Raises:
        ChunkTimeoutError: If it took longer.
        CodeMismatchError: If this worker has other code.
    """
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
        future = _worker_thread().submit(functools.partial(function, chunk))
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
