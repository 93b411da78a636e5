"""The projector in front of the decorrelation loss."""

from torch import nn

from affect4d.tensors import ViewEmbeddings


class Projector(nn.Module):
    """Two linear layers with batch normalisation between them (Zbontar et al. 2021, shallower).

    Maps hidden states [batch, views, hidden] to [batch, views, width]; all views of the batch share its statistics.
    """

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(hidden, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width, bias=False)
        )

    def forward(self, hidden: ViewEmbeddings) -> ViewEmbeddings:
        """[batch, views, hidden] to [batch, views, width]."""
        projected: ViewEmbeddings = self.layers(hidden.flatten(0, 1)).view(*hidden.shape[:2], -1)
        return projected
