"""Options of each method, and the complete recipe of each model."""

from pydantic import BaseModel, ConfigDict

from affect4d.experiments.settings import ExperimentSettings, Objectives
from affect4d.models.options import ModelOptions
from affect4d.prompts import PromptOptions
from affect4d.pseudo_labels.options import PseudoLabelOptions
from affect4d.training.options import AffectOptions, CrossEntropyOptions, SmileOptions, TrainOptions
from affect4d.views.augmentation import MixedViewOptions
from affect4d.views.input_options import InputOptions


class AffectMethod(BaseModel):
    """Parameters `affect_vlm`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    augment: MixedViewOptions = MixedViewOptions()
    train: TrainOptions = TrainOptions()
    objective: AffectOptions = AffectOptions()


class SmileMethod(BaseModel):
    """Parameters `smile_vlm`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    augment: MixedViewOptions = MixedViewOptions()
    train: TrainOptions = TrainOptions()
    objective: SmileOptions = SmileOptions()


class CrossEntropyMethod(BaseModel):
    """Parameters `cross_entropy`; schedule and training are AffectVLM's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: CrossEntropyOptions = CrossEntropyOptions()


def collect_supervised_settings(
    inputs: InputOptions,
    model: ModelOptions,
    prompts: PromptOptions,
    pseudo_labels: PseudoLabelOptions,
    affect_vlm: AffectMethod,
    smile_vlm: SmileMethod,
    cross_entropy: CrossEntropyMethod,
) -> tuple[ExperimentSettings, ExperimentSettings]:
    """The complete recipes of AffectVLM and of the cross-entropy baseline; they differ in the method alone."""
    objectives = _objectives(affect_vlm, smile_vlm, cross_entropy)
    affect = ExperimentSettings(
        method="affect_vlm",
        inputs=inputs,
        model=model,
        prompts=prompts,
        pseudo_labels=pseudo_labels,
        train=affect_vlm.train,
        augment=affect_vlm.augment,
        objectives=objectives,
    )
    return affect, affect.model_copy(update={"method": "cross_entropy"})


def collect_self_supervised_settings(
    inputs: InputOptions,
    model: ModelOptions,
    prompts: PromptOptions,
    pseudo_labels: PseudoLabelOptions,
    affect_vlm: AffectMethod,
    smile_vlm: SmileMethod,
    cross_entropy: CrossEntropyMethod,
) -> ExperimentSettings:
    """The complete recipe of SMILE-VLM."""
    return ExperimentSettings(
        method="smile_vlm",
        inputs=inputs,
        model=model,
        prompts=prompts,
        pseudo_labels=pseudo_labels,
        train=smile_vlm.train,
        augment=smile_vlm.augment,
        objectives=_objectives(affect_vlm, smile_vlm, cross_entropy),
    )


def _objectives(affect_vlm: AffectMethod, smile_vlm: SmileMethod, cross_entropy: CrossEntropyMethod) -> Objectives:
    """Loss options of all methods: a study trains several with the same settings."""
    return Objectives(
        affect_vlm=affect_vlm.objective, smile_vlm=smile_vlm.objective, cross_entropy=cross_entropy.objective
    )
