"""SMILE-VLM (Behzad 2025, arXiv 2506.01203): self-supervised views and pseudo-labelled prompts in one space."""

from collections.abc import Sequence

from torch import nn

from affect4d.models.encoders import JointEmbedding, Temperature, build_encoders, text_encoder, view_encoder
from affect4d.models.options import ModelOptions
from affect4d.tensor_types import Presence, TextEmbeddings, Tokens, ViewEmbeddings, ViewImages


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


class SmileVLM(nn.Module):
    """Image and text encoder, view fusion, temperature, and the projector of the decorrelation term."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        encoders = build_encoders(options.encoder, options.channels)
        self.options = options.model_copy(update={"encoder": encoders.options})
        self.image = view_encoder(encoders, options)
        self.text = text_encoder(encoders, options)
        self.temperature = Temperature()
        self.projector = Projector(encoders.image_width, options.projector_width)

    def embed_views(self, images: ViewImages, present: Presence | None = None) -> JointEmbedding:
        """Embed samples; see :class:`JointEmbedding`."""
        embedding: JointEmbedding = self.image(images, present)
        return embedding

    def tokenise(self, texts: Sequence[str]) -> Tokens:
        """Tokens of prompts, as the text encoder reads them: [prompts, tokens]."""
        return self.text.tokenise(texts)

    def embed_texts(self, tokens: Tokens) -> TextEmbeddings:
        """Embed prompts as unit vectors, [prompts, dim]."""
        embeddings: TextEmbeddings = self.text(tokens)
        return embeddings

    def project(self, hidden: ViewEmbeddings) -> ViewEmbeddings:
        """Hidden states of the views as the decorrelation term sees them, [batch, views, projector width]."""
        projected: ViewEmbeddings = self.projector(hidden)
        return projected
