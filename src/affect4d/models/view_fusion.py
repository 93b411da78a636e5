"""View fusion by trainable weights (after Behzad et al., IEEE SPL 2021) or attention."""

import torch
from torch import Tensor, nn

from affect4d.models.options import FusionKind
from affect4d.tensor_types import Embeddings, Presence, ViewEmbeddings


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
