"""Multi-positive image–text contrast against CLIP's loss and against its definition, written as loops."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from affect4d.losses.contrastive import class_positives, multi_positive_contrast


def draw(images=6, texts=9, width=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = normalize(torch.randn(images + texts, width, generator=generator, dtype=torch.float64), dim=1)
    return rows[:images], rows[images:]


def naive_direction(logits, positives):
    rows = []
    for row, fits in zip(logits.tolist(), positives.tolist(), strict=True):
        total = math.log(sum(math.exp(value) for value in row))
        terms = [total - value for value, fit in zip(row, fits, strict=True) if fit]
        if terms:
            rows.append(sum(terms) / len(terms))
    return sum(rows) / len(rows) if rows else 0.0


def test_equals_the_loops_in_both_directions():
    images, texts = draw()
    positives = class_positives(torch.arange(6) % 3, torch.arange(9) % 4)
    logits = 5 * images @ texts.T
    naive = (naive_direction(logits, positives) + naive_direction(logits.T, positives.T)) / 2
    assert float(multi_positive_contrast(images, texts, positives, 5.0)) == pytest.approx(naive, abs=1e-6)


def test_one_positive_a_row_is_the_loss_of_clip():
    images, texts = draw(texts=6)
    logits, target = 5 * images @ texts.T, torch.arange(6)
    published = (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2
    torch.testing.assert_close(multi_positive_contrast(images, texts, class_positives(target, target), 5.0), published)


def test_nothing_learnt_costs_the_logarithm_of_the_prompts():
    images, _ = draw()
    same = images[:1].repeat(6, 1)
    positives = torch.eye(6, dtype=torch.bool)
    assert float(multi_positive_contrast(same, same, positives, 20.0)) == pytest.approx(math.log(6))


def test_order_does_not_matter():
    images, texts = draw()
    positives = class_positives(torch.arange(6) % 3, torch.arange(9) % 3)
    rows, columns = torch.tensor([3, 1, 0, 5, 4, 2]), torch.arange(8, -1, -1)
    torch.testing.assert_close(
        multi_positive_contrast(images[rows], texts[columns], positives[rows][:, columns], 5.0),
        multi_positive_contrast(images, texts, positives, 5.0),
    )


def test_rows_without_a_positive_are_left_out_and_none_at_all_is_zero():
    images, texts = draw()
    images.requires_grad_()
    value = multi_positive_contrast(images, texts, torch.zeros(6, 9, dtype=torch.bool), 5.0)
    (gradient,) = torch.autograd.grad(value, images)
    assert value == 0
    assert (gradient == 0).all()


def test_a_single_fitting_pair_is_the_whole_mean():
    images, texts = draw()
    positives = torch.zeros(6, 9, dtype=torch.bool)
    positives[2, 4] = True
    logits = 5 * images @ texts.T
    naive = (naive_direction(logits, positives) + naive_direction(logits.T, positives.T)) / 2
    assert float(multi_positive_contrast(images, texts, positives, 5.0)) == pytest.approx(naive, abs=1e-6)


def test_gradient_is_the_one_finite_differences_give():
    images, texts = draw()
    positives = class_positives(torch.arange(6) % 3, torch.arange(9) % 4)
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda i, t, s: multi_positive_contrast(i, t, positives, s),
        (images.requires_grad_(), texts.requires_grad_(), scale),
    )
