import pytest
import torch

from affect4d.losses.contrastive import instance_contrast, pair_contrast, triplet_margin
from affect4d.models import build_model, clip_tokens
from affect4d.training.batch_loader import LabelledBatch, UnlabelledBatch
from affect4d.training.gradients_and_optimizer import build_optimizer
from affect4d.training.objectives import (
    METHODS,
    affect_objective,
    encode_faces_and_texts,
    simclr_objective,
    smile_objective,
)
from affect4d.training.options import AffectOptions, CrossEntropyOptions, SimclrOptions, SmileOptions, TrainOptions

WORDS = ["angry", "afraid", "happy", "sad"] * 2
CLASSES = torch.tensor([0, 1, 2, 3] * 2)


@pytest.fixture
def eight():
    """Eight samples of four classes, two samples of a class looking alike."""
    generator = torch.Generator().manual_seed(1)
    kinds = torch.randn(4, 3, 4, 24, 24, generator=generator)
    images = kinds[CLASSES] + 0.3 * torch.randn(8, 3, 4, 24, 24, generator=generator)
    return images, clip_tokens([f"a {word} face" for word in WORDS], 16), CLASSES, torch.arange(8)


OPTIONS = {
    "affect_vlm": AffectOptions(),
    "smile_vlm": SmileOptions(),
    "cross_entropy": CrossEntropyOptions(label_smoothing=0.0),
}


@pytest.fixture(params=["affect_vlm", "smile_vlm", "cross_entropy"])
def task(request, eight, model_options):
    method = METHODS[request.param]
    model = build_model(method.model, model_options.model_copy(update={"fusion": "attention"}), seed=0)
    return model.train(), method.batch(*eight), method.task(OPTIONS[request.param]).value


def test_every_trainable_parameter_gets_a_gradient(task):
    model, batch, objective = task
    objective(model, batch).loss.backward()
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert [name for name, parameter in trainable.items() if parameter.grad is None] == []
    assert all(parameter.grad.isfinite().all() for parameter in trainable.values())
    assert [name for name, parameter in model.named_parameters() if not parameter.requires_grad] == (
        ["text.tower.token_embedding.weight"] if hasattr(model, "text") else []
    )


def test_eight_samples_are_learnt_by_heart(task):
    model, batch, objective = task
    optimiser = build_optimizer(model, TrainOptions(learning_rate=3e-3))
    for _ in range(40):
        optimiser.zero_grad()
        objective(model, batch).loss.backward()
        optimiser.step()
    if hasattr(model, "classify"):
        assert torch.equal(model.classify(batch.images).argmax(dim=1), CLASSES)
    else:
        cosines = model.embed_views(batch.images).fused @ model.embed_texts(batch.texts).T
        assert torch.equal(CLASSES[cosines.argmax(dim=1)], CLASSES)


def test_the_affect_objective_is_its_weighted_terms(eight, model_options):
    model, batch = build_model("affect_vlm", model_options).eval(), LabelledBatch(*eight)
    options = AffectOptions(align=0.7, pairs=0.2, triplets=3.0, mining="all")
    value = affect_objective(model, encode_faces_and_texts(model, batch), options)
    terms = value.terms
    expected = 0.7 * terms["align"] + 0.2 * terms["pairs"] + 3.0 * terms["triplets"]
    torch.testing.assert_close(value.loss.detach(), expected)
    assert options.margin_low < terms["alpha"].item() < options.margin_high


def test_pairs_and_triplets_range_over_views_and_prompts(eight, model_options):
    model, batch = build_model("affect_vlm", model_options).eval(), LabelledBatch(*eight)
    terms = affect_objective(model, encode_faces_and_texts(model, batch), AffectOptions(mining="all")).terms
    rows = torch.cat([model.embed_views(batch.images).views.flatten(0, 1), model.embed_texts(batch.texts)])
    labels = torch.cat([CLASSES.repeat_interleave(3), CLASSES])
    torch.testing.assert_close(terms["pairs"], pair_contrast(rows, labels, terms["alpha"]).detach())
    torch.testing.assert_close(terms["triplets"], triplet_margin(rows, labels, terms["alpha"]).detach())


def test_hard_triplets_do_not_collapse(eight, model_options):
    model, batch = build_model("affect_vlm", model_options, seed=0).train(), LabelledBatch(*eight)
    options = AffectOptions(align=0.0, pairs=0.0, triplets=1.0, mining="hardest")
    optimiser = build_optimizer(model, TrainOptions(learning_rate=3e-3))
    for _ in range(40):
        optimiser.zero_grad()
        value = affect_objective(model, encode_faces_and_texts(model, batch), options)
        value.loss.backward()
        optimiser.step()
    fused = model.embed_views(batch.images).fused
    assert (fused @ fused.T).min() < 0.9
    assert value.terms["triplets"] < 0.1


def test_the_smile_objective_is_its_weighted_terms(eight, model_options):
    model, batch = build_model("smile_vlm", model_options).eval(), UnlabelledBatch(*eight)
    value = smile_objective(
        model, encode_faces_and_texts(model, batch), SmileOptions(decorrelation=0.5, beta=2.0, gamma=0.3)
    )
    terms = value.terms
    expected = 0.5 * terms["decorrelation"] + 2.0 * terms["alignment"] + 0.3 * terms["redundancy"]
    torch.testing.assert_close(value.loss.detach(), expected)


def test_the_smile_objective_depends_on_groups_only_by_their_equality(eight, model_options):
    images, tokens, groups, sequences = eight
    model = build_model("smile_vlm", model_options).eval()
    batches = [UnlabelledBatch(images, tokens, renamed, sequences) for renamed in (groups, 17 - 3 * groups)]
    values = [smile_objective(model, encode_faces_and_texts(model, batch), SmileOptions()).loss for batch in batches]
    assert torch.equal(*values)


def test_simclr_sees_the_projected_views_and_no_text(eight, model_options):
    model, batch = build_model("smile_vlm", model_options).eval(), UnlabelledBatch(*eight)
    seen = encode_faces_and_texts(model, batch)
    value = simclr_objective(model, seen, SimclrOptions(temperature=0.2))
    torch.testing.assert_close(value.loss, instance_contrast(model.project(seen.hidden), 0.2))
    value.loss.backward()
    assert all(parameter.grad is None for parameter in model.text.parameters())
    assert METHODS["simclr"].batch is UnlabelledBatch


def test_one_view_trains_where_no_pair_is_asked_for(eight, model_options):
    images, *rest = eight
    model = build_model("smile_vlm", model_options.model_copy(update={"views": 1}))
    seen = encode_faces_and_texts(model, UnlabelledBatch(images[:, :1], *rest))
    assert smile_objective(model, seen, SmileOptions(decorrelation=0)).terms["decorrelation"] == 0
    with pytest.raises(ValueError, match="at least two"):
        smile_objective(model, seen, SmileOptions())


def test_a_margin_whose_bounds_are_crossed_is_refused():
    with pytest.raises(ValueError, match="margin_low"):
        AffectOptions(margin_low=0.6, margin_high=0.5)
