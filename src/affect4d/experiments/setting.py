"""Everything a training depends on, in one document that an arm of a study may change in named places."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from affect4d.models.options import ModelOptions
from affect4d.prompts.compose import PromptOptions
from affect4d.prompts.pseudo_labels.options import PseudoLabelOptions
from affect4d.training.options import (
    AffectOptions,
    ContrastOptions,
    CrossEntropyOptions,
    DistributedOptions,
    SimclrOptions,
    SmileOptions,
    TrainOptions,
)
from affect4d.views.inputs import InputOptions
from affect4d.views.mixing import MixedViewOptions

MethodName = Literal["affect_vlm", "smile_vlm", "simclr", "cross_entropy", "supervised_contrast"]
Reading = Literal["prompts", "head", "linear_probe", "prompts_and_probe"]
"""How a trained model is asked for an expression: by its prompts, by its own head, by a linear probe on its tower; or,
trained once, by prompts and by probe."""


class Objectives(BaseModel):
    """Weights of the terms, one set a method."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    affect_vlm: AffectOptions = AffectOptions()
    smile_vlm: SmileOptions = SmileOptions()
    simclr: SimclrOptions = SimclrOptions()
    cross_entropy: CrossEntropyOptions = CrossEntropyOptions()
    supervised_contrast: ContrastOptions = ContrastOptions()


class Setting(BaseModel):
    """What one training depends on, the data left out.

    Attributes:
        inputs: What a model sees of a view.
        model: Its size.
        train: How long, how fast, where.
        augment: Mixed view augmentation.
        prompts: Augmented prompts, for training with labels.
        pseudo_labels: Pseudo-labeled prompts, for training without.
        objectives: Weights of the terms.
        views: The views that are used; empty means all that are rendered. Not beside clusters that are refreshed: the
            model between two clusterings sees them all.
        labelled_subjects: How many training subjects' labels are known, to a supervised training or to a probe; 0 is
            everybody's. A self-supervised training sees all of them, without labels.
        fitted_views: The views a linear probe is fitted on, each by itself, their features averaged; empty means those
            that the model was trained on. Only with ``asked_views``.
        asked_views: Likewise those it is asked by, which need not be among the model's; empty means that a probe sees
            all of the model's views, side by side.
        distributed: How many processes train; more than one are not examined before the end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: InputOptions = InputOptions()
    model: ModelOptions = ModelOptions()
    train: TrainOptions = TrainOptions()
    augment: MixedViewOptions = MixedViewOptions()
    prompts: PromptOptions = PromptOptions()
    pseudo_labels: PseudoLabelOptions = PseudoLabelOptions()
    objectives: Objectives = Objectives()
    views: tuple[str, ...] = ()
    labelled_subjects: int = Field(default=0, ge=0)
    fitted_views: tuple[str, ...] = ()
    asked_views: tuple[str, ...] = ()
    distributed: DistributedOptions = DistributedOptions()

    @model_validator(mode="after")
    def _fitted_views_are_read(self) -> Self:
        if self.fitted_views and not self.asked_views:
            raise ValueError(
                "fitted_views says what a probe is fitted on that is asked by other views: name asked_views."
            )
        return self

    @model_validator(mode="after")
    def _refreshes_see_every_view(self) -> Self:
        if self.views and self.pseudo_labels.source == "cluster" and self.pseudo_labels.cluster.refreshes:
            raise ValueError(
                "views leaves out some that refreshed clusters would be made from: set pseudo_labels.cluster.refreshes "
                "to 0, or leave views empty."
            )
        return self

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """The setting with other values in named places: ``{"objectives.affect_vlm.pairs": 0.0}``.

        Raises:
            KeyError: If a place does not exist; the message names it.
            ValueError: If a value is not allowed there.
        """
        document = self.model_dump()
        for path, value in changes.items():
            *parents, leaf = path.split(".")
            place = document
            for parent in parents:
                place = place.get(parent) or {}
            if leaf not in place:
                raise KeyError(f"A setting has no {path!r}.")
            place[leaf] = value
        return type(self).model_validate(document)


@dataclass(frozen=True)
class Arm:
    """One way of training in a study.

    Attributes:
        name: Short, stable.
        description: What a person reads in the table.
        method: How it is trained.
        reading: How it is asked.
        changes: Where its setting differs from the study's.
        watched: Whether it is examined after every epoch, for its curve; it is at the end in any case.
        against: The arm it is compared with: the study's first, where None; nobody, where it is its own name.
    """

    name: str
    description: str
    method: MethodName
    reading: Reading = "prompts"
    changes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    watched: bool = True
    against: str | None = None


@dataclass(frozen=True)
class Study:
    """A question, and the arms that answer it.

    Attributes:
        name: Short, stable.
        question: Of the paper's claim, as a person asks it.
        conditions: What all arms share.
        arms: The first is what the others are compared with.
    """

    name: str
    question: str
    conditions: str
    arms: tuple[Arm, ...]
