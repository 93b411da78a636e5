"""Batches made ahead of time by a second thread, so that the model does not wait for data."""

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import Any

import torch

AHEAD = 2
"""Batches that wait."""


@contextlib.contextmanager
def made_ahead(batches: Iterator[Any], device: torch.device) -> Iterator[Iterator[Any]]:
    """The same batches in the same order, made by a second thread; on a GPU, on a stream of its own.

    The thread computes on one core: what it makes does not depend on that. An error in it is raised where the batch
    would have come; when the block is left, it has ended.
    """
    made: queue.Queue[Any] = queue.Queue(AHEAD)
    left = threading.Event()
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def put(item: Any) -> None:
        while not left.is_set():
            with contextlib.suppress(queue.Full):
                made.put(item, timeout=0.1)
                return

    def work() -> None:
        torch.set_num_threads(1)  # of this thread; the others keep theirs
        try:
            with torch.cuda.stream(stream):
                while not left.is_set():
                    batch = next(batches, None)
                    put((batch, stream and stream.record_event()))
                    if batch is None:
                        return
        except BaseException as error:
            put((error, None))

    thread = threading.Thread(target=work, name="made_ahead", daemon=True)
    thread.start()
    try:
        yield _taken(made)
    finally:
        left.set()
        thread.join()


def _taken(made: "queue.Queue[Any]") -> Iterator[Any]:
    """Batches as they come, to their end or to an error."""
    while (item := made.get())[0] is not None:
        batch, ready = item
        if isinstance(batch, BaseException):
            raise batch
        if ready is not None:
            _take_over(batch, ready)
        yield batch


def _take_over(batch: Any, ready: torch.cuda.Event) -> None:
    """Let the current stream use what another one made."""
    current = torch.cuda.current_stream()
    current.wait_event(ready)
    for tensor in vars(batch).values():
        if tensor.is_cuda:
            tensor.record_stream(current)
