from itertools import pairwise

import pytest
import torch

from affect4d.models import build_model
from affect4d.training.gradients_and_optimizer import build_optimizer, build_schedule, clip_gradients
from affect4d.training.options import TrainOptions


def test_norms_biases_temperature_margin_and_view_weights_do_not_decay(model_options):
    model = build_model("affect_vlm", model_options)
    optimiser = build_optimizer(model, TrainOptions())
    undecayed = {id(p) for group in optimiser.param_groups if group["weight_decay"] == 0 for p in group["params"]}
    named = {name: id(parameter) in undecayed for name, parameter in model.named_parameters()}
    for name in ("free_margin", "temperature.logit_scale", "image.fusion.view_scores", "image.tower.norm.bias"):
        assert named[name]
    for name in ("image.tower.stem.weight", "image.projection.weight"):
        assert not named[name]


def test_every_trainable_parameter_is_in_one_group(model_options):
    model = build_model("affect_vlm", model_options)
    grouped = [id(p) for group in build_optimizer(model, TrainOptions()).param_groups for p in group["params"]]
    trainable = [id(p) for p in model.parameters() if p.requires_grad]
    assert sorted(grouped) == sorted(trainable)


def test_the_margin_learns_faster(model_options):
    model = build_model("affect_vlm", model_options)
    rates = {id(p): g["lr"] for g in build_optimizer(model, TrainOptions()).param_groups for p in g["params"]}
    assert rates[id(model.free_margin)] == 5 * rates[id(model.temperature.logit_scale)]


def test_the_rate_rises_over_the_warm_up_and_falls_to_zero():
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = build_schedule(optimiser, steps=100, warmup=0.1)
    rates = []
    for _ in range(100):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert rates[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert all(before >= after for before, after in pairwise(rates[10:]))
    assert rates[-1] < 0.001


@pytest.mark.parametrize("limit", [1e-3, 3.0, 1e3])
@pytest.mark.parametrize("spoilt", [False, True])
def test_clipping_is_torchs_own_to_the_bit_at_above_and_below_the_limit(limit, spoilt):
    ours, theirs = torch.nn.Linear(7, 5), torch.nn.Linear(7, 5)
    gradients = [torch.randn_like(parameter) for parameter in ours.parameters()]
    if spoilt:
        gradients[0][0, 0] = torch.nan
    if limit == 3.0:  # at the limit: what 1e-6 in torch's denominator is there for
        limit = float(torch.nn.utils.get_total_norm(gradients))
    for model in (ours, theirs):
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient.clone()
    norms = clip_gradients(ours, limit), torch.nn.utils.clip_grad_norm_(theirs.parameters(), limit)
    assert torch.equal(*norms) or spoilt
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one.grad.nan_to_num(7), two.grad.nan_to_num(7))
