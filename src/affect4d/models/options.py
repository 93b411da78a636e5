"""Size and shape of a model; light to import, so that parameters can be checked before torch is needed."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FusionKind = Literal["weights", "attention"]


class TowerOptions(BaseModel):
    """Which towers, and how large.

    Attributes:
        name: ``"compact"``, an open_clip architecture (``"ViT-B-16"``), or ``"local-dir:"`` and a folder.
        pretrained: open_clip tag, or a ``.safetensors`` file; None starts from scratch. Not for ``"compact"``.
        image_width: Width of the compact image tower's output, a multiple of 16.
        text_width: Width of the compact text tower.
        text_layers: Layers of the compact text tower.
        text_heads: Attention heads of the compact text tower.
        context_length: Tokens of a prompt, start and end included; longer prompts are cut.
        image_size: Picture side, pixels, an open_clip tower is resized to; None keeps its own.
        architecture: open_clip's ``model_cfg``, written by :func:`affect4d.models.save_model`: the towers are built
            from it, no weights are looked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "compact"
    pretrained: str | None = None
    image_width: int = Field(default=256, ge=16, le=4096, multiple_of=16)
    text_width: int = Field(default=128, ge=16, le=2048)
    text_layers: int = Field(default=2, ge=1, le=24)
    text_heads: int = Field(default=4, ge=1, le=32)
    context_length: int = Field(default=32, ge=8, le=77)
    image_size: int | None = Field(default=None, ge=16, le=1024)
    architecture: Mapping[str, Any] | None = None


class ModelOptions(BaseModel):
    """Size and shape of a model; the same values make peers of the same size.

    Attributes:
        towers: Image and text tower.
        dim: Width of the joint space.
        views: Views of a sample, motion views included.
        channels: Channels of a picture, motion channels included.
        fusion: How views are fused.
        projector_width: Width of SMILE-VLM's projector.
        classes: Classes of the view classifier.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    towers: TowerOptions = TowerOptions()
    dim: int = Field(default=128, ge=8, le=4096)
    views: int = Field(default=3, ge=1, le=32)
    channels: int = Field(default=6, ge=1, le=32)
    fusion: FusionKind = "weights"
    projector_width: int = Field(default=256, ge=16, le=8192)
    classes: int = Field(default=6, ge=2, le=1000)
