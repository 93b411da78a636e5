"""The compact encoders, and others by configuration alone: timm, open_clip from a folder, SigLIP's kind; all tiny."""

import json

import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn.functional import normalize

from affect4d.models import (
    EncoderOptions,
    ModelOptions,
    PretrainedModel,
    build_model,
    clip_tokens,
    load_model,
    save_model,
    text_preprocessor,
)
from affect4d.models.encoders import CompactImageEncoder, build_encoders


@pytest.fixture
def clip_folder(tmp_path, write_clip):
    """A plain open_clip model in a folder, and the model."""
    return tmp_path, write_clip(tmp_path, context_length=24)


def clip_options(folder, **encoders):
    shape = {"dim": 32, "views": 2, "channels": 3}
    return ModelOptions(
        encoder=EncoderOptions(image=f"local-dir:{folder}", text=f"local-dir:{folder}", context_length=20, **encoders),
        **shape,
    )


def test_the_compact_image_encoder_has_the_size_it_is_named_for():
    encoder = CompactImageEncoder(channels=6, width=256)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == pytest.approx(450_000, rel=0.01)


def test_where_something_happens_is_kept():
    encoder = CompactImageEncoder(channels=1, width=64).eval()
    left, right = torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    left[..., 20:30, 8:18], right[..., 20:30, 44:54] = 1.0, 1.0
    assert not torch.allclose(encoder(left), encoder(right), atol=1e-3)


@pytest.mark.parametrize("size", [32, 64, 96])
def test_the_compact_encoder_takes_any_size_of_picture(size):
    assert CompactImageEncoder(channels=2, width=64).eval()(torch.zeros(1, 2, size, size)).shape == (1, 64)


def test_the_token_embedding_is_frozen_and_nothing_else():
    encoders = build_encoders(EncoderOptions(text="compact", text_width=32, text_heads=2), channels=3)
    frozen = [name for name, parameter in encoders.text.named_parameters() if not parameter.requires_grad]
    assert frozen == ["token_embedding.weight"]
    assert all(parameter.requires_grad for parameter in encoders.image.parameters())


def test_tokens_begin_and_end_as_clips_do():
    tokens = clip_tokens(["a face", "a " * 50], 8)
    assert tokens.tolist()[0] == [49406, 320, 1710, 49407, 0, 0, 0, 0]
    assert tokens[1, -1] == 49407


def test_pretrained_weights_are_refused_where_there_are_none():
    with pytest.raises(ValueError, match="no pretrained weights"):
        EncoderOptions(pretrained="openai")


@pytest.mark.slow
def test_an_open_clip_folder_embeds_as_open_clip_itself(clip_folder):
    folder, clip = clip_folder
    model = build_model("affect_vlm", clip_options(folder)).eval()
    images, tokens = torch.randn(2, 2, 3, 32, 32), clip_tokens(["a joyful face", "an angry man"], 20)
    padded = torch.nn.functional.pad(tokens, (0, 4))
    mean, std = (
        torch.tensor(values).view(3, 1, 1) for values in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    first = ((images[:, 0] + 1) / 2 - mean) / std
    torch.testing.assert_close(model.embed_views(images).views[:, 0], clip.encode_image(first, normalize=True))
    torch.testing.assert_close(model.embed_texts(tokens), clip.encode_text(padded, normalize=True))


@pytest.mark.slow
def test_a_saved_open_clip_model_needs_its_first_folder_no_more(clip_folder, tmp_path):
    folder, _ = clip_folder
    model = build_model("smile_vlm", clip_options(folder)).eval()
    saved = save_model(model, tmp_path / "saved")
    for file in folder.glob("*.*"):
        file.unlink()
    images = torch.randn(1, 2, 3, 32, 32)
    assert torch.equal(load_model(saved).embed_views(images).fused, model.embed_views(images).fused)


@pytest.mark.slow
def test_missing_weights_raise_instead_of_starting_from_random_ones(clip_folder):
    folder, _ = clip_folder
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="random weights"):
        build_model("affect_vlm", clip_options(folder))


@pytest.mark.slow
def test_a_context_the_text_encoder_cannot_read_is_refused(clip_folder):
    folder, _ = clip_folder
    encoders = EncoderOptions(image=f"local-dir:{folder}", text=f"local-dir:{folder}", context_length=32)
    with pytest.raises(ValueError, match="no more than 24 tokens"):
        build_encoders(encoders, channels=3)


@pytest.mark.slow
def test_a_built_in_architecture_is_resized_to_the_pictures():
    encoders = build_encoders(
        EncoderOptions(image="open_clip:ViT-S-32-alt", text="open_clip:ViT-S-32-alt", image_size=64), channels=3
    )
    assert encoders.options.paired
    assert encoders.image(torch.zeros(1, 3, 64, 64)).shape == (1, encoders.image_width)


@pytest.mark.parametrize(
    ("name", "pretrained", "quick"),
    [
        ("ViT-B-16", "openai", True),
        ("ViT-B-16-quickgelu", "openai", True),
        ("ViT-B-16", "laion2b_s34b_b88k", False),
        ("ViT-B-16", "/a/file.safetensors", False),
    ],
)
def test_weights_get_the_activation_they_were_trained_with(monkeypatch, name, pretrained, quick):
    """OpenAI's want QuickGELU; open_clip only warns, and the encoders say nonsense."""
    asked = {}

    def create(name, weights, **shape):
        asked.update(shape)
        vision = {"layers": 1, "width": 8, "head_width": 8, "patch_size": 8, "image_size": 16}
        return open_clip.CustomTextCLIP(8, vision, {"context_length": 20, "width": 8, "heads": 1, "layers": 1})

    monkeypatch.setattr(open_clip, "create_model_from_pretrained", create)
    source = f"open_clip:{name}"
    encoders = build_encoders(
        EncoderOptions(image=source, text=source, pretrained=pretrained, context_length=20), channels=3
    )
    assert asked["force_quick_gelu"] is quick
    assert (
        encoders.options.architecture.get("quick_gelu", False) is quick
    )  # so that a saved model is the same when loaded


@pytest.fixture
def wide_clip_folder(tmp_path, write_clip):
    """The same with a longer context."""
    return tmp_path, write_clip(tmp_path, context_length=40)


def test_a_pretrained_model_embeds_as_the_published_model_does(wide_clip_folder, generator):
    folder, clip = wide_clip_folder
    pair = PretrainedModel(
        EncoderOptions(image=f"local-dir:{folder}", text=f"local-dir:{folder}", context_length=32)
    ).eval()
    grey = torch.from_numpy(generator.random((2, 3, 1, 32, 32))).float()
    mean, std = (
        torch.tensor(values).view(3, 1, 1) for values in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    pictures = (grey.flatten(0, 1).expand(-1, 3, -1, -1) - mean) / std
    with torch.inference_mode():
        ours = pair.embed_views(2 * grey - 1)
        theirs = clip.encode_image(pictures, normalize=True).view(2, 3, 32)
        texts = pair.embed_texts(clip_tokens(["a happy face", "brows raised"], 32))
        their_texts = clip.encode_text(clip_tokens(["a happy face", "brows raised"], 40), normalize=True)
    torch.testing.assert_close(ours.views, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.fused, normalize(theirs.mean(dim=1), dim=-1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(texts, their_texts, rtol=1e-4, atol=1e-5)
    assert pair.size == 32


def test_a_name_without_weights_is_refused():
    with pytest.raises(ValueError, match="has learnt nothing"):
        PretrainedModel(EncoderOptions(image="open_clip:ViT-B-32", text="open_clip:ViT-B-32"))


PROMPTS = ["a joyful face", "a face that has just begun to show a little surprise", "anger"]
CLIP = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
SIGLIP = {
    "embed_dim": 32,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {"image_size": 32, "timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"},
    "text_cfg": CLIP["text_cfg"] | {"no_causal_mask": True, "proj_bias": True, "pool_type": "last"},
}
STATISTICS = {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.2, 0.1]}


def folder_of(folder, config):
    """A plain open_clip model with random weights, as its authors publish it."""
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": STATISTICS}))
    parts = {key: value for key, value in config.items() if key != "custom_text"}
    model = open_clip.CustomTextCLIP(**json.loads(json.dumps(parts))).eval()
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors")
    return model


@pytest.fixture(params=[CLIP, SIGLIP], ids=["clip", "siglip"])
def published(request, tmp_path):
    model = folder_of(tmp_path / "published", request.param)
    source = f"local-dir:{tmp_path / 'published'}"
    return EncoderOptions(image=source, text=source), model


def options_of(encoder, channels=5):
    return ModelOptions(encoder=encoder, dim=32, views=2, channels=channels)


def check_round_trip(model, folder, channels=5):
    images = torch.rand(2, 2, channels, 32, 32) * 2 - 1
    loaded = load_model(save_model(model.eval(), folder))
    assert torch.equal(loaded.embed_views(images).fused, model.embed_views(images).fused)
    assert torch.equal(loaded.preprocess_texts(PROMPTS), model.preprocess_texts(PROMPTS))
    assert torch.equal(
        loaded.embed_texts(loaded.preprocess_texts(PROMPTS)), model.embed_texts(model.preprocess_texts(PROMPTS))
    )
    assert loaded.options == model.options


@torch.no_grad()
def test_a_timm_encoder_beside_the_compact_text_encoder(tmp_path):
    model = build_model("affect_vlm", options_of(EncoderOptions(image="timm:test_resnet", text="compact"))).eval()
    embedding = model.embed_views(torch.zeros(1, 2, 5, 32, 32))
    assert embedding.fused.shape == (1, 32)
    assert model.options.encoder.image_mean == timm.create_model("test_resnet").default_cfg["mean"]
    check_round_trip(model, tmp_path / "saved")


@torch.no_grad()
def test_timm_weights_of_three_channels_are_adapted(tmp_path):
    theirs = timm.create_model("test_resnet", num_classes=10).eval()
    save_file(theirs.state_dict(), tmp_path / "resnet.safetensors")
    options = EncoderOptions(image="timm:test_resnet", pretrained=str(tmp_path / "resnet.safetensors"))
    ours = build_encoders(options, channels=6).image.eval()
    image = torch.rand(1, 3, 32, 32)
    expected = theirs.forward_head(theirs.forward_features(image), pre_logits=True)
    torch.testing.assert_close(ours(torch.cat([image, image], dim=1)), expected)


@pytest.mark.parametrize("weights", ["resnet.pth", "imagenet"])
def test_timm_weights_are_safetensors(weights):
    with pytest.raises(ValueError, match=r"no \.safetensors file"):
        build_encoders(EncoderOptions(image="timm:test_resnet", pretrained=weights), channels=3)


@torch.no_grad()
def test_a_model_in_a_folder_embeds_as_published(published):
    options, theirs = published
    model = build_model("affect_vlm", options_of(options, channels=3)).eval()
    images = torch.rand(2, 2, 3, 32, 32)
    mean, std = (torch.tensor(STATISTICS[name]).view(3, 1, 1) for name in ("mean", "std"))
    expected = theirs.encode_image((images[:, 0] - mean) / std, normalize=True)
    torch.testing.assert_close(model.embed_views(2 * images - 1).views[:, 0], expected, rtol=1e-4, atol=1e-5)
    tokens = open_clip.get_tokenizer(options.open_clip_name)(PROMPTS)
    assert torch.equal(model.preprocess_texts(PROMPTS), tokens)
    torch.testing.assert_close(model.embed_texts(tokens), theirs.encode_text(tokens, normalize=True))


@torch.no_grad()
def test_each_prompt_is_embedded_alike_alone_and_among_longer_ones(published):
    model = build_model("affect_vlm", options_of(published[0])).eval()
    together = model.embed_texts(model.preprocess_texts(PROMPTS))
    for text, vector in zip(PROMPTS, together, strict=True):
        torch.testing.assert_close(model.embed_texts(model.preprocess_texts([text]))[0], vector)


@torch.no_grad()
def test_more_channels_repeat_the_first_layer_and_leave_the_rest(published):
    options, theirs = published
    encoders = build_encoders(options, channels=6)
    uneven = build_encoders(options, channels=5).image
    assert all(weight.is_contiguous() for weight in uneven.parameters())  # else a reloaded one rounds otherwise
    images = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(
        encoders.image.eval()(torch.cat([images, images], dim=1)), theirs.visual(images), rtol=1e-4, atol=1e-5
    )


@torch.no_grad()
def test_a_saved_model_needs_no_folder_and_keeps_the_image_statistics(published, tmp_path):
    model = build_model("affect_vlm", options_of(published[0]))
    for file in (tmp_path / "published").iterdir():
        file.unlink()
    assert model.options.encoder.image_std == tuple(STATISTICS["std"])
    check_round_trip(model, tmp_path / "saved")


@torch.no_grad()
@pytest.mark.parametrize("channels", [1, 5])
def test_image_statistics_follow_the_channels(published, channels):
    model = build_model("view_classifier", options_of(published[0], channels)).eval()
    assert model.image.mean.shape == (channels, 1, 1)
    assert model.classify(torch.zeros(1, 2, channels, 32, 32)).shape == (1, 6)


@torch.no_grad()
def test_an_open_clip_image_encoder_beside_the_compact_text_encoder(published, tmp_path):
    mixed = EncoderOptions(image=published[0].image, text="compact")
    model = build_model("smile_vlm", options_of(mixed)).eval()
    unit = model.embed_texts(model.preprocess_texts(PROMPTS)).norm(dim=1)
    torch.testing.assert_close(unit, torch.ones(3))
    check_round_trip(model, tmp_path / "saved")


def test_two_different_models_are_refused():
    with pytest.raises(ValueError, match="are two models"):
        EncoderOptions(image="open_clip:ViT-B-16", text="open_clip:ViT-B-32")


def test_a_tokenizer_without_its_files_names_the_remedy(tmp_path):
    config = CLIP | {"text_cfg": CLIP["text_cfg"] | {"hf_tokenizer_name": "published/tokenizer"}}
    folder_of(tmp_path / "published", CLIP)
    (tmp_path / "published" / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    preprocess = text_preprocessor(EncoderOptions(text=f"local-dir:{tmp_path / 'published'}"))
    with pytest.raises(ValueError, match=r"pip install transformers|tokenizer\.json"):
        preprocess(PROMPTS)


@pytest.mark.parametrize(
    ("former", "image", "context"),
    [
        ({"name": "compact"}, "compact", 32),
        ({"name": "ViT-B-16", "pretrained": "openai", "context_length": 77}, "open_clip:ViT-B-16", 77),
        ({"name": "local-dir:/a/folder"}, "local-dir:/a/folder", 32),
    ],
)
def test_former_options_are_read(former, image, context):
    with pytest.warns(FutureWarning, match="towers is called encoder"):
        encoder = ModelOptions.model_validate({"towers": former}).encoder
    assert (encoder.image, encoder.text, encoder.context_length) == (image, image, context)


def test_a_saved_model_of_an_earlier_version_is_read_without_a_warning(recwarn):
    saved = {"towers": {"name": "ViT-B-16", "pretrained": None, "context_length": 77, "architecture": CLIP}}
    encoder = ModelOptions.model_validate(saved).encoder
    assert encoder.image == encoder.text == "open_clip:ViT-B-16"
    assert encoder.image_mean is None  # those models saw images −1…1 as they are
    assert not recwarn.list
