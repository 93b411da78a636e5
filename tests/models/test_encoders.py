import open_clip
import pytest
import torch
from torch.nn.functional import normalize

from affect4d.models import (
    EncoderOptions,
    ModelOptions,
    PretrainedModel,
    build_model,
    clip_tokens,
    load_model,
    save_model,
)
from affect4d.models.encoders import CompactImageEncoder, build_encoders


@pytest.fixture
def clip_folder(tmp_path, write_clip):
    """A plain open_clip model in a folder, and the model."""
    return tmp_path, write_clip(tmp_path, context_length=24)


def options_of(folder, **encoders):
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
    encoders = build_encoders(EncoderOptions(text_width=32, text_heads=2), channels=3)
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
    model = build_model("affect_vlm", options_of(folder)).eval()
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
    model = build_model("smile_vlm", options_of(folder)).eval()
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
        build_model("affect_vlm", options_of(folder))


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
