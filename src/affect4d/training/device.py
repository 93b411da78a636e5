"""Device, precision, compilation and threads of a training run."""

import contextlib
import functools
import logging
import os
import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from affect4d.models.encoders import ViewEncoder
from affect4d.models.text_encoders import TextEncoder
from affect4d.training.options import TrainOptions

LOGGER = logging.getLogger(__name__)
INSTALL = "Install a build of torch and torchvision for this GPU: pytorch.org/get-started lists them."
_ARCHITECTURE = re.compile(r"(?P<kind>sm|compute)_(?P<major>\d+)(?P<minor>\d)(?P<suffix>[a-z]?)")
_PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str) -> torch.device:
    """``"auto"`` is CUDA where there is a GPU that this torch supports, else the CPU.

    On a host with several processes, each has its own GPU.

    Raises:
        ValueError: If ``"cuda"`` is asked for, and there is no GPU, or none that this torch was built for.
    """
    index = int(os.environ.get("LOCAL_RANK", "0"))
    if name == "auto":
        unsupported = unsupported_gpu(index) if torch.cuda.is_available() else ""
        if unsupported:
            _warn_once(f"{unsupported} The CPU is used. {INSTALL}")
        name = "cuda" if torch.cuda.is_available() and not unsupported else "cpu"
    elif name == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(
                "There is no GPU that CUDA reaches here (nvidia-smi lists them), and device: cuda was asked for, as "
                "--env=gpu does. With device: auto, a machine without one trains on its CPU."
            )
        if unsupported := unsupported_gpu(index):
            raise ValueError(f"{unsupported} {INSTALL} With device: auto, the CPU is used.")
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", index)
    return torch.device(name)


def unsupported_gpu(index: int) -> str:
    """Sentence on a GPU that this torch has no code for; empty if it has.

    Compiled code (``sm_80``) runs on GPUs of the same major compute capability and at least its minor one, unless it is
    for one GPU only (``sm_90a``); portable code (``compute_80``) on all later GPUs.
    """
    built = torch.cuda.get_arch_list()
    listed = [_ARCHITECTURE.fullmatch(name) for name in built]
    if None in listed or not built:  # not NVIDIA's, or not told
        return ""
    major, minor = torch.cuda.get_device_capability(index)
    for match in filter(None, listed):
        kind, made_for, suffix = match["kind"], (int(match["major"]), int(match["minor"])), match["suffix"]
        if made_for == (major, minor):
            return ""
        if not suffix and made_for < (major, minor) and (kind == "compute" or made_for[0] == major):
            return ""
    return (
        f"{torch.cuda.get_device_name(index)} has the compute capability {major}.{minor}, and torch "
        f"{torch.__version__} was built for {', '.join(built)} only."
    )


@functools.cache
def _warn_once(sentence: str) -> None:
    LOGGER.warning(sentence)


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
