"""From pictures and prompts to unit vectors of one joint space: what both vision-language models share."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from affect4d.models.fusion import ViewFusion
from affect4d.models.options import FusionKind, ModelOptions
from affect4d.models.towers import TextTower, Towers
from affect4d.tensors import Embeddings, Presence, Scalar, TextEmbeddings, Tokens, ViewEmbeddings, ViewImages

LARGEST_SCALE = math.log(100)
FIRST_SCALE = math.log(1 / 0.07)


@dataclass(frozen=True)
class JointEmbedding:
    """What a model says about a batch of samples.

    Attributes:
        hidden: Image tower's output of each view, [batch, views, hidden]; what linear probes see.
        views: Unit vectors of the joint space, [batch, views, dim]; zero where a view is missing.
        fused: Unit vectors, [batch, dim].
    """

    hidden: ViewEmbeddings
    views: ViewEmbeddings
    fused: Embeddings


class ViewEncoder(nn.Module):
    """Image tower over every view, projection to the joint space, fusion.

    Args:
        tower: Pictures [pictures, channels, size, size] to [pictures, hidden].
        projection: [..., hidden] to [..., dim].
        fusion: How views are fused.
        views: Views of a sample.
        channels: Channels of a picture.
        dim: Width of the joint space.
    """

    def __init__(
        self, tower: nn.Module, projection: nn.Module, *, fusion: FusionKind, views: int, channels: int, dim: int
    ) -> None:
        super().__init__()
        self.tower, self.projection = tower, projection
        self.fusion = ViewFusion(fusion, views, dim)
        self.shape = (views, channels)
        self.precision: torch.dtype | None = None

    def forward(self, images: ViewImages, present: Presence | None = None) -> JointEmbedding:
        """Embed a batch; pictures of views that are not present are not looked at.

        Raises:
            ValueError: If views or channels are not those the model was built for.
        """
        hidden = self.hidden(images, present)  # [batch, views, hidden]
        views = normalize(self.projection(hidden), dim=-1)  # [batch, views, dim]
        if present is not None:
            views = views * present.unsqueeze(-1)
        return JointEmbedding(hidden, views, normalize(self.fusion(views, present), dim=-1))

    def hidden(self, images: ViewImages, present: Presence | None = None) -> ViewEmbeddings:
        """The image tower's output of each view, [batch, views, hidden]; zero where a view is missing."""
        if images.shape[1:3] != self.shape:
            raise ValueError(
                f"The model was built for {self.shape[0]} views of {self.shape[1]} channels; "
                f"the pictures have {images.shape[1]} views of {images.shape[2]}."
            )
        if present is None:
            return self._encode(images.flatten(0, 1)).view(*images.shape[:2], -1)
        seen = self._encode(images[present])
        hidden = seen.new_zeros(*present.shape, seen.shape[-1])
        hidden[present] = seen
        return hidden

    def _encode(self, pictures: Tensor) -> Embeddings:
        with _tower_precision(self, pictures):
            hidden = self.tower(pictures)
        return _at_least_single(hidden)


class TextEncoder(nn.Module):
    """Text tower and projection to unit vectors; equal prompts are encoded once, and as little padding as can be."""

    def __init__(self, tower: TextTower, projection: nn.Module) -> None:
        super().__init__()
        self.tower, self.projection = tower, projection
        self.precision: torch.dtype | None = None

    def forward(self, tokens: Tokens) -> TextEmbeddings:
        """Unit vectors, [prompts, dim]."""
        distinct, place = torch.unique(tokens, dim=0, return_inverse=True)
        with _tower_precision(self, tokens):
            hidden = self.tower(self._padded(distinct))
        return normalize(self.projection(_at_least_single(hidden)), dim=-1)[place]

    def _padded(self, tokens: Tokens) -> Tokens:
        """As long as the longest prompt (its end has the largest token); as long as the context under a causal mask."""
        if self.tower.attn_mask is None:
            return tokens[:, : int(tokens.argmax(dim=1).max()) + 1]
        return pad(tokens, (0, self.tower.context_length - tokens.shape[1]))


class Temperature(nn.Module):
    """The factor on cosines before a softmax: ``exp(logit_scale)``, held within [1, 100] (Radford et al. 2021).

    Outside the bounds the value is clamped, the gradient is not: the way back stays open.
    """

    def __init__(self) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(FIRST_SCALE))

    def forward(self) -> Scalar:
        """The factor itself, 1…100."""
        clamped = self.logit_scale.clamp(0, LARGEST_SCALE)
        return (self.logit_scale + (clamped - self.logit_scale).detach()).exp()


def view_encoder(towers: Towers, options: ModelOptions) -> ViewEncoder:
    """The view encoder of a vision-language model."""
    to_joint = _projection(towers.image_width, options.dim, towers.joint)
    shape = {"views": options.views, "channels": options.channels, "dim": options.dim}
    return ViewEncoder(towers.image, to_joint, fusion=options.fusion, **shape)


def text_encoder(towers: Towers, options: ModelOptions) -> TextEncoder:
    """The text encoder of a vision-language model."""
    return TextEncoder(towers.text, _projection(towers.text_width, options.dim, towers.joint))


def _projection(width: int, dim: int, joint: bool) -> nn.Module:
    """Linear map to the joint space; nothing where the tower already ends in it, so that what it learnt is kept."""
    return nn.Identity() if joint and width == dim else nn.Linear(width, dim, bias=False)


def _tower_precision(encoder: ViewEncoder | TextEncoder, like: Tensor) -> torch.autocast:
    """The precision set for training, inside a tower; everything else, and every loss, is float32."""
    chosen = encoder.precision if encoder.training else None
    return torch.autocast(like.device.type, chosen or torch.bfloat16, enabled=chosen is not None)


def _at_least_single(hidden: Tensor) -> Tensor:
    """Half precision to single; what is single or double stays."""
    return hidden.float() if hidden.dtype.itemsize < 4 else hidden
