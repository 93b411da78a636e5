"""Options of the pseudo-labels; light to import."""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, Field

PseudoLabelSource = Literal["geometry", "blendshapes", "zero_shot", "cluster"]
"""Rules on landmarks, rules on blendshape scores, a pretrained vision-language model, or clusters of movement."""

UNLABELLED = ("sequence", "subject", "frame", "landmarks")
"""Columns of a scan manifest that pseudo-labels are made from."""
LABELS = ("expression", "label")
"""Columns that no pseudo-label may be made from."""


class GeometryOptions(BaseModel, frozen=True, extra="forbid"):
    """The rules on landmarks, and on blendshape scores."""

    self_training: int = Field(
        default=5, ge=0, le=100, description="rounds of self-training; 0: the published prototypes alone"
    )


class ZeroShotOptions(BaseModel, frozen=True, extra="forbid"):
    """The pretrained vision-language model."""

    name: str = Field(default="ViT-B-32", description='open_clip architecture, or "local-dir:" and a folder')
    pretrained: str | None = Field(default=None, description="open_clip tag, or a .safetensors file")
    channel: Literal["grey", "shading"] = Field(
        default="grey", description="single-channel image, repeated for the model's three channels"
    )
    confidence: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="least margin over the second probability; sequences below have none"
    )


class ClusterOptions(BaseModel, frozen=True, extra="forbid"):
    """The clusters of movement."""

    method: Literal["kmeans", "agglomerative"] = "kmeans"
    count: int = Field(default=18, ge=2, le=1000, description="more than emotions: one emotion has several forms")


class PseudoLabelOptions(BaseModel, frozen=True, extra="forbid"):
    """Source of the pseudo-labels, and their wording."""

    source: PseudoLabelSource = "geometry"
    prompts_per_sequence: int = Field(default=8, ge=1, le=64)
    seed: int = Field(default=0, ge=0, description="seed of the prompts and of clustering")
    balanced: bool = Field(default=True, description="class-balanced over the training sequences")
    confidence: float = Field(
        default=0.5, ge=0.0, le=1.0, description="margin over the second emotion from which an emotion is named"
    )
    action_threshold: float = Field(default=0.3, ge=0.0, le=1.0, description="score from which an AU is named")
    most_actions: int = Field(default=4, ge=1, le=6, description="most AUs of a prompt")
    geometry: GeometryOptions = GeometryOptions()
    zero_shot: ZeroShotOptions = ZeroShotOptions()
    cluster: ClusterOptions = ClusterOptions()


def refuse_labels(columns: Iterable[str]) -> None:
    """Raise ValueError if one of a table's columns holds labels."""
    found = [name for name in LABELS if name in columns]
    if found:
        raise ValueError(
            f"Pseudo-labels are made without labels: this table has a column {found[0]!r}. "
            "Hand over the table without it."
        )
