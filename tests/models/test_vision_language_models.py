import pytest
import torch

from affect4d.models import MODELS, EncoderOptions, ModelOptions, build_model, clip_tokens, load_model, save_model

SMALL = ModelOptions(
    encoder=EncoderOptions(
        text="compact", image_width=64, text_width=32, text_layers=1, text_heads=2, context_length=16
    ),
    dim=24,
    views=3,
    channels=2,
    projector_width=32,
)
PROMPTS = ["a joyful face", "an angry older man", "a joyful face", "she looks surprised and a little afraid"]


@pytest.fixture
def images():
    return torch.randn(4, 3, 2, 32, 32, generator=torch.Generator().manual_seed(5))


@pytest.fixture(params=sorted(MODELS))
def model(request):
    return build_model(request.param, SMALL, seed=1).eval()


@pytest.fixture(params=["affect_vlm", "smile_vlm"])
def language_model(request):
    return build_model(request.param, SMALL, seed=1).eval()


def test_embeddings_are_unit_vectors_of_the_promised_shapes(model, images):
    embedding = model.embed_views(images)
    dim = embedding.fused.shape[1]
    assert embedding.hidden.shape == (4, 3, 64)
    assert embedding.views.shape == (4, 3, dim)
    torch.testing.assert_close(embedding.views.norm(dim=-1), torch.ones(4, 3))
    torch.testing.assert_close(embedding.fused.norm(dim=-1), torch.ones(4))


def test_samples_are_embedded_independently_of_their_order(model, images):
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(model.embed_views(images[order]).fused, model.embed_views(images).fused[order])


def test_a_missing_view_is_never_looked_at(model, images):
    present = torch.ones(4, 3, dtype=torch.bool)
    present[1, 2] = False
    spoilt = images.clone()
    spoilt[1, 2] = torch.nan
    embedding = model.embed_views(spoilt, present)
    assert embedding.fused.isfinite().all()
    assert not embedding.views[1, 2].any()
    torch.testing.assert_close(embedding.fused[[0, 2, 3]], model.embed_views(images).fused[[0, 2, 3]])


def test_saved_and_loaded_models_agree_to_the_last_bit(model, images, tmp_path):
    loaded = load_model(save_model(model, tmp_path / "model"))
    assert type(loaded) is type(model)
    assert torch.equal(loaded.embed_views(images).fused, model.embed_views(images).fused)
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())


def test_a_model_is_loaded_where_it_is_asked_to_be(model, tmp_path):
    loaded = load_model(save_model(model, tmp_path), "meta")
    assert {tensor.device.type for tensor in loaded.state_dict().values()} == {"meta"}
    assert not loaded.training


def test_a_saved_language_model_reads_prompts_as_before(language_model, tmp_path):
    loaded = load_model(save_model(language_model, tmp_path))
    tokens = clip_tokens(PROMPTS, 16)
    assert torch.equal(loaded.embed_texts(tokens), language_model.embed_texts(tokens))


def test_prompts_become_unit_vectors_whatever_the_padding_and_the_company(language_model):
    together = language_model.embed_texts(clip_tokens(PROMPTS, 16))
    alone = torch.cat([language_model.embed_texts(clip_tokens([prompt], 16)) for prompt in PROMPTS])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(4))
    assert torch.equal(together[0], together[2])
    assert not torch.allclose(together[0], together[1])


def test_equal_seeds_give_equal_encoders_in_every_model_and_leave_the_callers_randomness_alone():
    before = torch.random.get_rng_state()
    first, second = build_model("affect_vlm", SMALL, seed=3), build_model("view_classifier", SMALL, seed=3)
    encoders = zip(first.image.tower.parameters(), second.image.tower.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in encoders)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_another_seed_gives_other_weights():
    one, other = (build_model("smile_vlm", SMALL, seed=seed).projector.layers[0].weight for seed in (0, 1))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("views", [2, 4])
def test_a_wrong_number_of_views_is_named(model, views):
    with pytest.raises(ValueError, match=rf"built for 3 views of 2 channels; the images have {views} views"):
        model.embed_views(torch.zeros(1, views, 2, 32, 32))


def test_an_unknown_model_is_refused_with_the_list_of_known_ones():
    with pytest.raises(ValueError, match="affect_vlm, smile_vlm, view_classifier"):
        build_model("affect", SMALL)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="not written by save_model"):
        load_model(tmp_path)


def test_the_margin_starts_half_way_and_never_leaves_its_bounds():
    model = build_model("affect_vlm", SMALL)
    assert model.margin(0.1, 0.5).item() == pytest.approx(0.3)
    for extreme, bound in ((-1e4, 0.1), (1e4, 0.5)):
        model.free_margin.data.fill_(extreme)
        assert model.margin(0.1, 0.5).item() == pytest.approx(bound)


@pytest.mark.parametrize(("free", "scale"), [(-3.0, 1.0), (9.0, 100.0)])
def test_the_temperature_is_clamped_but_finds_its_way_back(free, scale):
    temperature = build_model("affect_vlm", SMALL).temperature
    temperature.logit_scale.data.fill_(free)
    temperature().backward()
    assert temperature().item() == pytest.approx(scale)
    assert temperature.logit_scale.grad.item() > 0


def test_logits_of_the_classifier_have_one_column_a_class(images):
    assert build_model("view_classifier", SMALL).eval().classify(images).shape == (4, 6)
