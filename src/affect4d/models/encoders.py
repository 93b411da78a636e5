"""Image encoders (compact, timm, open_clip), built with their text encoder and put into the joint space.

The compact image encoder is a slim residual network that keeps its 4 × 4 grid: where on the face something happens is
what an expression is. Images are −1…1; a model with an image normalisation of its own gets images as it expects them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize

from affect4d.models.options import COMPACT, LOCAL_FOLDER, MINILM, TIMM, EncoderOptions, FusionKind, ModelOptions
from affect4d.models.sentence_encoder import WIDTH, SentencePreprocessor
from affect4d.models.text_encoders import (
    SentenceProjection,
    TextEncoder,
    at_least_single,
    compact_text_encoder,
    open_clip_architecture,
    pooled,
    text_preprocessor,
    trained_with_quick_gelu,
    training_precision,
)
from affect4d.models.view_fusion import ViewFusion
from affect4d.tensor_types import Embeddings, Presence, ViewEmbeddings, ViewImages

PICKLES = frozenset({".pt", ".pth", ".bin"})


@dataclass(frozen=True)
class Encoders:
    """Encoders to [images, image_width] and [prompts, text_width]; ``options`` suffice to build them again."""

    image: nn.Module
    text: nn.Module | None  # None where sentence vectors come from outside
    image_width: int
    text_width: int
    options: EncoderOptions


def build_encoders(options: EncoderOptions, channels: int) -> Encoders:
    """Build both encoders; weights come from torch's current random state unless pretrained ones are named.

    Raises:
        ValueError: If weights are a pickle or fit no encoder, or the text encoder reads fewer tokens than asked for.
        FileNotFoundError: If a named folder or file of weights does not exist.
        RuntimeError: If there is no such architecture, or its weights do not fit.
    """
    found = dict(options) | {"pretrained": None}
    if options.open_clip_name is not None:
        text_preprocessor(options)  # a context that is too long is refused before anything is downloaded
        model = _open_clip_model(options)
        found["architecture"] = options.architecture or open_clip_architecture(options)
    if options.image == COMPACT:
        image: Any = CompactImageEncoder(channels, options.image_width).to(memory_format=torch.channels_last)
        image_width = options.image_width
    elif options.image.startswith(TIMM):
        image, image_width = _timm_encoder(options, channels)
        found |= _normalisation(options, image.default_cfg)
    else:
        image, image_width = model.visual, int(found["architecture"]["embed_dim"])
        _adapt_channels(image, channels)
        found |= _normalisation(options, getattr(image, "preprocess_cfg", {}))
    text: Any = None
    if options.text == MINILM:
        text_width = WIDTH
    elif options.text == COMPACT:
        text, text_width = compact_text_encoder(options), options.text_width
    else:
        text, text_width = model.text, int(found["architecture"]["embed_dim"])
    return Encoders(image, text, image_width, text_width, EncoderOptions(**found))


def _normalisation(options: EncoderOptions, own: Mapping[str, Any]) -> dict[str, Any]:
    mean, std = options.image_mean or own.get("mean"), options.image_std or own.get("std")
    return {"image_mean": mean and tuple(mean), "image_std": std and tuple(std)}


class ResidualStage(nn.Module):
    """Two 3 × 3 convolutions beside a 1 × 1 one; the first halves the grid (He et al. 2016)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        self.shortcut = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
        self.shortcut_norm = nn.BatchNorm2d(channels)

    def forward(self, images: Tensor) -> Tensor:
        """[n, channels_in, size, size] to [n, channels, size / stride, size / stride]."""
        inner = torch.relu(self.first_norm(self.first(images)))
        inner = self.second_norm(self.second(inner))
        return torch.relu(inner + self.shortcut_norm(self.shortcut(images)))


class CompactImageEncoder(nn.Module):
    """5 × 5 stem and four residual stages, 24-48-96-128 channels, to a 4 × 4 grid that is kept: 0.45 M parameters."""

    GRID = 4

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 24, 5, stride=2, padding=2, bias=False)
        self.stem_norm = nn.BatchNorm2d(24)
        self.stages = nn.Sequential(
            ResidualStage(24, 24, 2), ResidualStage(24, 48, 2), ResidualStage(48, 96, 2), ResidualStage(96, 128, 1)
        )
        self.to_grid = nn.AdaptiveAvgPool2d(self.GRID)
        self.narrow = nn.Conv2d(128, width // self.GRID**2, 1, bias=False)
        self.norm = nn.BatchNorm1d(width)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Embeddings:
        """[n, channels, size, size] to [n, width]; 64 pixels fit the grid exactly, other sizes are averaged to it."""
        grid = self.to_grid(self.stages[2:](self.second_stage(images)))  # [n, 128, 4, 4]
        return gelu(self.norm(self.narrow(grid).flatten(1)))  # [n, width]

    def second_stage(self, images: Tensor) -> Tensor:
        """[n, channels, size, size] to [n, 48, size / 8, size / 8]: finer than the output, for faint movement."""
        images = images.contiguous(memory_format=torch.channels_last)
        features = torch.relu(self.stem_norm(self.stem(images)))  # [n, 24, size / 2, size / 2]
        grid: Tensor = self.stages[:2](features)
        return grid


def _timm_encoder(options: EncoderOptions, channels: int) -> tuple[Any, int]:
    """A timm model without its classifier; weights from a local file only."""
    import timm

    size: dict[str, Any] = {} if options.image_size is None else {"img_size": options.image_size}
    name = options.image.removeprefix(TIMM)
    model: Any = timm.create_model(name, pretrained=False, in_chans=channels, num_classes=0, **size)
    if options.pretrained is not None:
        file = Path(options.pretrained)
        if file.suffix != ".safetensors":
            raise ValueError(f"'{file}' is no .safetensors file: timm's weights are read from one, or left out (null).")
        if not file.is_file():
            raise FileNotFoundError(f"There is no file {file}: the image encoder would start from random weights.")
        classifier = model.default_cfg.get("classifier") or ()
        heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
        weights = load_file(file)
        for key in {f"{first}.weight" for first in _first_layers(model)} & weights.keys():
            weights[key] = timm.models.adapt_input_conv(channels, weights[key])
        leave = tuple(f"{head}." for head in heads)
        model.load_state_dict({key: value for key, value in weights.items() if not (leave and key.startswith(leave))})
    return model, int(getattr(model, "head_hidden_size", None) or model.num_features)


def _first_layers(trunk: Any) -> tuple[str, ...]:
    first = trunk.default_cfg["first_conv"]
    return (first,) if isinstance(first, str) else tuple(first)


def _adapt_channels(image: Any, channels: int) -> None:
    """Give an open_clip image encoder, made for three channels, a first layer for others, as timm does."""
    if channels == 3:
        return
    from timm.models import adapt_input_conv

    trunk = getattr(image, "trunk", None)
    layers = [image.conv1] if trunk is None else [trunk.get_submodule(name) for name in _first_layers(trunk)]
    for layer in layers:
        layer.weight = nn.Parameter(adapt_input_conv(channels, layer.weight.detach()).contiguous())
        layer.in_channels = channels


def _open_clip_model(options: EncoderOptions) -> Any:
    """open_clip's model; weights that are named but missing raise instead of leaving random ones."""
    if options.architecture is not None:
        model = open_clip.CustomTextCLIP(**json.loads(json.dumps(dict(options.architecture))))
        if options.image_size is not None and hasattr(model.visual, "set_input_size"):
            model.visual.set_input_size(options.image_size)
        return model
    name = options.open_clip_name
    pretrained = None if options.image.startswith(TIMM) else options.pretrained  # they are the image encoder's
    shape = {
        "force_image_size": options.image_size,
        "force_custom_text": True,
        "force_quick_gelu": trained_with_quick_gelu(options),
    }
    if pretrained is None and not str(name).startswith(LOCAL_FOLDER):
        return open_clip.create_model(name, load_weights=False, pretrained_text=False, **shape)
    _check_weights(options)
    return open_clip.create_model_from_pretrained(name, pretrained, return_transform=False, **shape)


def _check_weights(options: EncoderOptions) -> None:
    name = str(options.open_clip_name)
    if name.startswith(LOCAL_FOLDER):
        folder = Path(name.removeprefix(LOCAL_FOLDER))
        if not any(folder.glob("*.safetensors")):
            raise FileNotFoundError(f"No .safetensors file in {folder}: the encoders would start from random weights.")
    elif options.pretrained and Path(options.pretrained).suffix in PICKLES:
        raise ValueError(f"{options.pretrained} is a pickle: convert it to .safetensors first.")


@dataclass(frozen=True)
class JointEmbedding:
    """Image encoder outputs of each view, and unit vectors of views (0 where one is missing) and of their fusion."""

    hidden: ViewEmbeddings
    views: ViewEmbeddings
    fused: Embeddings


class ViewEncoder(nn.Module):
    """Image encoder over every view, projection [..., hidden] to the joint space [..., dim], fusion."""

    mean: Tensor | None
    std: Tensor | None

    def __init__(
        self, encoders: Encoders, projection: nn.Module, *, fusion: FusionKind, views: int, channels: int, dim: int
    ) -> None:
        super().__init__()
        self.tower, self.projection = encoders.image, projection  # the first name is that of weights in saved models
        self.fusion = ViewFusion(fusion, views, dim)
        self.shape = (views, channels)
        self.precision: torch.dtype | None = None
        for name, values in (("mean", encoders.options.image_mean), ("std", encoders.options.image_std)):
            self.register_buffer(name, _by_channel(values, channels), persistent=False)

    def forward(self, images: ViewImages, present: Presence | None = None) -> JointEmbedding:
        """Embed a batch; images of views that are not present are not read."""
        hidden = self.hidden(images, present)  # [batch, views, hidden]
        views = normalize(self.projection(hidden), dim=-1)  # [batch, views, dim]
        if present is not None:
            views = views * present.unsqueeze(-1)
        return JointEmbedding(hidden, views, normalize(self.fusion(views, present), dim=-1))

    def hidden(self, images: ViewImages, present: Presence | None = None) -> ViewEmbeddings:
        """The image encoder's output of each view, [batch, views, hidden]; zero where a view is missing."""
        if images.shape[1:3] != self.shape:
            raise ValueError(
                f"The model was built for {self.shape[0]} views of {self.shape[1]} channels; "
                f"the images have {images.shape[1]} views of {images.shape[2]}."
            )
        if present is None:
            return self._encode(images.flatten(0, 1)).view(*images.shape[:2], -1)
        seen = self._encode(images[present])
        hidden = seen.new_zeros(*present.shape, seen.shape[-1])
        hidden[present] = seen
        return hidden

    def normalised(self, images: Tensor) -> Tensor:
        """Images −1…1, [images, channels, size, size], as the image encoder expects them."""
        return images if self.mean is None or self.std is None else ((images + 1) / 2 - self.mean) / self.std

    def _encode(self, images: Tensor) -> Embeddings:
        images = self.normalised(images)
        with training_precision(self, images):
            hidden = pooled(self.tower(images))
        return at_least_single(hidden)


def _by_channel(values: tuple[float, ...] | None, channels: int) -> Tensor | None:
    """Three channels' statistics for any number: repeated in turn, or their mean for one."""
    if values is None:
        return None
    if channels == 1:
        return torch.tensor([sum(values) / len(values)]).view(1, 1, 1)
    return torch.tensor([values[channel % len(values)] for channel in range(channels)]).view(channels, 1, 1)


def view_encoder(encoders: Encoders, options: ModelOptions) -> ViewEncoder:
    """The view encoder of a vision-language model."""
    to_joint = _projection(encoders.image_width, options.dim, options.encoder.paired)
    shape = {"views": options.views, "channels": options.channels, "dim": options.dim}
    return ViewEncoder(encoders, to_joint, fusion=options.fusion, **shape)


def text_encoder(encoders: Encoders, options: ModelOptions) -> TextEncoder | SentenceProjection:
    """The text encoder of a vision-language model."""
    projection = _projection(encoders.text_width, options.dim, options.encoder.paired)
    preprocess = text_preprocessor(encoders.options)
    if isinstance(preprocess, SentencePreprocessor):
        return SentenceProjection(projection, preprocess)
    assert encoders.text is not None
    return TextEncoder(encoders.text, projection, preprocess, encoders.options.text == COMPACT)


def _projection(width: int, dim: int, joint: bool) -> nn.Module:
    """Linear map to the joint space; nothing where the encoders already end in it, so that what they learnt is kept."""
    return nn.Identity() if joint and width == dim else nn.Linear(width, dim, bias=False)
