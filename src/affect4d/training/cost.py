"""Cost of a training run: operations, time, memory."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from affect4d.memory import peak_memory
from affect4d.training.dataset import BatchLoader
from affect4d.training.distributed import Ranks
from affect4d.training.guards import kept_statistics
from affect4d.training.objectives import TrainingTask

NOT_MEASURED = "not measured"
COUNTED_SAMPLES = 4

_Item = TypeVar("_Item")


@dataclass
class TrainingCost:
    """Cost of a run, over all its sessions where it was interrupted.

    Operations are those of forward and backward pass, a multiplication with an addition being two; ``processes`` is
    the largest number at the same time, ``peak_bytes`` the most memory one of them held: on a GPU in this training, on
    a CPU since the process began.
    """

    flops_per_sample: float = 0.0
    samples: int = 0
    seconds: float = 0.0
    waiting_seconds: float = 0.0
    processes: int = 1
    device: str = "cpu"
    peak_bytes: int = 0

    def summary(self) -> dict[str, float | str]:
        """Rounded figures for the report and MLflow."""
        return {
            "gflops_per_sample": round(self.flops_per_sample / 1e9, 4),
            "tflops_in_all": round(self.flops_per_sample * self.samples / 1e12, 3),
            "samples_per_second": round(self.samples / self.seconds, 1) if self.seconds else NOT_MEASURED,
            "waiting_share": round(self.waiting_seconds / self.seconds, 4) if self.seconds else NOT_MEASURED,
            "device": self.device,
            "peak_gib": round(self.peak_bytes / 2**30, 3),
        }


class CostMeter:
    """Adds time and memory to a cost, from now on."""

    def __init__(self, cost: TrainingCost, device: torch.device, ranks: Ranks) -> None:
        self._cost, self._device, self._last = cost, device, time.perf_counter()
        cost.processes = max(cost.processes, ranks.world_size)
        cost.device = "cpu"
        if device.type == "cuda":
            cost.device = torch.cuda.get_device_name(device)
            torch.cuda.reset_peak_memory_stats(device)

    def waiting(self, batches: Iterator[_Item]) -> Iterator[_Item]:
        """The same batches; the time each takes to arrive is counted."""
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self._cost.waiting_seconds += time.perf_counter() - start
            if batch is None:
                return
            yield batch
            self.update()

    def update(self) -> None:
        """Add the time since the last update."""
        now = time.perf_counter()
        self._cost.seconds += now - self._last
        self._last = now
        on_gpu = self._device.type == "cuda"
        held = torch.cuda.max_memory_allocated(self._device) if on_gpu else peak_memory()
        self._cost.peak_bytes = max(self._cost.peak_bytes, held)


def count_flops(model: Any, loader: BatchLoader, task: TrainingTask[Any, Any]) -> float:
    """Operations a sample, forward and backward, counted on the first samples of the first batch.

    Leaves the model and the random state as they were.
    """
    rows = loader.steps[0][0]
    batch = loader.make(slice(rows.start, min(rows.stop, rows.start + COUNTED_SAMPLES)))
    with torch.random.fork_rng(), kept_statistics(model), FlopCounterMode(display=False) as counter:
        task.value(model, batch).loss.backward()  # type: ignore[no-untyped-call]
    model.zero_grad(set_to_none=True)
    return float(counter.get_total_flops()) / len(batch.sequences)
