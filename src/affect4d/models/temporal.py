"""From frames to a sequence: pooling over time."""

from typing import Literal

import torch
from torch import Tensor, nn

PoolingKind = Literal["mean", "attention"]


class TemporalPooling(nn.Module):
    """Mean over the frames, or attention: each frame's weight is read off the frame itself (Ilse et al. 2018).

    Args:
        kind: Which.
        width: Of a frame's features.
        hidden: Of the attention's one hidden layer.
    """

    def __init__(self, kind: PoolingKind, width: int, hidden: int = 32) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.kind = kind
        if kind == "mean":
            self.score.requires_grad_(False)

    def forward(self, frames: Tensor, present: Tensor | None = None) -> Tensor:
        """Features of frames, [batch, frames, width], to features of sequences, [batch, width].

        Args:
            frames: In order of time.
            present: [batch, frames], False where there is no frame; every sequence needs one.
        """
        return (self.weights(frames, present).unsqueeze(-1) * frames).sum(dim=1)

    def weights(self, frames: Tensor, present: Tensor | None = None) -> Tensor:
        """How much each frame counts, [batch, frames]; sums to one over the frames that are present."""
        scores = self.score(frames).squeeze(-1) if self.kind == "attention" else frames.new_zeros(frames.shape[:2])
        if present is not None:
            scores = scores.masked_fill(~present, -torch.inf)
        return scores.softmax(dim=1)
