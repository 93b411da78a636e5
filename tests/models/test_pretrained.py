"""A pretrained pair says what open_clip's own model says."""

import pytest
import torch
from torch.nn.functional import normalize

from affect4d.models import TowerOptions, tokenise
from affect4d.models.pretrained import CLIP_MEAN, CLIP_STD, PretrainedPair


@pytest.fixture
def clip_folder(tmp_path, write_clip):
    """A plain open_clip model in a folder, and the model."""
    return tmp_path, write_clip(tmp_path, context_length=40)


def test_it_embeds_as_the_published_model_does(clip_folder, generator):
    folder, clip = clip_folder
    pair = PretrainedPair(TowerOptions(name=f"local-dir:{folder}", context_length=32)).eval()
    grey = torch.from_numpy(generator.random((2, 3, 1, 32, 32))).float()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    pictures = (grey.flatten(0, 1).expand(-1, 3, -1, -1) - mean) / std
    with torch.inference_mode():
        ours = pair.embed_views(2 * grey - 1)
        theirs = clip.encode_image(pictures, normalize=True).view(2, 3, 32)
        texts = pair.embed_texts(tokenise(["a happy face", "brows raised"], 32))
        their_texts = clip.encode_text(tokenise(["a happy face", "brows raised"], 40), normalize=True)
    torch.testing.assert_close(ours.views, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.fused, normalize(theirs.mean(dim=1), dim=-1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(texts, their_texts, rtol=1e-4, atol=1e-5)
    assert pair.size == 32


def test_a_name_without_weights_is_refused():
    with pytest.raises(ValueError, match="has nothing to say"):
        PretrainedPair(TowerOptions(name="ViT-B-32"))
