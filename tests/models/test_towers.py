import open_clip
import pytest
import torch

from affect4d.models import ModelOptions, TowerOptions, build_model, load_model, save_model, tokenise
from affect4d.models.towers import CompactImageTower, build_towers


@pytest.fixture
def clip_folder(tmp_path, write_clip):
    """A plain open_clip model in a folder, and the model."""
    return tmp_path, write_clip(tmp_path, context_length=24)


def options_of(folder, **towers):
    shape = {"dim": 32, "views": 2, "channels": 3}
    return ModelOptions(towers=TowerOptions(name=f"local-dir:{folder}", context_length=20, **towers), **shape)


def test_the_compact_image_tower_has_the_size_it_is_named_for():
    tower = CompactImageTower(channels=6, width=256)
    assert sum(parameter.numel() for parameter in tower.parameters()) == pytest.approx(450_000, rel=0.01)


def test_where_something_happens_is_kept():
    tower = CompactImageTower(channels=1, width=64).eval()
    left, right = torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    left[..., 20:30, 8:18], right[..., 20:30, 44:54] = 1.0, 1.0
    assert not torch.allclose(tower(left), tower(right), atol=1e-3)


@pytest.mark.parametrize("size", [32, 64, 96])
def test_the_compact_tower_takes_any_size_of_picture(size):
    assert CompactImageTower(channels=2, width=64).eval()(torch.zeros(1, 2, size, size)).shape == (1, 64)


def test_the_token_embedding_is_frozen_and_nothing_else():
    towers = build_towers(TowerOptions(text_width=32, text_heads=2), channels=3)
    frozen = [name for name, parameter in towers.text.named_parameters() if not parameter.requires_grad]
    assert frozen == ["token_embedding.weight"]
    assert all(parameter.requires_grad for parameter in towers.image.parameters())


def test_tokens_begin_and_end_as_clips_do():
    tokens = tokenise(["a face", "a " * 50], 8)
    assert tokens.tolist()[0] == [49406, 320, 1710, 49407, 0, 0, 0, 0]
    assert tokens[1, -1] == 49407


def test_an_open_clip_tower_refuses_stacked_channels():
    with pytest.raises(ValueError, match="3 channels, not 6"):
        build_towers(TowerOptions(name="ViT-B-16"), channels=6)


def test_pretrained_weights_are_refused_where_there_are_none():
    with pytest.raises(ValueError, match="no pretrained weights"):
        build_towers(TowerOptions(pretrained="openai"), channels=3)


@pytest.mark.slow
def test_an_open_clip_folder_embeds_as_open_clip_itself(clip_folder):
    folder, clip = clip_folder
    model = build_model("affect_vlm", options_of(folder)).eval()
    images, tokens = torch.randn(2, 2, 3, 32, 32), tokenise(["a joyful face", "an angry man"], 20)
    padded = torch.nn.functional.pad(tokens, (0, 4))
    torch.testing.assert_close(model.embed_views(images).views[:, 0], clip.encode_image(images[:, 0], normalize=True))
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
def test_a_context_the_text_tower_cannot_read_is_refused(clip_folder):
    folder, _ = clip_folder
    towers = TowerOptions(name=f"local-dir:{folder}", context_length=32)
    with pytest.raises(ValueError, match="no more than 24 tokens"):
        build_towers(towers, channels=3)


@pytest.mark.slow
def test_a_built_in_architecture_is_resized_to_the_pictures():
    towers = build_towers(TowerOptions(name="ViT-S-32-alt", image_size=64), channels=3)
    assert towers.joint
    assert towers.image(torch.zeros(1, 3, 64, 64)).shape == (1, towers.image_width)


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
    """OpenAI's want QuickGELU; open_clip only warns, and the towers say nonsense."""
    asked = {}

    def create(name, weights, **shape):
        asked.update(shape)
        vision = {"layers": 1, "width": 8, "head_width": 8, "patch_size": 8, "image_size": 16}
        return open_clip.CustomTextCLIP(8, vision, {"context_length": 20, "width": 8, "heads": 1, "layers": 1})

    monkeypatch.setattr(open_clip, "create_model_from_pretrained", create)
    towers = build_towers(TowerOptions(name=name, pretrained=pretrained, context_length=20), channels=3)
    assert asked["force_quick_gelu"] is quick
    assert towers.architecture.get("quick_gelu", False) is quick  # so that a saved model is the same when loaded
