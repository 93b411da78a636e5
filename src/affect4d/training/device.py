"""Where and in which precision a model is trained."""

import contextlib
import os
from collections.abc import Iterator

import torch
from torch import nn

from affect4d.models.encoders import TextEncoder, ViewEncoder
from affect4d.training.options import TrainOptions

_PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str) -> torch.device:
    """``"auto"`` is CUDA where there is one, else the CPU; on a host with several processes, each has its own GPU.

    Raises:
        ValueError: If CUDA is asked for and there is no GPU that it reaches.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "There is no GPU that CUDA reaches here (nvidia-smi lists them), and device: cuda was asked for, as "
            "--env=gpu does. With device: auto, a machine without one trains on its processor."
        )
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return torch.device(name)


def tower_precision(options: TrainOptions, device: torch.device) -> torch.dtype | None:
    """Type of numbers inside the towers; None is float32."""
    if options.precision != "auto":
        return _PRECISIONS[options.precision]
    if device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def set_precision(model: nn.Module, precision: torch.dtype | None) -> None:
    """Let the towers compute in a precision while they train; what follows them stays float32."""
    for module in model.modules():
        if isinstance(module, ViewEncoder | TextEncoder):
            module.precision = precision


def compile_towers(model: nn.Module) -> None:
    """Compile the towers in place; names of weights stay."""
    for module in model.modules():
        if isinstance(module, ViewEncoder | TextEncoder):
            module.tower.compile()


def threads_of(options: TrainOptions, processes: int = 1) -> int:
    """Threads a process may use, so that those of one host together do not exceed what was asked for."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, (options.threads or cores) // processes)


@contextlib.contextmanager
def with_threads(count: int) -> Iterator[None]:
    """Run torch on so many threads, then as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
