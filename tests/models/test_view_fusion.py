import pytest
import torch

from affect4d.models.view_fusion import ViewFusion


@pytest.fixture(params=["weights", "attention"])
def fusion(request):
    fusion = ViewFusion(request.param, views=3, width=5)
    fusion.view_scores.data = torch.tensor([0.3, -1.0, 2.0])
    return fusion


@pytest.fixture
def embeddings():
    return torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))


def test_a_missing_view_leaves_the_renormalised_weights_of_the_others(fusion, embeddings):
    present = torch.tensor([True, False, True]).expand(4, 3)
    whole = fusion.weights(embeddings)
    expected = whole * present / (whole * present).sum(dim=1, keepdim=True)
    torch.testing.assert_close(fusion.weights(embeddings, present), expected)
    torch.testing.assert_close(fusion(embeddings, present), (expected.unsqueeze(-1) * embeddings).sum(dim=1))


def test_weights_sum_to_one_and_follow_the_scores(embeddings):
    fusion = ViewFusion("weights", views=3, width=5)
    torch.testing.assert_close(fusion.weights(embeddings), torch.full((4, 3), 1 / 3))
    fusion.view_scores.data[1] = 50.0
    torch.testing.assert_close(fusion(embeddings), embeddings[:, 1])


def test_attention_looks_at_content(embeddings):
    weights = ViewFusion("attention", views=3, width=5).weights(embeddings)
    assert not torch.allclose(weights[0], weights[1])


def test_a_sample_without_any_view_is_refused(fusion, embeddings):
    with pytest.raises(ValueError, match="without any view"):
        fusion(embeddings, torch.zeros(4, 3, dtype=torch.bool))
