"""Options of a training run, checked before it starts; none of them imports torch."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, TypeAdapter, field_validator, model_validator

from affect4d.models.options import ModelOptions
from affect4d.renamed_options import former_names
from affect4d.views.input_options import InputOptions


class SamplerOptions(BaseModel, frozen=True, extra="forbid"):
    """Batches of a fixed number of subjects, with the same number of samples of each."""

    subjects: int = Field(ge=1, le=65_536)
    samples: int = Field(ge=1, le=65_536)  # of each subject, spread over its expressions or pseudo-labels


class TrainOptions(BaseModel, frozen=True, extra="forbid"):
    """Optimisation of one model: length, batches, rates, precision.

    Batches without a sampler draw from all subjects, balanced over expressions where labels are known. AdamW's weight
    decay spares norms, biases and learnt scalars. ``precision`` is that of the encoders: auto is bfloat16 on a GPU that
    has it, float16 with a scaled loss on one that has not, float32 on a CPU; everything after the encoders, and every
    loss, is float32. With ``accumulate``, a batch goes through the encoders in so many parts, to save memory; the loss
    still sees the whole batch, batch normalisation inside an encoder sees the part.
    """

    epochs: int = Field(default=40, ge=1, le=10_000)
    batch_size: int = Field(default=36, ge=2, le=65_536)
    samples_per_sequence: int = Field(default=4, ge=1, le=1_000)  # an epoch
    sampler: SamplerOptions | None = None
    learning_rate: float = Field(default=2e-3, gt=0, le=1)  # after the warm-up; it falls to zero along a half cosine
    weight_decay: float = Field(default=0.05, ge=0, le=1)
    warmup: float = Field(default=0.05, ge=0, lt=1)  # share of all steps over which the rate rises linearly
    margin_rate: float = Field(default=5.0, gt=0, le=100)  # factor on the learning rate of the margin
    gradient_clip: float = Field(default=5.0, gt=0)  # largest norm of the whole gradient
    seed: int = Field(default=0, ge=0, lt=2**32)  # of initial weights, sampling and the validation split
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto is CUDA where there is a GPU
    threads: int = Field(default=0, ge=0, le=1024)  # on the CPU, of all processes of a host; 0 is one a core
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    compile: bool = False  # the encoders: minutes at the start, for long runs
    accumulate: int = Field(default=1, ge=1, le=4096)
    ema_decay: float = Field(default=0.0, ge=0, lt=1)  # of a moving average of the weights, then the result; 0 is none
    freeze: tuple[str, ...] = ()  # prefixes of names of parameters that are not trained: ``text.tower``
    encoder_rate: float = Field(default=1.0, ge=0, le=1)  # factor on the learning rate of the encoders
    layer_decay: float = Field(default=1.0, gt=0, le=1)  # rate of an encoder layer relative to the layer above it
    validation: float = Field(default=0.0, ge=0, le=0.5)  # share of training subjects held out to choose the best epoch
    patience: int = Field(default=0, ge=0, le=10_000)  # epochs without a better one before training stops; 0 is never
    nonfinite_limit: int = Field(default=3, ge=1, le=1000)  # non-finite steps in a row that end the run

    _former = former_names(average="ema_decay")

    @field_validator("freeze", mode="before")
    @classmethod
    def _split_names(cls, names: object) -> object:
        """``a+b`` of the command line, where a comma begins another parameter."""
        return tuple(names.split("+")) if isinstance(names, str) and names else names or ()

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


class StartingPoint(BaseModel, frozen=True, extra="forbid"):
    """A trained model whose weights a training begins with, and how it differs from the one that is trained."""

    name: str  # as it was given
    digest: str  # of its weights
    folder: Path  # of the model: affect4d.models.save_model
    views: tuple[str, ...]  # of a sample, motion views included
    channels: tuple[str, ...]  # of an image, motion channels included
    learning_rate_factor: float = Field(default=0.2, gt=0, le=1)
    differences: tuple[str, ...] = ()

    @property
    def key_parts(self) -> dict[str, Any]:
        """Everything of this that a result depends on."""
        return self.model_dump(mode="json", include={"digest", "views", "channels", "learning_rate_factor"})


class CheckpointOptions(BaseModel, frozen=True, extra="forbid"):
    """Start and checkpoints of a run; only the first two options change what is learnt."""

    start_from: str | None = None  # a packaged model: docs/training.md
    start_rate: float = Field(default=0.2, gt=0, le=1)  # factor on the learning rate of a training that starts from one
    fresh: bool = False  # start over: ignore checkpoints, and a model that is trained already
    checkpoint_minutes: float = Field(default=5.0, ge=0)  # between checkpoints; 0 is one a step
    checkpoints: int = Field(default=2, ge=1, le=100)  # newest that are kept: a damaged one has a predecessor


class DistributedOptions(BaseModel, frozen=True, extra="forbid"):
    """Processes that train one model together; they change the time, not what is learnt."""

    processes: int = Field(default=1, ge=1, le=64)  # on each host; on GPUs, one each
    hosts: int = Field(default=1, ge=1, le=1024)  # the others run torchrun themselves: see docs/training.md
    endpoint: str = Field(default="", pattern=r"^$|^[^:\s]+:\d+$")  # host:port on this host, where hosts meet
    restarts: int = Field(default=3, ge=0, le=100)  # from the newest checkpoint, when a process is lost
    shard: bool = False  # spread the encoders' weights and state (FSDP); these must fit each GPU once, at the start
    timeout_minutes: float = Field(default=10.0, gt=0, le=1440)  # of processes that wait for each other

    _former = former_names(patience_minutes="timeout_minutes")

    @model_validator(mode="after")
    def _hosts_meet_somewhere(self) -> Self:
        if self.hosts > 1 and not self.endpoint:
            raise ValueError("Several hosts need an endpoint, host:port, where they meet.")
        return self

    @property
    def single_process(self) -> bool:
        """This process trains by itself."""
        return self.processes * self.hosts == 1 and not self.shard


class AffectOptions(BaseModel, frozen=True, extra="forbid"):
    """Loss of AffectVLM; a weight of 0 is an ablation. With any mining but all, L_mc and L_mt are batch-normalised."""

    align: float = Field(default=1.0, ge=0, le=100)  # weight of L_align
    pairs: float = Field(default=0.5, ge=0, le=100)  # weight of L_mc
    triplets: float = Field(default=0.5, ge=0, le=100)  # weight of L_mt
    view_alignment: float = Field(default=0.5, ge=0, le=100)  # weight of single views inside L_align
    mining: Literal["all", "hardest"] = "hardest"  # of triplets
    margin_low: float = Field(default=0.05, ge=0, lt=1)  # bounds of α, a cosine in L_mc, a squared distance in L_mt
    margin_high: float = Field(default=0.6, gt=0, le=2)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.margin_low >= self.margin_high:
            raise ValueError(f"margin_low, {self.margin_low}, is not below margin_high, {self.margin_high}.")
        return self


class SmileOptions(BaseModel, frozen=True, extra="forbid"):
    """Loss of SMILE-VLM; a weight of 0 is an ablation. At γ = 0.1 text embeddings of a small corpus collapse."""

    decorrelation: float = Field(default=1.0, ge=0, le=100)  # weight of L_MV; the paper's is 1
    beta: float = Field(default=1.0, ge=0, le=100)  # β, weight of L_VL
    gamma: float = Field(default=0.01, ge=0, le=100)  # γ, weight of L_CM
    off_diagonal: float = Field(default=0.0051, ge=0, le=1)  # λ of L_MV; Barlow Twins' default


class CrossEntropyOptions(BaseModel, frozen=True, extra="forbid"):
    """Loss of the cross-entropy baseline; smoothing spreads a share of the target over all classes."""

    label_smoothing: float = Field(default=0.1, ge=0, lt=1)


class ContrastOptions(BaseModel, frozen=True, extra="forbid"):
    """Loss of the supervised contrastive baseline; it has no option: its temperature is learnt."""


class SimclrOptions(BaseModel, frozen=True, extra="forbid"):
    """Loss of the self-supervised baseline without language."""

    temperature: float = Field(default=0.5, gt=0, le=10)  # τ of NT-Xent


ObjectiveOptions = AffectOptions | SmileOptions | CrossEntropyOptions | ContrastOptions | SimclrOptions


@dataclass(frozen=True)
class TrainingRecipe:
    """All options of one training run, as one value that travels to other processes."""

    inputs: InputOptions
    model: ModelOptions
    train: TrainOptions
    objective: ObjectiveOptions
    start: StartingPoint | None = None

    @property
    def optimisation(self) -> TrainOptions:
        """Options of the training loop: ``train``, with the lower learning rate of a training that has a start."""
        if self.start is None:
            return self.train
        rate = self.train.learning_rate * self.start.learning_rate_factor
        return self.train.model_copy(update={"learning_rate": rate})

    def for_views(self, rendered: int) -> "TrainingRecipe":
        """The recipe with the model sized for this many rendered views."""
        views, channels = self.inputs.input_shape(rendered)
        return replace(self, model=self.model.model_copy(update={"views": views, "channels": channels}))

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {name: part and part.model_dump(mode="json") for name, part in vars(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any], objective: type[ObjectiveOptions]) -> "TrainingRecipe":
        """Inverse of :meth:`to_dict`; ``pydantic.ValidationError`` if a value is not allowed."""
        return TypeAdapter(cls).validate_python({**values, "objective": objective.model_validate(values["objective"])})
