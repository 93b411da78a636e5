"""Device, precision, compilation and threads of a training run."""

import contextlib
import os
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from affect4d.models.encoders import ViewEncoder
from affect4d.models.text_encoders import TextEncoder
from affect4d.training.options import TrainOptions

_PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str) -> torch.device:
    """``"auto"`` is CUDA where there is one, else the CPU; on a host with several processes, each has its own GPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "There is no GPU that CUDA reaches here (nvidia-smi lists them), and device: cuda was asked for, as "
            "--env=gpu does. With device: auto, a machine without one trains on its CPU."
        )
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return torch.device(name)


def encoder_precision(options: TrainOptions, device: torch.device) -> torch.dtype | None:
    """Precision inside the encoders; None is float32."""
    if options.precision != "auto":
        return _PRECISIONS[options.precision]
    if device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def encoders_of(model: nn.Module) -> list[ViewEncoder | TextEncoder]:
    """The image and text encoders of a model."""
    return [module for module in model.modules() if isinstance(module, ViewEncoder | TextEncoder)]


def threads_of(options: TrainOptions, processes: int = 1) -> int:
    """CPU threads of each of the processes of one host, which share the threads asked for."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, (options.threads or cores) // processes)


@contextlib.contextmanager
def with_threads(count: int) -> Iterator[None]:
    """Set the number of torch's threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def random_state(model: nn.Module) -> dict[str, Tensor]:
    """States of the generators that dropout uses, by device."""
    states = {"cpu": torch.get_rng_state()}
    if any(parameter.is_cuda for parameter in model.parameters()):
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_state(states: Mapping[str, Tensor], model: nn.Module) -> None:
    """Set the generators as :func:`random_state` found them; those of a device that is not used stay."""
    if "cpu" in states:
        torch.set_rng_state(states["cpu"])
    if "cuda" in states and any(parameter.is_cuda for parameter in model.parameters()):
        torch.cuda.set_rng_state(states["cuda"])
