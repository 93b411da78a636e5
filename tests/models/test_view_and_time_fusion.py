import pytest
import torch

from affect4d.models.view_and_time_fusion import TemporalPooling, ViewFusion


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


def frames(batch=3, count=5, width=4):
    return torch.randn(batch, count, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def pooling(kind):
    with torch.random.fork_rng():
        torch.manual_seed(1)  # noqa: TID251
        return TemporalPooling(kind, 4).double()


def test_the_mean_is_the_mean_of_what_is_there():
    present = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 1]]).bool()
    pooled = pooling("mean")(frames(), present)
    for row in range(3):
        assert torch.allclose(pooled[row], frames()[row][present[row]].mean(dim=0))


def test_attention_is_a_softmax_over_what_is_there():
    module = pooling("attention")
    present = torch.tensor([[1, 1, 0, 1, 1]] * 3).bool()
    weights = module.weights(frames(), present)
    scores = module.score(frames()).squeeze(-1).exp() * present
    assert torch.allclose(weights, scores / scores.sum(dim=1, keepdim=True))
    assert (weights[:, 2] == 0).all()


@pytest.mark.parametrize("kind", ["mean", "attention"])
def test_the_order_of_frames_does_not_count(kind):
    module, order = pooling(kind), torch.tensor([4, 2, 0, 1, 3])
    assert torch.allclose(module(frames()), module(frames()[:, order]))


def test_attention_learns_which_frame_matters_and_the_mean_cannot():
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(64, 6, 4, generator=generator)
    x[..., 3] = 0
    chosen = torch.randint(6, (64,), generator=generator)
    x[torch.arange(64), chosen, 3] = 4
    wanted = x[torch.arange(64), chosen, 0]
    errors = {}
    for kind in ("mean", "attention"):
        module = pooling(kind).float()
        optimiser = torch.optim.Adam(module.parameters(), lr=0.02)
        for _ in range(150):
            loss = (module(x)[:, 0] - wanted).square().mean()
            if loss.requires_grad:
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        errors[kind] = float(loss.detach())
    assert errors["attention"] < 0.1 < errors["mean"]


def test_gradients_are_right():
    module = pooling("attention")
    assert torch.autograd.gradcheck(module, (frames(2, 3).requires_grad_(),))
