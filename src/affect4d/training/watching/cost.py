"""What a training run costs: arithmetic, time, memory, energy. What the machine does not tell is "not measured"."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from affect4d.memory import peak_memory
from affect4d.training.data.batches import PlannedBatches
from affect4d.training.processes.ranks import Ranks
from affect4d.training.watching.guards import kept_statistics
from affect4d.training.watching.power import EnergyMeter

NOT_MEASURED = "not measured"
COUNTED_SAMPLES = 4

Batch = TypeVar("Batch")


@dataclass
class Cost:
    """Account of a run, over all its sessions where it was interrupted.

    Attributes:
        flops_per_sample: Floating-point operations, forward and backward; a multiplication with an addition is two.
        samples: That went through the model, on all processes.
        seconds: Of the loop.
        waiting_seconds: Of them, spent waiting for data.
        processes: That trained at the same time, at most.
        device: ``"cpu"``, or the GPU's name.
        device_hours: GPU hours, or CPU-core hours.
        peak_bytes: Most memory a process held: on a GPU, in this training; on a CPU, since the process began.
        joules: Energy of GPU or processor package while the loop ran; None where the machine does not tell.
    """

    flops_per_sample: float = 0.0
    samples: int = 0
    seconds: float = 0.0
    waiting_seconds: float = 0.0
    processes: int = 1
    device: str = "cpu"
    device_hours: float = 0.0
    peak_bytes: int = 0
    joules: float | None = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return asdict(self)

    def summary(self) -> dict[str, float | str]:
        """As a person reads it, and MLflow compares it."""
        return {
            "gflops_per_sample": round(self.flops_per_sample / 1e9, 4),
            "tflops_in_all": round(self.flops_per_sample * self.samples / 1e12, 3),
            "samples_per_second": round(self.samples / self.seconds, 1) if self.seconds else NOT_MEASURED,
            "waiting_share": round(self.waiting_seconds / self.seconds, 4) if self.seconds else NOT_MEASURED,
            "device": self.device,
            "device_hours": round(self.device_hours, 5),
            "peak_gib": round(self.peak_bytes / 2**30, 3),
            "energy_wh": NOT_MEASURED if self.joules is None else round(self.joules / 3600, 3),
        }


class CostMeter(Generic[Batch]):
    """Adds to a cost while the loop runs.

    Args:
        device: Where the model is.
        ranks: The processes that train together.
        threads: Of each, on a CPU.
    """

    def __init__(self, device: torch.device, ranks: Ranks, threads: int) -> None:
        self.cost = Cost()
        self._device, self._processes = device, ranks.count
        self._units = ranks.count if device.type == "cuda" else ranks.count * threads
        self._energy = EnergyMeter(device)
        self._mark = time.perf_counter()

    @contextlib.contextmanager
    def running(self, cost: Cost) -> Iterator[None]:
        """Count time, memory and energy meanwhile, and add them to a cost."""
        self.cost, self._mark = cost, time.perf_counter()
        cost.processes = max(cost.processes, self._processes)
        cost.device = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "cpu"
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        self._energy.since_last()
        try:
            yield
        finally:
            self.note()

    def waiting(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches; counts how long each lets itself be waited for."""
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self.cost.waiting_seconds += time.perf_counter() - start
            if batch is None:
                return
            yield batch
            self.note()

    def note(self) -> None:
        """Add what has passed since the last note."""
        now = time.perf_counter()
        passed, self._mark = now - self._mark, now
        self.cost.seconds += passed
        self.cost.device_hours += passed * self._units / 3600
        self.cost.peak_bytes = max(self.cost.peak_bytes, _peak_bytes(self._device))
        joules, before = self._energy.since_last(), self.cost.joules
        self.cost.joules = None if joules is None or before is None else before + joules


def count_flops(model: Any, batches: PlannedBatches[Any], task: Any) -> float:
    """Operations a sample, forward and backward, counted on the first samples of the first batch.

    Leaves the model and the random state as they were.
    """
    rows = batches.steps[0][0]
    batch = batches.make(slice(rows.start, min(rows.stop, rows.start + COUNTED_SAMPLES)))
    with torch.random.fork_rng(), kept_statistics(model), FlopCounterMode(display=False) as counter:
        task.value(model, batch).loss.backward()
    model.zero_grad(set_to_none=True)
    return float(counter.get_total_flops()) / len(batch.sequences)


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_memory()
