"""What a benchmark gives: one row a measurement, beside its peer's; and how to time two things fairly."""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    Attributes:
        name: ``"parse.wrl"``.
        value: Ours, in ``unit``; None where it was not measured (``note`` says why).
        unit: ``"MB/s"``, ``"views/s"``.
        peer: What it stands beside, e.g. ``"vtkVRMLImporter"``.
        peer_value: The peer's, same unit, same input, same run.
        target: The ratio asked for, as text: ``"≥5"``.
        note: What a reader must know: sizes, versions, why something is missing.
        device: ``"cpu"``, or the name of the GPU.
        cores: Cores this process may use.
    """

    name: str
    value: float | None
    unit: str
    peer: str = ""
    peer_value: float | None = None
    target: str = ""
    note: str = ""
    device: str = "cpu"
    cores: int = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's; None where one is missing."""
        if self.value is None or not self.peer_value:
            return None
        return self.value / self.peer_value


def alternate(ours: Callable[[], object], peer: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Time two callables turn by turn, so that both meet the same noise.

    Args:
        ours: Called ``repeats`` times after one call that is not timed.
        peer: Likewise.
        repeats: At least 1.

    Returns:
        Median seconds a call of each.
    """
    taken: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for function, seconds in zip((ours, peer), taken, strict=True):
            start = time.perf_counter()
            function()
            if repeat:
                seconds.append(time.perf_counter() - start)
    return statistics.median(taken[0]), statistics.median(taken[1])
