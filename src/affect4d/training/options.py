"""What a training run may be told, checked before it starts."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from affect4d.losses.mining import Mining


class TrainOptions(BaseModel):
    """How long, how fast, where.

    Attributes:
        epochs: Passes over the plan.
        batch_size: Samples of a batch; the plan is drawn with it.
        samples_per_sequence: Samples a sequence gives an epoch; the plan is drawn with it.
        learning_rate: AdamW's, at the end of the warm-up; it falls along a half cosine to zero.
        weight_decay: AdamW's, on weight matrices; none on norms, biases, view weights, temperature and margin.
        warmup: Share of all steps over which the rate rises linearly.
        margin_rate: The margin learns this many times faster than the rest.
        gradient_clip: Largest norm of the whole gradient.
        seed: Of the first weights.
        device: ``"auto"`` is CUDA where there is one.
        threads: Threads of torch on the CPU; 0 is one a core.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=40, ge=1, le=10_000)
    batch_size: int = Field(default=36, ge=2, le=65_536)
    samples_per_sequence: int = Field(default=4, ge=1, le=1_000)
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    weight_decay: float = Field(default=0.05, ge=0, le=1)
    warmup: float = Field(default=0.05, ge=0, lt=1)
    margin_rate: float = Field(default=5.0, gt=0, le=100)
    gradient_clip: float = Field(default=5.0, gt=0)
    seed: int = Field(default=0, ge=0, lt=2**32)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(default=0, ge=0, le=1024)


class AffectOptions(BaseModel):
    """AffectVLM's weights and choices; a weight of 0 is an ablation.

    Attributes:
        align: Weight of L_align.
        pairs: Weight of L_mc.
        triplets: Weight of L_mt.
        view_alignment: Inside L_align, weight of the mean over single views beside the fused face.
        mining: Which triplets; ``"semi_hard"`` and ``"hardest"`` see batch-normalised embeddings.
        smoothing: Temperature of a softplus in place of the hinges; 0 is the hinge.
        margin_low: Lower bound of α, a cosine in L_mc and a squared distance in L_mt.
        margin_high: Upper bound of α.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    align: float = Field(default=1.0, ge=0, le=100)
    pairs: float = Field(default=0.5, ge=0, le=100)
    triplets: float = Field(default=0.5, ge=0, le=100)
    view_alignment: float = Field(default=0.5, ge=0, le=100)
    mining: Mining = "hardest"
    smoothing: float = Field(default=0.0, ge=0, le=10)
    margin_low: float = Field(default=0.05, ge=0, lt=1)
    margin_high: float = Field(default=0.6, gt=0, le=2)


class SmileOptions(BaseModel):
    """SMILE-VLM's weights; a weight of 0 is an ablation.

    Attributes:
        decorrelation: Weight of L_MV; the paper's is 1.
        beta: β, weight of L_VL.
        gamma: γ, weight of L_CM; a constant text embedding has no redundancy either, and at 0.1 a small corpus with few
            pseudo-labels fell into it.
        off_diagonal: λ of L_MV; Barlow Twins' default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    decorrelation: float = Field(default=1.0, ge=0, le=100)
    beta: float = Field(default=1.0, ge=0, le=100)
    gamma: float = Field(default=0.01, ge=0, le=100)
    off_diagonal: float = Field(default=0.0051, ge=0, le=1)


class CrossEntropyOptions(BaseModel):
    """The cross-entropy peer.

    Attributes:
        label_smoothing: Share of the target spread over all classes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
