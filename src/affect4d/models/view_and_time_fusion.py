"""View fusion by trainable weights (after Behzad et al., IEEE SPL 2021) or attention, and pooling over time."""

from typing import Literal

import torch
from torch import Tensor, nn

from affect4d.models.options import FusionKind
from affect4d.tensor_types import Embeddings, Presence, ViewEmbeddings

PoolingKind = Literal["mean", "attention"]


class ViewFusion(nn.Module):
    """``z = Σ_v w_v z_v`` with ``w = softmax(a)`` over the views that are present.

    ``a`` is one trainable number a view; by ``"attention"``, a linear score of each view's content is added to it.
    """

    def __init__(self, kind: FusionKind, views: int, width: int) -> None:
        super().__init__()
        self.view_scores = nn.Parameter(torch.zeros(views))
        self.content_score = nn.Linear(width, 1, bias=False) if kind == "attention" else None

    def weights(self, embeddings: ViewEmbeddings, present: Presence | None = None) -> Tensor:
        """Weight of each view, [batch, views]; each row sums to one."""
        scores = self.view_scores.expand(embeddings.shape[:2])
        if self.content_score is not None:
            scores = scores + self.content_score(embeddings).squeeze(-1)
        if present is not None:
            if not bool(present.any(dim=1).all()):
                raise ValueError("A sample without any view cannot be fused: leave it out of the batch.")
            scores = scores.masked_fill(~present, -torch.inf)
        return scores.softmax(dim=1)

    def forward(self, embeddings: ViewEmbeddings, present: Presence | None = None) -> Embeddings:
        """Weighted sum of the views, [batch, dim]."""
        return (self.weights(embeddings, present).unsqueeze(-1) * embeddings).sum(dim=1)


class TemporalPooling(nn.Module):
    """Mean over the frames, or attention: each frame's weight is read off the frame itself (Ilse et al. 2018)."""

    def __init__(self, kind: PoolingKind, width: int, hidden: int = 32) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.kind = kind
        if kind == "mean":
            self.score.requires_grad_(False)

    def forward(self, frames: Tensor, present: Tensor | None = None) -> Tensor:
        """Features [batch, frames, width] → [batch, width]; ``present`` [batch, frames]: which frames there are."""
        return (self.weights(frames, present).unsqueeze(-1) * frames).sum(dim=1)

    def weights(self, frames: Tensor, present: Tensor | None = None) -> Tensor:
        """How much each frame counts, [batch, frames]; sums to one over the frames that are present."""
        scores = self.score(frames).squeeze(-1) if self.kind == "attention" else frames.new_zeros(frames.shape[:2])
        if present is not None:
            scores = scores.masked_fill(~present, -torch.inf)
        return scores.softmax(dim=1)
