"""The triplet sum at the batch sizes that are trained: no N³ tensor, and the same figure as one."""

import torch

from affect4d.losses.affect import triplet_margin


def draw(rows):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, 16, generator=generator), torch.arange(rows) % 6


def test_sorted_sum_equals_the_full_cube_in_single_precision():
    z, y = draw(120)
    unit = torch.nn.functional.normalize(z, dim=1)
    squared = 2 - 2 * unit @ unit.T
    same = (y[:, None] == y[None]) & ~torch.eye(120, dtype=torch.bool)
    valid = same[:, :, None] & (y[:, None] != y[None])[:, None, :]
    cube = (squared[:, :, None] - squared[:, None, :] + 0.3).relu()[valid].mean()
    torch.testing.assert_close(triplet_margin(z, y, 0.3), cube, rtol=1e-5, atol=1e-6)


def test_a_thousand_rows_need_no_cube():
    z, y = draw(1024)
    z.requires_grad_()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.numel()) or t, lambda t: t):
        value = triplet_margin(z, y, 0.3)
    value.backward()
    assert torch.isfinite(z.grad).all()
    assert max(saved) <= 1024 * 1025
