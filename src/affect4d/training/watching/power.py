"""Energy counters: NVIDIA's for a GPU (where ``pynvml`` is installed), RAPL's for a processor (where readable)."""

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")

Counter = Callable[[], float]
"""Joules since some moment."""


class EnergyMeter:
    """Joules since it was last asked; None where the machine does not tell.

    A processor's counter is that of the whole package: what else runs on the machine is in it.
    """

    def __init__(self, device: torch.device, powercap: Path = POWERCAP) -> None:
        self._counters = list(_gpu_counter(device) if device.type == "cuda" else _package_counters(powercap))
        self._last = [counter() for counter in self._counters]

    def since_last(self) -> float | None:
        """Joules; a counter that started over in between counts as 0."""
        now = [counter() for counter in self._counters]
        pairs = list(zip(now, self._last, strict=True))
        self._last = now
        return sum(max(0.0, value - before) for value, before in pairs) if pairs else None


def _gpu_counter(device: torch.device) -> Iterator[Counter]:
    """A counter of one GPU, by NVIDIA's management library."""
    with contextlib.suppress(Exception):
        pynvml = importlib.import_module("pynvml")
        pynvml.nvmlInit()
        uuid = str(torch.cuda.get_device_properties(device).uuid).removeprefix("GPU-")
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        yield lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000


def _package_counters(powercap: Path) -> Iterator[Counter]:
    """A counter for every readable processor package (RAPL)."""
    for file in sorted(powercap.glob("intel-rapl:?/energy_uj")):
        with contextlib.suppress(OSError, ValueError):
            _read(file)
            yield functools.partial(_read, file)


def _read(file: Path) -> float:
    return int(file.read_text()) / 1e6
