import pytest
import torch
from torch import distributed, nn

from affect4d.training.distributed import GlobalBatchNorm


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """One process: its sums are everybody's."""
    monkeypatch.setattr(distributed, "all_reduce", lambda values: None)


def rows(dtype):
    generator = torch.Generator().manual_seed(0)
    return (20 + torch.randn(999, 4, generator=generator, dtype=torch.float64)).to(dtype).requires_grad_()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single_and_given_back_in_half(dtype):
    norm, exact = GlobalBatchNorm(4), nn.BatchNorm1d(4)
    given = rows(dtype)
    with torch.autocast("cpu", dtype):
        found = norm(given)
    expected = exact(given.float())
    assert found.dtype == dtype
    torch.testing.assert_close(norm.running_mean, exact.running_mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(norm.running_var, exact.running_var, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found, expected.to(dtype), rtol=1e-2, atol=1e-3)
    found.float().square().sum().backward()
    assert given.grad.dtype == dtype


def test_double_precision_stays_double():
    norm = GlobalBatchNorm(4).double()
    given = rows(torch.float64)
    found = norm(given)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, nn.BatchNorm1d(4).double()(given), rtol=1e-12, atol=1e-12)
