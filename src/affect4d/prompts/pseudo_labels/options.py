"""Where pseudo-labels come from, and how they are put into words; light to import."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Source = Literal["geometry", "zero_shot", "cluster"]
"""What looks at a sequence: rules on landmarks, a pretrained vision-language model, or clusters of what moved."""


class GeometryOptions(BaseModel):
    """The rules of the source ``geometry``.

    Attributes:
        self_training: How often the rules are fitted anew to what they said of the training sequences; 0 leaves the
            prototypes of the field's table alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    self_training: int = Field(default=5, ge=0, le=100)


class ZeroShotOptions(BaseModel):
    """The pretrained vision-language model of the source ``zero_shot``.

    Attributes:
        name: Of an open_clip architecture (``"ViT-B-32"``), or ``"local-dir:"`` and a folder.
        pretrained: open_clip tag, or a ``.safetensors`` file; None only with a local folder, which has its weights.
        channel: The single-channel picture it is shown, three times over: what it learnt from are photographs.
        confidence: Lead, as a share of probability, of the best emotion over the second; sequences below are left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "ViT-B-32"
    pretrained: str | None = None
    channel: Literal["grey", "shading"] = "grey"
    confidence: float = Field(default=0.0, ge=0.0, lt=1.0)


class ClusterOptions(BaseModel):
    """The source ``cluster``.

    Attributes:
        method: Of clustering; both of scikit-learn.
        count: How many clusters; more than emotions, because a cluster may be one way to show one.
        refreshes: How often a model is trained on the prompts so far, and its own embeddings clustered anew; 0 clusters
            what the landmarks did.
        epochs: Of each of these trainings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["kmeans", "agglomerative"] = "kmeans"
    count: int = Field(default=18, ge=2, le=1000)
    refreshes: int = Field(default=0, ge=0, le=20)
    epochs: int = Field(default=10, ge=1, le=10_000)


class PseudoLabelOptions(BaseModel):
    """Where pseudo-labels come from, and how they are put into words.

    Attributes:
        source: What looks at a sequence.
        prompts_per_sequence: How many prompts a sequence draws from.
        seed: Of the draw, and of clustering.
        balanced: Spread the training sequences evenly over the emotions, or clusters.
        confidence: Lead over the second emotion, a share, above which a pattern of actions earns an emotion's word.
        action_threshold: Score from which an action is named.
        most_actions: Most actions a prompt names.
        geometry: The rules of that source; clusters are named by them, too.
        zero_shot: The model of that source.
        cluster: The clusters of that source.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Source = "geometry"
    prompts_per_sequence: int = Field(default=8, ge=1, le=64)
    seed: int = Field(default=0, ge=0)
    balanced: bool = True
    confidence: float = Field(default=0.5, ge=0.0, le=1.0)
    action_threshold: float = Field(default=0.3, ge=0.0, le=1.0)
    most_actions: int = Field(default=4, ge=1, le=6)
    geometry: GeometryOptions = GeometryOptions()
    zero_shot: ZeroShotOptions = ZeroShotOptions()
    cluster: ClusterOptions = ClusterOptions()
