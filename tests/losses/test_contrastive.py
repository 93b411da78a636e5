"""NT-Xent as published, and the triplet sum at the batch sizes that are trained: no N³ tensor, the same figure."""

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from affect4d.losses.contrastive import instance_contrast, triplet_margin


@pytest.fixture
def views():
    return torch.randn(5, 2, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_two_views_give_nt_xent_as_published(views):
    """Chen et al. 2020, equation 1 and algorithm 1, written as loops: rows 2k and 2k + 1 are a pair."""
    rows = views.flatten(0, 1)
    total = 0.0
    for one in range(10):
        other = one + 1 if one % 2 == 0 else one - 1
        shares = [math.exp(cosine_similarity(rows[one], row, dim=0).item() / 0.2) for row in rows]
        total += -math.log(shares[other] / (sum(shares) - shares[one]))
    assert float(instance_contrast(views, 0.2)) == pytest.approx(total / 10)


def test_its_gradient_is_right(views):
    assert torch.autograd.gradcheck(instance_contrast, views.requires_grad_())


def test_views_that_agree_and_samples_that_differ_cost_least(views):
    apart = normalize(torch.eye(5, 8, dtype=torch.float64), dim=1)[:, None].repeat(1, 3, 1)
    assert float(instance_contrast(apart)) < float(instance_contrast(torch.randn(5, 3, 8, dtype=torch.float64)))


def test_equal_embeddings_are_finite_and_worth_the_logarithm_of_the_others():
    same = torch.ones(4, 2, 3, dtype=torch.float64, requires_grad=True)
    loss = instance_contrast(same)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(7))
    assert same.grad.isfinite().all()


def test_one_view_is_refused():
    with pytest.raises(ValueError, match="at least two"):
        instance_contrast(torch.zeros(3, 1, 4))


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
