"""What a training run may be told, checked before it starts."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from affect4d.losses.mining import Mining


class SamplerOptions(BaseModel):
    """Batches of so many subjects with so many samples of each; see :class:`affect4d.views.people.People`.

    Attributes:
        subjects: Different subjects of a batch.
        samples: Of each, spread over its expressions; in self-supervised training, over its pseudo-labels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    subjects: int = Field(ge=1, le=65_536)
    samples: int = Field(ge=1, le=65_536)


class TrainOptions(BaseModel):
    """How long, how fast, where.

    Attributes:
        epochs: Passes over the plan.
        batch_size: Samples of a batch; the plan is drawn with it.
        samples_per_sequence: Samples a sequence gives an epoch; the plan is drawn with it.
        sampler: Batches by subject; None draws from everybody, every expression equally often where labels are known.
        learning_rate: AdamW's, at the end of the warm-up; it falls along a half cosine to zero.
        weight_decay: AdamW's, on weight matrices; none on norms, biases, view weights, temperature and margin.
        warmup: Share of all steps over which the rate rises linearly.
        margin_rate: The margin learns this many times faster than the rest.
        gradient_clip: Largest norm of the whole gradient.
        seed: Of the first weights, of the plan, and of who is held out.
        device: ``"auto"`` is CUDA where there is one.
        threads: Threads of torch on the CPU, all processes of a host together; 0 is one a core.
        precision: Of the towers. ``"auto"`` is bfloat16 on a GPU that has it, float16 with a scaled loss on one that
            has not, float32 on a CPU. Everything behind the towers, and every loss, is float32.
        compile: Compile the towers; minutes at the start, for long runs.
        accumulate: Parts in which a batch goes through the towers, to save memory. The loss still sees the whole batch,
            so the step is that of the whole batch; batch normalisation inside a tower sees the part.
        average: Decay of an exponential average of the weights, which is then the result; 0 is none.
        freeze: Starts of names of parameters that stay as they are: ``text.tower``.
        tower_rate: The towers learn this many times as fast as the rest.
        layer_decay: A tower's layer learns this many times as fast as the layer above it.
        validation: Share of the *training* subjects that are held out to choose the best epoch; 0 is none.
        patience: End after so many epochs without a better one; 0 only chooses. Needs ``validation``.
        nonfinite_limit: So many steps in a row that are not finite end the run; each is left out.
        when_memory_ends: What to do where a batch does not fit: ``"stop"`` and say what would, or ``"accumulate"``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=40, ge=1, le=10_000)
    batch_size: int = Field(default=36, ge=2, le=65_536)
    samples_per_sequence: int = Field(default=4, ge=1, le=1_000)
    sampler: SamplerOptions | None = None
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    weight_decay: float = Field(default=0.05, ge=0, le=1)
    warmup: float = Field(default=0.05, ge=0, lt=1)
    margin_rate: float = Field(default=5.0, gt=0, le=100)
    gradient_clip: float = Field(default=5.0, gt=0)
    seed: int = Field(default=0, ge=0, lt=2**32)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(default=0, ge=0, le=1024)
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    compile: bool = False
    accumulate: int = Field(default=1, ge=1, le=4096)
    average: float = Field(default=0.0, ge=0, lt=1)
    freeze: tuple[str, ...] = ()
    tower_rate: float = Field(default=1.0, ge=0, le=1)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    validation: float = Field(default=0.0, ge=0, le=0.5)
    patience: int = Field(default=0, ge=0, le=10_000)
    nonfinite_limit: int = Field(default=3, ge=1, le=1000)
    when_memory_ends: Literal["stop", "accumulate"] = "stop"

    @model_validator(mode="after")
    def _patience_needs_validation(self) -> Self:
        if self.patience and not self.validation:
            raise ValueError("patience is counted on held-out training subjects: set validation, a share of them.")
        return self

    @model_validator(mode="after")
    def _sampler_fills_the_batch(self) -> Self:
        if self.sampler and self.sampler.subjects * self.sampler.samples != self.batch_size:
            raise ValueError(
                f"{self.sampler.subjects} subjects × {self.sampler.samples} samples are no batch of {self.batch_size}: "
                f"set batch_size to {self.sampler.subjects * self.sampler.samples}."
            )
        return self


class KeepingOptions(BaseModel):
    """What is kept of a run while it goes on; none of it changes what is learnt.

    Attributes:
        fresh: Start over: forget checkpoints, and train again what is already trained.
        checkpoint_minutes: Time between checkpoints; 0 is one a step.
        checkpoints: How many are kept, the newest; with two, a damaged one has a predecessor.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fresh: bool = False
    checkpoint_minutes: float = Field(default=5.0, ge=0)
    checkpoints: int = Field(default=2, ge=1, le=100)


class DistributedOptions(BaseModel):
    """How many processes train one model; it changes the time, not what is learnt.

    Attributes:
        processes: A host; on GPUs, one each.
        hosts: That train together. The others run ``python -m affect4d.training.agent FOLDER``; see docs/training.md.
        endpoint: ``host:port`` where the hosts meet, on this host; needed for more than one.
        restarts: How often all processes are started again, from the newest checkpoint, when one is lost.
        shard: Spread the towers' weights over the processes (FSDP): of weights, gradients and the
            optimiser's state a GPU then holds its part. The weights alone must fit into each once, at the start.
        python: Interpreter of the processes; empty is this one. It needs torch, open_clip, safetensors, pydantic,
            numpy, jaxtyping and this package on its path, nothing else.
        patience_minutes: How long processes wait for each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    processes: int = Field(default=1, ge=1, le=64)
    hosts: int = Field(default=1, ge=1, le=1024)
    endpoint: str = Field(default="", pattern=r"^$|^[^:\s]+:\d+$")
    restarts: int = Field(default=3, ge=0, le=100)
    shard: bool = False
    python: str = ""
    patience_minutes: float = Field(default=10.0, gt=0, le=1440)

    @model_validator(mode="after")
    def _hosts_meet_somewhere(self) -> Self:
        if self.hosts > 1 and not self.endpoint:
            raise ValueError("Several hosts need an endpoint, host:port, where they meet.")
        return self

    @property
    def alone(self) -> bool:
        """Whether this process trains by itself."""
        return self.processes * self.hosts == 1 and not self.shard


class AffectOptions(BaseModel):
    """AffectVLM's weights and choices; a weight of 0 is an ablation.

    Attributes:
        align: Weight of L_align.
        pairs: Weight of L_mc.
        triplets: Weight of L_mt.
        view_alignment: Inside L_align, weight of the mean over single views beside the fused face.
        mining: Which triplets; with any but ``"all"``, L_mc and L_mt see batch-normalised embeddings.
        smoothing: Temperature of a softplus in place of the hinges; 0 is the hinge.
        margin_low: Lower bound of α, a cosine in L_mc and a squared distance in L_mt.
        margin_high: Upper bound of α, above the lower one.
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

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.margin_low >= self.margin_high:
            raise ValueError(f"margin_low, {self.margin_low}, is not below margin_high, {self.margin_high}.")
        return self


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


class ContrastOptions(BaseModel):
    """The supervised contrastive peer; it has nothing to choose: its temperature is learnt."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SimclrOptions(BaseModel):
    """The self-supervised peer without language.

    Attributes:
        temperature: τ of NT-Xent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(default=0.5, gt=0, le=10)
