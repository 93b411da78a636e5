import logging

import pytest
import torch

from affect4d.training import device
from affect4d.training.device import choose_device


@pytest.fixture
def gpu(monkeypatch):
    """A GPU of some compute capability, and a torch built for some architectures."""

    def install(capability, *built):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: list(built))
        device._warn_once.cache_clear()

    monkeypatch.delenv("LOCAL_RANK", raising=False)
    return install


@pytest.mark.parametrize(
    ("capability", "built"),
    [
        ((8, 0), ["sm_75", "sm_80"]),
        ((8, 6), ["sm_75", "sm_80"]),  # of the same major version, and later
        ((12, 0), ["sm_80", "compute_90"]),  # compiled when it is loaded
        ((9, 0), ["sm_80", "sm_90a"]),
        ((12, 1), ["sm_120"]),
        ((9, 4), ["gfx942"]),  # AMD's
        ((8, 0), []),
    ],
)
def test_a_gpu_that_torch_was_built_for_is_used(gpu, capability, built):
    gpu(capability, *built)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda")


@pytest.mark.parametrize(
    ("capability", "built"),
    [
        ((6, 1), ["sm_75", "sm_80", "compute_90"]),
        ((8, 0), ["sm_86"]),
        ((9, 0), ["sm_80"]),
        ((10, 0), ["sm_90a", "compute_90a"]),
    ],
)
def test_with_another_gpu_the_cpu_is_used_and_cuda_is_refused(gpu, capability, built, caplog):
    gpu(capability, *built)
    with caplog.at_level(logging.WARNING):
        assert choose_device("auto") == choose_device("auto") == torch.device("cpu")
    (told,) = caplog.messages
    assert f"GPU 0 has the compute capability {capability[0]}.{capability[1]}" in told
    assert ", ".join(built) in told
    assert "The CPU is used." in told
    with pytest.raises(ValueError, match=r"Install a build of torch.*device: auto"):
        choose_device("cuda")


def test_each_process_of_a_host_looks_at_its_own_gpu(gpu, monkeypatch):
    gpu((8, 0), "sm_80")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (8, 0) if index == 1 else (6, 1))
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("cuda") == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(ValueError, match="GPU 0"):
        choose_device("cuda")


def test_without_a_gpu_auto_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
