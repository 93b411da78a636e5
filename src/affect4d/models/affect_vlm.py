"""AffectVLM (Behzad, Zhao 2025, arXiv 2504.19739): views and prompts in one space, with a learnable margin."""

from collections.abc import Sequence

import torch
from torch import nn

from affect4d.models.encoders import JointEmbedding, Temperature, build_encoders, text_encoder, view_encoder
from affect4d.models.options import ModelOptions
from affect4d.tensor_types import Presence, Scalar, TextEmbeddings, Tokens, ViewImages


class AffectVLM(nn.Module):
    """Image and text encoder, view fusion, temperature, and the free parameter behind the margin α."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        encoders = build_encoders(options.encoder, options.channels)
        self.options = options.model_copy(update={"encoder": encoders.options})
        self.image = view_encoder(encoders, options)
        self.text = text_encoder(encoders, options)
        self.temperature = Temperature()
        self.free_margin = nn.Parameter(torch.zeros(()))

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

    def margin(self, low: float, high: float) -> Scalar:
        """α: smooth in the free parameter, and never outside [low, high]; it starts half-way."""
        return low + (high - low) * self.free_margin.sigmoid()
