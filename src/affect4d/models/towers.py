"""Image and text towers: one door to open_clip, and a compact pair of our own that trains from scratch on a CPU.

``"compact"`` is a slim residual network that keeps its 4 × 4 grid (where on the face something happens is what an
expression is), beside a two-layer text transformer of open_clip over a frozen token embedding. Any other name is
open_clip's: a built-in architecture, optionally with ``pretrained`` weights, or ``local-dir:`` and a folder.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transformer import TextTransformer
from torch import Tensor, nn
from torch.nn.functional import gelu

from affect4d.models.options import TowerOptions
from affect4d.tensors import Embeddings, Tokens

LOCAL_FOLDER = "local-dir:"
VOCABULARY = 49408
"""Rows of CLIP's byte-pair vocabulary."""


TextTower: TypeAlias = TextTransformer


@dataclass(frozen=True)
class Towers:
    """An image tower, pictures → [pictures, image_width], and a text tower, tokens → [prompts, text_width].

    Attributes:
        joint: Whether both already end in one shared space, as open_clip's do.
        architecture: open_clip's ``model_cfg``; None for the compact pair.
    """

    image: nn.Module
    text: TextTower
    image_width: int
    text_width: int
    joint: bool = False
    architecture: Mapping[str, Any] | None = None


def build_towers(options: TowerOptions, channels: int) -> Towers:
    """Build both towers; weights come from torch's current random state unless pretrained ones are named.

    Args:
        options: Which, and how large.
        channels: Channels of a picture; an open_clip tower takes three.

    Raises:
        ValueError: If an open_clip tower is asked for other than three channels, or its text tower is not CLIP's.
        FileNotFoundError: If a named folder or file of weights does not exist.
        RuntimeError: If open_clip finds no such architecture or weights.
    """
    if options.name == "compact":
        return _compact_towers(options, channels)
    if channels != 3:
        raise ValueError(
            f"The tower {options.name!r} takes pictures of 3 channels, not {channels}: choose three channels, and "
            f'motion "none" or "views" (motion "stacked" doubles the channels), or the tower "compact".'
        )
    return _open_clip_towers(options)


@functools.cache
def _tokeniser() -> SimpleTokenizer:
    return SimpleTokenizer()


def tokenise(texts: Sequence[str], context_length: int) -> Tokens:
    """CLIP's byte-pair tokens of some prompts, zero-padded to ``context_length``."""
    return cast(Tensor, _tokeniser()(list(texts), context_length=context_length))


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

    def forward(self, pictures: Tensor) -> Tensor:
        """[n, channels_in, size, size] to [n, channels, size / stride, size / stride]."""
        inner = torch.relu(self.first_norm(self.first(pictures)))
        inner = self.second_norm(self.second(inner))
        return torch.relu(inner + self.shortcut_norm(self.shortcut(pictures)))


class CompactImageTower(nn.Module):
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

    def forward(self, pictures: Tensor) -> Embeddings:
        """[n, channels, size, size] to [n, width]; 64 pixels fit the grid exactly, other sizes are averaged to it."""
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        features = torch.relu(self.stem_norm(self.stem(pictures)))  # [n, 24, size / 2, size / 2]
        grid = self.to_grid(self.stages(features))  # [n, 128, 4, 4]
        return gelu(self.norm(self.narrow(grid).flatten(1)))  # [n, width]


def _compact_towers(options: TowerOptions, channels: int) -> Towers:
    if options.pretrained is not None:
        raise ValueError('The tower "compact" has no pretrained weights: leave `pretrained` empty.')
    image = CompactImageTower(channels, options.image_width).to(memory_format=torch.channels_last)
    text = TextTransformer(
        context_length=options.context_length,
        vocab_size=VOCABULARY,
        width=options.text_width,
        heads=options.text_heads,
        layers=options.text_layers,
        output_dim=None,
        no_causal_mask=True,  # with the padding mask, padding columns may be left out
        use_pad_mask=True,
    )
    text.token_embedding.requires_grad_(False)  # 49 408 rows: most of the weights, and nearly all of them unused
    return Towers(image, text, options.image_width, options.text_width)


def _open_clip_towers(options: TowerOptions) -> Towers:
    model = _from_architecture(options) if options.architecture is not None else _from_name(options)
    if not isinstance(model.text, TextTransformer):
        raise ValueError(f"The text tower of {options.name!r} does not read CLIP's tokens: choose another.")
    if model.text.context_length < options.context_length:
        raise ValueError(f"The text tower of {options.name!r} reads no more than {model.text.context_length} tokens.")
    architecture = options.architecture or _architecture(options)
    width = int(architecture["embed_dim"])
    return Towers(model.visual, model.text, width, width, joint=True, architecture=architecture)


def _from_architecture(options: TowerOptions) -> Any:
    return open_clip.CustomTextCLIP(**json.loads(json.dumps(dict(options.architecture or {}))))


def _from_name(options: TowerOptions) -> Any:
    """open_clip's model; weights that are named but missing raise instead of leaving random ones."""
    shape = {
        "force_image_size": options.image_size,
        "force_custom_text": True,
        "force_quick_gelu": _trained_with_quick_gelu(options),
    }
    if options.pretrained is None and not options.name.startswith(LOCAL_FOLDER):
        return open_clip.create_model(options.name, load_weights=False, pretrained_text=False, **shape)
    _check_weights(options)
    return open_clip.create_model_from_pretrained(options.name, options.pretrained, return_transform=False, **shape)


def _trained_with_quick_gelu(options: TowerOptions) -> bool:
    """Whether the weights behind open_clip's name for them want that activation; open_clip itself only warns."""
    known = open_clip.get_pretrained_cfg(options.name, options.pretrained) if options.pretrained else {}
    return bool(known.get("quick_gelu"))


def _check_weights(options: TowerOptions) -> None:
    """Local weights exist, and are safetensors."""
    if options.name.startswith(LOCAL_FOLDER):
        folder = Path(options.name.removeprefix(LOCAL_FOLDER))
        if not any(folder.glob("*.safetensors")):
            raise FileNotFoundError(f"No .safetensors file in {folder}: the tower would start from random weights.")
    elif options.pretrained and Path(options.pretrained).suffix in {".pt", ".pth", ".bin"}:
        raise ValueError(f"{options.pretrained} is a pickle: convert it to .safetensors first.")


def _architecture(options: TowerOptions) -> Mapping[str, Any]:
    """open_clip's ``model_cfg`` of a name, with the picture size asked for."""
    if options.name.startswith(LOCAL_FOLDER):
        file = Path(options.name.removeprefix(LOCAL_FOLDER)) / "open_clip_config.json"
        architecture = json.loads(file.read_text())["model_cfg"]
    else:
        architecture = open_clip.get_model_config(options.name)
    if options.image_size is not None:
        architecture["vision_cfg"]["image_size"] = options.image_size
    if _trained_with_quick_gelu(options):
        architecture["quick_gelu"] = True
    return {key: value for key, value in architecture.items() if key != "custom_text"}
