"""L_mc and L_mt of AffectVLM against their definitions, written as loops."""

import itertools
import math

import pytest
import torch

from affect4d.losses.contrastive import pair_and_triplet_activity, pair_contrast, supervised_contrast, triplet_margin

MINING = ("all", "hardest")


def draw(rows=12, width=5, classes=3, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(rows, width, generator=generator, dtype=dtype)
    return embeddings / embeddings.norm(dim=1, keepdim=True), torch.arange(rows) % classes


def hinge(value):
    return max(0.0, value)


def mean(values):
    return sum(values) / len(values) if values else 0.0


def naive_pair_contrast(z, y, margin):
    pairs = list(itertools.combinations(range(len(y)), 2))
    same = [1 - float(z[i] @ z[j]) for i, j in pairs if y[i] == y[j]]
    different = [hinge(float(z[i] @ z[j]) - margin) for i, j in pairs if y[i] != y[j]]
    return mean(same) + mean(different)


def naive_triplets(z, y, mining):
    squared = torch.cdist(z, z).square()
    for a in range(len(y)):
        positives = [p for p in range(len(y)) if p != a and y[p] == y[a]]
        negatives = [n for n in range(len(y)) if y[n] != y[a]]
        if not positives or not negatives:
            continue
        if mining == "all":
            yield from ((squared[a, p], squared[a, n]) for p in positives for n in negatives)
        else:
            yield max(squared[a, p] for p in positives), min(squared[a, n] for n in negatives)


def naive_triplet_margin(z, y, margin, mining):
    return mean([hinge(float(near - far) + margin) for near, far in naive_triplets(z, y, mining)])


@pytest.mark.parametrize("margin", [-0.3, 0.2, 0.9])
def test_pair_contrast_is_the_two_means_of_the_paper(margin):
    z, y = draw()
    assert float(pair_contrast(z, y, margin)) == pytest.approx(naive_pair_contrast(z, y, margin), abs=1e-6)


@pytest.mark.parametrize("mining", MINING)
@pytest.mark.parametrize("seed", range(4))
def test_triplet_margin_is_the_mean_over_its_triplets(mining, seed):
    z, y = draw(rows=11, seed=seed)
    assert float(triplet_margin(z, y, 0.4, mining)) == pytest.approx(naive_triplet_margin(z, y, 0.4, mining), abs=1e-6)


@pytest.mark.parametrize("mining", MINING)
def test_an_anchor_without_a_positive_is_in_no_triplet(mining):
    z, _ = draw(rows=8)
    y = torch.tensor([0, 0, 0, 1, 1, 2, 3, 0])
    assert float(triplet_margin(z, y, 0.9, mining)) == pytest.approx(naive_triplet_margin(z, y, 0.9, mining))


@pytest.mark.parametrize("mining", MINING)
@pytest.mark.parametrize("seed", range(6))
def test_classes_of_unequal_size_are_mined_alike(mining, seed):
    """Faces of one class scattered round the sphere, so that many a positive is further than every negative."""
    z, _ = draw(rows=11, width=2, seed=seed)
    y = torch.tensor([0, 1, 1, 2, 2, 2, 2, 2, 2, 1, 0])
    assert float(triplet_margin(z, y, 2.0, mining)) == pytest.approx(naive_triplet_margin(z, y, 2.0, mining), abs=1e-6)


def test_a_single_pair_is_its_own_mean():
    z, _ = draw(rows=2)
    cosine = float(z[0] @ z[1])
    assert float(pair_contrast(z, torch.tensor([0, 0]), 0.2)) == pytest.approx(1 - cosine)
    assert float(pair_contrast(z, torch.tensor([0, 1]), -1.0)) == pytest.approx(cosine + 1)
    z, y = draw(rows=3)[0], torch.tensor([0, 0, 1])
    assert float(triplet_margin(z, y, 4.0, "hardest")) == pytest.approx(naive_triplet_margin(z, y, 4.0, "hardest"))


@pytest.mark.parametrize("scaled", [1.0, 7.0])
def test_length_of_an_embedding_does_not_matter(scaled):
    z, y = draw()
    torch.testing.assert_close(pair_contrast(scaled * z, y, 0.2), pair_contrast(z, y, 0.2))
    torch.testing.assert_close(triplet_margin(scaled * z, y, 0.2), triplet_margin(z, y, 0.2))


def test_supervised_contrast_is_equation_two_of_supcon():
    z, y = draw(rows=8)
    rows = []
    for i in range(8):
        others = [j for j in range(8) if j != i]
        total = sum(math.exp(10 * float(z[i] @ z[j])) for j in others)
        rows.append(mean([-10 * float(z[i] @ z[p]) + math.log(total) for p in others if y[p] == y[i]]))
    assert float(supervised_contrast(z, y, 10.0)) == pytest.approx(mean(rows), abs=1e-6)
    assert supervised_contrast(z, y) == supervised_contrast(z, y, 10.0)


def losses():
    yield "pair", pair_contrast
    for mining in MINING:
        yield mining, lambda z, y, margin, m=mining: triplet_margin(z, y, margin, m)
    yield "supervised", lambda z, y, margin: supervised_contrast(z, y) + 0 * margin


every_loss = pytest.mark.parametrize("loss", [pytest.param(function, id=name) for name, function in losses()])


@every_loss
def test_gradient_is_the_one_finite_differences_give(loss):
    z, y = draw(rows=7)
    margin = torch.tensor(0.31, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z, m: loss(z, y, m), (z.clone().requires_grad_(), margin))


@every_loss
def test_order_of_the_rows_does_not_matter(loss):
    z, y = draw()
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(loss(z[order], y[order], 0.3), loss(z, y, 0.3))


def degenerate_batches():
    z, y = draw()
    yield "one class", z, torch.zeros_like(y)
    yield "all classes different", z, torch.arange(len(y))
    yield "one sample of a class", z, (torch.arange(len(y)) == 0).long()
    yield "identical embeddings", z[:1].repeat(len(z), 1), y
    yield "opposite embeddings", torch.cat([z[:6], -z[:6]]), y
    yield "one row", z[:1], y[:1]
    yield "two rows", z[:2], y[:2]


@every_loss
@pytest.mark.parametrize("margin", [-1.0, 0.0, 1.0, 4.0])
@pytest.mark.parametrize(("z", "y"), [pytest.param(z, y, id=name) for name, z, y in degenerate_batches()])
def test_degenerate_batches_stay_finite(loss, margin, z, y):
    z = z.clone().requires_grad_()
    value = loss(z, y, torch.tensor(margin, dtype=z.dtype, requires_grad=True))
    (gradient,) = torch.autograd.grad(value, z)
    assert torch.isfinite(value)
    assert value >= 0
    assert torch.isfinite(gradient).all()


def test_empty_sets_contribute_nothing():
    z, y = draw()
    one_class = torch.zeros_like(y)
    torch.testing.assert_close(pair_contrast(z, one_class, 0.2), pair_contrast(z, one_class, 0.9))
    assert all(triplet_margin(z, one_class, 0.2, mining) == 0 for mining in MINING)


def test_collapsed_embeddings_cost_exactly_the_margin():
    z, y = draw()
    point = z[:1].repeat(len(z), 1)
    for mining in MINING:
        assert float(triplet_margin(point, y, 0.25, mining)) == pytest.approx(0.25)
    assert float(pair_contrast(point, y, 0.25)) == pytest.approx(0.75)


def test_separated_classes_cost_nothing():
    y = torch.arange(9) % 3
    z = torch.eye(3, dtype=torch.float64)[y]
    assert float(pair_contrast(z, y, 0.1)) == pytest.approx(0.0, abs=1e-12)
    assert all(float(triplet_margin(z, y, 1.0, mining)) == 0 for mining in MINING)
    assert pair_and_triplet_activity(z, y, 0.1) == {"active_pairs": 0.0, "active_triplets": 0.0}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", [(6, 2), (48, 8), (96, 64)])
def test_gradients_are_bounded_whatever_the_batch(shape, seed):
    """The 'gradient-friendly' property, first half: see the docstrings for where 2, 2√2 and 2√6 come from."""
    z, y = draw(*shape, seed=seed)
    z.requires_grad_()
    (pairs,) = torch.autograd.grad(pair_contrast(z, y, -1.0), z)
    assert pairs.norm(dim=1).max() <= 2
    assert pairs.norm() <= 2 * math.sqrt(2)
    for mining in MINING:
        (triplets,) = torch.autograd.grad(triplet_margin(z, y, 4.0, mining), z)
        assert triplets.norm() <= 2 * math.sqrt(6)


def test_margin_is_pulled_up_by_pairs_and_down_by_triplets():
    z, y = draw()
    margin = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.grad(pair_contrast(z, y, margin), margin)[0] < 0
    assert torch.autograd.grad(triplet_margin(z, y, margin), margin)[0] > 0


def test_activity_is_the_share_of_open_hinges():
    z, y = draw()
    active = [near - far + 0.4 > 0 for near, far in naive_triplets(z, y, "all")]
    pairs = [z[i] @ z[j] > 0.4 for i, j in itertools.combinations(range(12), 2) if y[i] != y[j]]
    measured = pair_and_triplet_activity(z, y, 0.4)
    assert measured["active_triplets"] == pytest.approx(float(mean(active)))
    assert measured["active_pairs"] == pytest.approx(float(mean(pairs)))


def test_unknown_mining_names_the_known():
    z, y = draw()
    with pytest.raises((ValueError, TypeError), match="hardest"):  # TypeError: under the shape checker
        triplet_margin(z, y, 0.2, "easy")
