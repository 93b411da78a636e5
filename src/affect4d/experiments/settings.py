"""Parameters of studies, cross-validations and robustness tests, and all that a training depends on; without torch."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from affect4d.experiments.variants import MethodName
from affect4d.models.options import ModelOptions
from affect4d.prompts.emotion_prompts import PromptOptions
from affect4d.pseudo_labels.options import PseudoLabelOptions
from affect4d.renamed_options import former_names
from affect4d.training.options import (
    AffectOptions,
    ContrastOptions,
    CrossEntropyOptions,
    DistributedOptions,
    SimclrOptions,
    SmileOptions,
    StartingPoint,
    TrainingRecipe,
    TrainOptions,
)
from affect4d.views.augmentation import MixedViewOptions
from affect4d.views.input_options import InputOptions


def _split(value: object) -> object:
    """``a+b`` of the command line (where a comma begins another parameter) or one number, as a tuple."""
    if isinstance(value, str):
        return tuple(value.split("+")) if value else ()
    return (value,) if isinstance(value, int) else value


SeedList = Annotated[tuple[int, ...], BeforeValidator(_split)]
NameList = Annotated[tuple[str, ...], BeforeValidator(_split)]


class Objectives(BaseModel, frozen=True, extra="forbid"):
    """Weights of the loss terms of each method."""

    affect_vlm: AffectOptions = AffectOptions()
    smile_vlm: SmileOptions = SmileOptions()
    simclr: SimclrOptions = SimclrOptions()
    cross_entropy: CrossEntropyOptions = CrossEntropyOptions()
    supervised_contrast: ContrastOptions = ContrastOptions()


class ExperimentSettings(BaseModel, frozen=True, extra="forbid"):
    """Everything that one training depends on, except the data; a variant changes named places."""

    method: MethodName = "affect_vlm"
    inputs: InputOptions = InputOptions()
    model: ModelOptions = ModelOptions()
    train: TrainOptions = TrainOptions()
    augment: MixedViewOptions = MixedViewOptions()
    prompts: PromptOptions = PromptOptions()
    pseudo_labels: PseudoLabelOptions = PseudoLabelOptions()
    objectives: Objectives = Objectives()
    views: tuple[str, ...] = ()  # that are used; empty means all that are rendered
    labels: Literal["true", "pseudo"] = "true"  # that a supervised training sees
    untrained: bool = False  # the model keeps its initial weights
    training_subjects: int = Field(default=0, ge=0)  # drawn by the seed in place of a study's; 0 means as many as that
    labelled_subjects: int = Field(default=0, ge=0)  # for a supervised training or a probe; 0 means all
    fitted_views: tuple[str, ...] = ()  # of a probe, one at a time, averaged; empty means those of the training
    tested_views: tuple[str, ...] = ()  # likewise, not only the model's; empty means all of these, side by side
    start: StartingPoint | None = None  # a trained model whose weights the training begins with
    distributed: DistributedOptions = DistributedOptions()  # several processes are not evaluated before the end

    @model_validator(mode="after")
    def _fitted_views_are_used(self) -> Self:
        if self.fitted_views and not self.tested_views:
            raise ValueError("fitted_views only matters for a probe that is tested on other views: set tested_views.")
        return self

    @property
    def key_parts(self) -> dict[str, Any]:
        """Everything of these settings that a result depends on: without the place of the start's files."""
        start = None if self.start is None else self.start.key_parts
        return {**self.model_dump(mode="json", exclude={"start"}), "start": start}

    def recipe(self, method: str) -> TrainingRecipe:
        """Options of the training of a method."""
        return TrainingRecipe(self.inputs, self.model, self.train, getattr(self.objectives, method), self.start)

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """The settings changed in named places: ``{"objectives.affect_vlm.pairs": 0.0}``.

        Raises:
            KeyError: If there is no such place.
        """
        document = self.model_dump()
        for path, value in changes.items():
            *parents, leaf = path.split(".")
            place = document
            for parent in parents:
                place = place.get(parent) or {}
            if leaf not in place:
                raise KeyError(f"Experiment settings have no {path!r}.")
            place[leaf] = value
        return type(self).model_validate(document)


class StudyOptions(BaseModel, frozen=True, extra="forbid"):
    """Which variants of a study are run, with which seeds and subjects; lists in text are joined by ``+``."""

    name: str
    seeds: SeedList = Field(default=(0, 1, 2, 3, 4), min_length=1)
    variants: NameList = ()  # to run beside the first; empty means all
    primary: NameList = ()  # variants whose contrasts are decided on; fixed by the first run; empty means all
    training_subjects: int | None = Field(default=None, ge=1)  # drawn anew for every seed; None means all
    trained_on: str | None = None  # of a mixture: the corpus whose subjects are trained on; all are tested
    _former = former_names(arms="variants")

    @model_validator(mode="after")
    def _variants_are_known(self) -> Self:
        """Refuse a misspelt variant before a corpus is generated and rendered for it."""
        if self.variants or self.primary:
            from affect4d.experiments.variants import study_named

            study_named(self.name, (*self.variants, *self.primary))
        return self


class OpenedFolders(BaseModel, frozen=True, extra="forbid"):
    """The protocol and the other corpus (None without one) that the catalog's folders were opened for."""

    protocol: str
    trained_on: str | None = None


class CrossValidationOptions(BaseModel, frozen=True, extra="forbid"):
    """Protocol, methods and folds of a cross-validation."""

    protocol: str = "10-fold"  # or the corpus's own, ``leave-one-subject-out``, ``5-draws``, ``cross-dataset``
    methods: NameList = Field(
        default=("affect_vlm", "smile_vlm", "cross_entropy", "landmark_logistic", "pseudo_labels"), min_length=1
    )
    seed: int = Field(default=0, ge=0)
    rounds: int = Field(default=1, ge=1, le=1000)
    validation: float = Field(default=0.1, ge=0, le=0.5)  # fraction of each fold's training subjects for a temperature
    trained_on: str | None = None  # the other corpus, if ``cross-dataset``
    opened: OpenedFolders | None = None  # by the catalog; None outside a pipeline

    @model_validator(mode="after")
    def _protocol_exists(self) -> Self:
        """Refuse a misspelt protocol before a corpus is read; whether this corpus has it is checked then."""
        from affect4d.scans.protocols import GENERAL, PROTOCOLS, general_protocol

        named = {one.name for one in PROTOCOLS}
        if self.protocol not in named and general_protocol(self.protocol) is None:
            raise ValueError(
                f"There is no protocol {self.protocol!r}; every corpus has {', '.join(GENERAL)} (any number) and "
                f"cross-dataset, and some have their own: {', '.join(sorted(named))}."
            )
        return self

    def check_opened(self) -> None:
        """Raise a ValueError unless the catalog's folders are those of this protocol and this other corpus."""
        for name in ("trained_on", "protocol") if self.opened is not None else ():
            wanted, opened = getattr(self, name), getattr(self.opened, name)
            if wanted != opened:
                raise ValueError(
                    f"{name} is {wanted}, but the catalog has opened the folders of {opened or 'no other corpus'}: "
                    f"write --params {name}=NAME, not cross_validation.{name}."
                )


class RobustnessOptions(BaseModel, frozen=True, extra="forbid"):
    """Size of a robustness test; no corruption named means all."""

    subjects: int = Field(default=4, ge=1, le=100_000)
    seed: int = Field(default=0, ge=0)
    corruptions: NameList = ()
    _former = former_names(people="subjects", damages="corruptions")
