"""A pretrained vision-language model as it was published: its own towers, picture statistics and temperature."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from affect4d.models.encoders import JointEmbedding
from affect4d.models.options import ModelOptions, TowerOptions
from affect4d.models.towers import LOCAL_FOLDER, build_towers
from affect4d.tensors import TextEmbeddings, Tokens, ViewImages

CLIP_SCALE = 100.0
"""Factor on cosines that CLIP's training ends with (Radford et al. 2021, section 2.5)."""
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's own pictures, for weights that do not say theirs."""


class PretrainedPair(nn.Module):
    """Image and text tower without anything of ours between: views are embedded one by one and averaged.

    Attributes:
        options: Of the towers; read by whoever tokenises prompts.
        size: Side of the pictures it takes, pixels.
        scale: Factor on cosines.

    Raises:
        ValueError: If no weights are named.
        FileNotFoundError: If named weights do not exist.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, towers: TowerOptions) -> None:
        super().__init__()
        if towers.pretrained is None and not towers.name.startswith(LOCAL_FOLDER):
            raise ValueError(
                f"{towers.name!r} without weights has nothing to say: name an open_clip tag or a .safetensors file "
                f'as `pretrained`, or a folder as "{LOCAL_FOLDER}…".'
            )
        pair = build_towers(towers, channels=3)
        self.options, self.scale = ModelOptions(towers=towers, dim=pair.image_width), CLIP_SCALE
        self.image, self.text = pair.image, pair.text
        statistics: dict[str, Any] = getattr(pair.image, "preprocess_cfg", {})
        side = getattr(pair.image, "image_size", 224)
        self.size = int(side[0] if isinstance(side, tuple | list) else side)
        for name, usual in (("mean", CLIP_MEAN), ("std", CLIP_STD)):
            values = torch.tensor(statistics.get(name) or usual).view(3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def embed_views(self, images: ViewImages) -> JointEmbedding:
        """Embed samples; pictures are −1…1, of one channel (shown as grey) or three."""
        pictures = (images.flatten(0, 1).expand(-1, 3, -1, -1) + 1) / 2  # [batch × views, 3, size, size], 0…1
        hidden: Tensor = self.image((pictures - self.mean) / self.std)
        views = normalize(hidden, dim=-1).view(*images.shape[:2], -1)
        return JointEmbedding(views, views, normalize(views.mean(dim=1), dim=-1))

    def embed_texts(self, tokens: Tokens) -> TextEmbeddings:
        """Embed prompts as unit vectors, [prompts, dim]."""
        length = self.text.context_length
        return normalize(self.text(nn.functional.pad(tokens, (0, length - tokens.shape[1]))), dim=-1)
