import math

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from affect4d.losses.contrastive import instance_contrast


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
