"""L_MV and L_CM of SMILE-VLM against the published Barlow Twins code and against their definitions."""

import pytest
import torch

from affect4d.losses.decorrelation import (
    barlow_twins,
    cross_correlation,
    cross_modal_redundancy,
    multiview_decorrelation,
    standardise,
)


def draw(batch=10, views=3, width=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, views, width, generator=generator, dtype=torch.float64)


def off_diagonal(matrix):
    """The published reading of the off-diagonal: a flattened view with the diagonal cut off."""
    n = matrix.shape[0]
    return matrix.flatten()[:-1].view(n - 1, n + 1)[:, 1:].flatten()


def published_barlow_twins(a, b, weight):
    """Forward of the authors' ``BarlowTwins`` after its projector, with its affine-free batch normalisation."""
    normalise = torch.nn.BatchNorm1d(a.shape[1], affine=False).double()
    c = normalise(a).T @ normalise(b)
    c.div_(len(a))
    on_diagonal = torch.diagonal(c).add_(-1).pow_(2).sum()
    return on_diagonal + weight * off_diagonal(c).pow_(2).sum()


@pytest.mark.parametrize("weight", [0.0, 0.0051, 1.0])
def test_barlow_twins_is_the_published_formula(weight):
    a, b, _ = draw().unbind(dim=1)
    torch.testing.assert_close(barlow_twins(a, b, weight), published_barlow_twins(a, b, weight), atol=1e-9, rtol=0)


def test_multiview_decorrelation_is_the_mean_of_view_pairs_per_feature():
    views = draw()
    u, v, w = views.unbind(dim=1)
    naive = (barlow_twins(u, v, 0.01) + barlow_twins(u, w, 0.01) + barlow_twins(v, w, 0.01)) / 3 / 6
    torch.testing.assert_close(multiview_decorrelation(views, 0.01), naive)


def test_redundancy_is_the_off_diagonal_of_the_correlation():
    fused, text, _ = draw().unbind(dim=1)
    columns = [(x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt() for x in (fused, text)]
    naive = sum(
        float((columns[0][:, k] * columns[1][:, other]).mean()) ** 2
        for k in range(6)
        for other in range(6)
        if k != other
    )
    assert float(cross_modal_redundancy(fused, text)) == pytest.approx(naive / 6, abs=1e-6)


def test_identical_views_agree_in_every_feature():
    views = draw(views=1, batch=400).repeat(1, 3, 1)
    correlation = cross_correlation(views[:, 0], views[:, 1])
    torch.testing.assert_close(correlation.diagonal(), torch.ones(6).double(), atol=1e-4, rtol=0)
    assert float(multiview_decorrelation(views, 0.0)) == pytest.approx(0.0, abs=1e-6)


def test_repeating_every_sample_changes_nothing():
    views = draw()
    torch.testing.assert_close(multiview_decorrelation(views.repeat(3, 1, 1)), multiview_decorrelation(views))


def test_order_of_samples_views_and_scale_does_not_matter():
    views = draw()
    value = multiview_decorrelation(views)
    torch.testing.assert_close(multiview_decorrelation(views.flip(0)), value)
    torch.testing.assert_close(multiview_decorrelation(views.flip(1)), value)
    torch.testing.assert_close(multiview_decorrelation(50 * views + 3), value, atol=1e-4, rtol=0)


@pytest.mark.parametrize("width", [8, 64])
def test_scale_on_independent_features_is_one_at_any_width(width):
    batch, weight = 128, 0.0051
    values = [multiview_decorrelation(draw(batch, 2, width, seed), weight) for seed in range(12)]
    expected = 1 + (1 + weight * (width - 1)) / (batch - 1)
    assert float(torch.stack(values).mean()) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("width", [8, 64])
def test_scale_of_redundancy_on_independent_features_is_width_over_batch(width):
    values = [cross_modal_redundancy(*draw(128, 2, width, seed).unbind(dim=1)) for seed in range(12)]
    assert float(torch.stack(values).mean()) == pytest.approx((width - 1) / 127, rel=0.1)


def test_constant_features_stay_finite_and_cost_one_each():
    views = draw()
    views[..., 0] = 4.0
    views.requires_grad_()
    value = multiview_decorrelation(views) + cross_modal_redundancy(views[:, 0], views[:, 1])
    (gradient,) = torch.autograd.grad(value, views)
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()
    constant = torch.ones(5, 2, 3, dtype=torch.float64)
    assert float(multiview_decorrelation(constant)) == pytest.approx(1.0)


def test_gradient_is_the_one_finite_differences_give():
    views = draw(batch=5, width=3).requires_grad_()
    assert torch.autograd.gradcheck(multiview_decorrelation, (views,))
    fused, text = draw(batch=5, views=2, width=3).unbind(dim=1)
    assert torch.autograd.gradcheck(cross_modal_redundancy, (fused.requires_grad_(), text.requires_grad_()))


def test_a_batch_of_one_is_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"at least two samples\. Use a larger batch, or drop"):
        standardise(torch.ones(1, 4))


def test_two_samples_are_enough():
    pair = torch.tensor([[1.0, 5.0], [3.0, -5.0]], dtype=torch.float64)
    torch.testing.assert_close(standardise(pair, epsilon=0.0), torch.tensor([[-1.0, 1.0], [1.0, -1.0]]).double())


def test_one_view_is_refused():
    with pytest.raises(ValueError, match=r"at least two\. Weigh it 0 for one view"):
        multiview_decorrelation(draw(views=1))
