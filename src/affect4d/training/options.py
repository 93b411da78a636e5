"""Options of a training run, checked before it starts; none of them imports torch."""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from affect4d.losses.mining import Mining
from affect4d.models.options import ModelOptions
from affect4d.views.inputs import InputOptions


class SamplerOptions(BaseModel, frozen=True, extra="forbid"):
    """Batches of a fixed number of subjects, with the same number of samples of each."""

    subjects: int = Field(ge=1, le=65_536)
    samples: int = Field(ge=1, le=65_536, description="Of each subject, spread over its expressions or pseudo-labels.")


class TrainOptions(BaseModel, frozen=True, extra="forbid"):
    """Optimisation of one model: length, rates, batches, precision."""

    epochs: int = Field(40, ge=1, le=10_000)
    batch_size: int = Field(36, ge=2, le=65_536)
    samples_per_sequence: int = Field(4, ge=1, le=1_000, description="Samples drawn from a sequence each epoch.")
    sampler: SamplerOptions | None = Field(
        None, description="None draws from all subjects, balanced over expressions where labels are known."
    )
    learning_rate: float = Field(
        2e-3, gt=0, le=1, description="AdamW's, after the warm-up; it falls to zero along a half cosine."
    )
    weight_decay: float = Field(
        0.05, ge=0, le=1, description="AdamW's, on weight matrices only: not on norms, biases or learnt scalars."
    )
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of all steps over which the rate rises linearly.")
    margin_rate: float = Field(5.0, gt=0, le=100, description="Factor on the learning rate of the margin.")
    gradient_clip: float = Field(5.0, gt=0, description="Largest norm of the whole gradient.")
    seed: int = Field(0, ge=0, lt=2**32, description="Of initial weights, sampling and the validation split.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto is CUDA where there is a GPU.")
    threads: int = Field(0, ge=0, le=1024, description="CPU threads of all processes of a host; 0 is one a core.")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Of the encoders. auto is bfloat16 on a GPU that has it, float16 with a scaled loss on one that "
        "has not, float32 on a CPU. Everything after the encoders, and every loss, is float32.",
    )
    compile: bool = Field(False, description="Compile the encoders: minutes at the start, for long runs.")
    accumulate: int = Field(
        1,
        ge=1,
        le=4096,
        description="Parts in which a batch goes through the encoders, to save memory. The loss still sees the whole "
        "batch; batch normalisation inside an encoder sees the part.",
    )
    average: float = Field(
        0.0, ge=0, lt=1, description="Decay of an exponential average of the weights, then the result; 0 is none."
    )
    freeze: tuple[str, ...] = Field((), description="Prefixes of the names of parameters that are not trained.")
    encoder_rate: float = Field(1.0, ge=0, le=1, description="Factor on the learning rate of the encoders.")
    layer_decay: float = Field(1.0, gt=0, le=1, description="Rate of an encoder layer relative to the layer above it.")
    validation: float = Field(
        0.0, ge=0, le=0.5, description="Share of the training subjects held out to choose the best epoch; 0 is none."
    )
    patience: int = Field(
        0, ge=0, le=10_000, description="Epochs without improvement after which training stops; 0 never stops."
    )
    nonfinite_limit: int = Field(3, ge=1, le=1000, description="Skipped non-finite steps in a row that end the run.")

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


class CheckpointOptions(BaseModel, frozen=True, extra="forbid"):
    """Checkpoints of a run; none of these options changes what is learnt."""

    fresh: bool = Field(False, description="Start over: ignore checkpoints and a model that is trained already.")
    checkpoint_minutes: float = Field(5.0, ge=0, description="Time between checkpoints; 0 is one a step.")
    checkpoints: int = Field(2, ge=1, le=100, description="Newest that are kept: a damaged one has a predecessor.")


class DistributedOptions(BaseModel, frozen=True, extra="forbid"):
    """Processes that train one model together; they change the time, not what is learnt."""

    processes: int = Field(1, ge=1, le=64, description="On each host; on GPUs, one each.")
    hosts: int = Field(1, ge=1, le=1024, description="The others run torchrun themselves: see docs/training.md.")
    endpoint: str = Field("", pattern=r"^$|^[^:\s]+:\d+$", description="host:port on this host where hosts meet.")
    restarts: int = Field(3, ge=0, le=100, description="Restarts from the newest checkpoint when a process is lost.")
    shard: bool = Field(
        False,
        description="Shard the encoders over the processes (FSDP): weights, gradients and optimizer state. The weights "
        "alone must fit each GPU once, at the start.",
    )
    patience_minutes: float = Field(10.0, gt=0, le=1440, description="Timeout of processes that wait for each other.")

    @model_validator(mode="after")
    def _hosts_meet_somewhere(self) -> Self:
        if self.hosts > 1 and not self.endpoint:
            raise ValueError("Several hosts need an endpoint, host:port, where they meet.")
        return self

    @property
    def alone(self) -> bool:
        """This process trains by itself."""
        return self.processes * self.hosts == 1 and not self.shard


class AffectOptions(BaseModel, frozen=True, extra="forbid"):
    """Weights of AffectVLM's losses; a weight of 0 is an ablation."""

    align: float = Field(1.0, ge=0, le=100, description="Weight of L_align.")
    pairs: float = Field(0.5, ge=0, le=100, description="Weight of L_mc.")
    triplets: float = Field(0.5, ge=0, le=100, description="Weight of L_mt.")
    view_alignment: float = Field(0.5, ge=0, le=100, description="Weight of single views inside L_align.")
    mining: Mining = Field(
        "hardest", description="Triplet mining; with any but all, L_mc and L_mt see batch-normalised embeddings."
    )
    smoothing: float = Field(0.0, ge=0, le=10, description="Temperature of a softplus; 0 is the hinge.")
    margin_low: float = Field(
        0.05, ge=0, lt=1, description="Lower bound of α, a cosine in L_mc and a squared distance in L_mt."
    )
    margin_high: float = Field(0.6, gt=0, le=2, description="Upper bound of α.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.margin_low >= self.margin_high:
            raise ValueError(f"margin_low, {self.margin_low}, is not below margin_high, {self.margin_high}.")
        return self


class SmileOptions(BaseModel, frozen=True, extra="forbid"):
    """Weights of SMILE-VLM's losses; a weight of 0 is an ablation."""

    decorrelation: float = Field(1.0, ge=0, le=100, description="Weight of L_MV; the paper's is 1.")
    beta: float = Field(1.0, ge=0, le=100, description="β, weight of L_VL.")
    gamma: float = Field(
        0.01,
        ge=0,
        le=100,
        description="γ, weight of L_CM; a constant text embedding has no redundancy either, and at 0.1 a small corpus "
        "with few pseudo-labels collapsed to it.",
    )
    off_diagonal: float = Field(0.0051, ge=0, le=1, description="λ of L_MV; Barlow Twins' default.")


class CrossEntropyOptions(BaseModel, frozen=True, extra="forbid"):
    """Loss of the cross-entropy baseline."""

    label_smoothing: float = Field(0.1, ge=0, lt=1, description="Share of the target spread over all classes.")


class ContrastOptions(BaseModel, frozen=True, extra="forbid"):
    """Loss of the supervised contrastive baseline; it has no option: its temperature is learnt."""


class SimclrOptions(BaseModel, frozen=True, extra="forbid"):
    """Loss of the self-supervised baseline without language."""

    temperature: float = Field(0.5, gt=0, le=10, description="τ of NT-Xent.")


ObjectiveOptions = AffectOptions | SmileOptions | CrossEntropyOptions | ContrastOptions | SimclrOptions


@dataclass(frozen=True)
class TrainingRecipe:
    """All options of one training run, as one value that travels to other processes."""

    inputs: InputOptions
    model: ModelOptions
    train: TrainOptions
    objective: ObjectiveOptions

    def for_views(self, rendered: int) -> "TrainingRecipe":
        """The recipe with the model sized for this many rendered views."""
        views, channels = self.inputs.input_shape(rendered)
        return replace(self, model=self.model.model_copy(update={"views": views, "channels": channels}))

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {name: part.model_dump(mode="json") for name, part in vars(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any], objective: type[ObjectiveOptions]) -> "TrainingRecipe":
        """Inverse of :meth:`to_dict`.

        Raises:
            pydantic.ValidationError: If a value is not allowed.
        """
        return cls(
            InputOptions.model_validate(values["inputs"]),
            ModelOptions.model_validate(values["model"]),
            TrainOptions.model_validate(values["train"]),
            objective.model_validate(values["objective"]),
        )
