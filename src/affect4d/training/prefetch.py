"""Batches made ahead of time, so that the model does not wait for data."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

import torch

AHEAD = 2
"""Batches that wait."""


def prefetch(batches: Iterator[Any], device: torch.device) -> Iterator[Any]:
    """The same batches in the same order, on a GPU made by a second thread on a stream of its own.

    On a CPU making a batch and using it want the same cores: there nothing is made ahead.
    """
    return _ahead(batches, device) if device.type == "cuda" else batches


def _ahead(batches: Iterator[Any], device: torch.device) -> Iterator[Any]:
    """Yield what a thread makes; an exception there is raised here, and leaving early ends the thread."""
    made: queue.Queue[Any] = queue.Queue(AHEAD)
    left = threading.Event()
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def put(item: Any) -> None:
        while not left.is_set():
            try:
                made.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            with torch.cuda.stream(stream):
                for batch in batches:
                    put((batch, stream and stream.record_event()))
                    if left.is_set():
                        return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            batch, ready = item
            if ready is not None:
                _take_over(batch, ready)
            yield batch
    finally:
        left.set()
        thread.join()


def _take_over(batch: Any, ready: torch.cuda.Event) -> None:
    """Let the current stream use what another one made."""
    current = torch.cuda.current_stream()
    current.wait_event(ready)
    for tensor in vars(batch).values():
        if tensor.is_cuda:
            tensor.record_stream(current)
