"""Size and shape of a model."""

from pydantic import BaseModel, ConfigDict, Field

from affect4d.models.fusion import FusionKind
from affect4d.models.towers import TowerOptions


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
