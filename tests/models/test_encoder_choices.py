"""Other encoders by configuration alone: timm, open_clip from a folder, and a model of SigLIP's kind; all tiny."""

import json

import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file

from affect4d.models import EncoderOptions, ModelOptions, build_model, load_model, prompt_tokenizer, save_model
from affect4d.models.encoders import build_encoders

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
    assert torch.equal(loaded.tokenise(PROMPTS), model.tokenise(PROMPTS))
    assert torch.equal(loaded.embed_texts(loaded.tokenise(PROMPTS)), model.embed_texts(model.tokenise(PROMPTS)))
    assert loaded.options == model.options


@torch.no_grad()
def test_a_timm_encoder_beside_the_compact_text_encoder(tmp_path):
    model = build_model("affect_vlm", options_of(EncoderOptions(image="timm:test_resnet"))).eval()
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
    assert torch.equal(model.tokenise(PROMPTS), tokens)
    torch.testing.assert_close(model.embed_texts(tokens), theirs.encode_text(tokens, normalize=True))


@torch.no_grad()
def test_each_prompt_is_embedded_alike_alone_and_among_longer_ones(published):
    model = build_model("affect_vlm", options_of(published[0])).eval()
    together = model.embed_texts(model.tokenise(PROMPTS))
    for text, vector in zip(PROMPTS, together, strict=True):
        torch.testing.assert_close(model.embed_texts(model.tokenise([text]))[0], vector)


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
    mixed = EncoderOptions(image=published[0].image)
    model = build_model("smile_vlm", options_of(mixed)).eval()
    unit = model.embed_texts(model.tokenise(PROMPTS)).norm(dim=1)
    torch.testing.assert_close(unit, torch.ones(3))
    check_round_trip(model, tmp_path / "saved")


def test_two_different_models_are_refused():
    with pytest.raises(ValueError, match="are two models"):
        EncoderOptions(image="open_clip:ViT-B-16", text="open_clip:ViT-B-32")


def test_a_tokenizer_without_its_files_names_the_remedy(tmp_path):
    config = CLIP | {"text_cfg": CLIP["text_cfg"] | {"hf_tokenizer_name": "published/tokenizer"}}
    folder_of(tmp_path / "published", CLIP)
    (tmp_path / "published" / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    tokenise = prompt_tokenizer(EncoderOptions(text=f"local-dir:{tmp_path / 'published'}"))
    with pytest.raises(ValueError, match=r"pip install transformers|tokenizer\.json"):
        tokenise(PROMPTS)


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
