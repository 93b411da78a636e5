"""Options of each method, and the complete recipe of each model."""

from pydantic import BaseModel, ConfigDict

from affect4d.experiments.settings import ExperimentSettings, Objectives
from affect4d.models.options import ModelOptions
from affect4d.prompts.compose import PromptOptions
from affect4d.prompts.pseudo_labels.options import PseudoLabelOptions
from affect4d.training.options import AffectOptions, CrossEntropyOptions, SmileOptions, TrainOptions
from affect4d.views.inputs import InputOptions
from affect4d.views.mixing import MixedViewOptions


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


def collect_settings(
    inputs: InputOptions,
    model: ModelOptions,
    prompts: PromptOptions,
    pseudo_labels: PseudoLabelOptions,
    affect_vlm: AffectMethod,
    smile_vlm: SmileMethod,
    cross_entropy: CrossEntropyMethod,
) -> tuple[ExperimentSettings, ExperimentSettings, ExperimentSettings]:
    """The complete recipes of AffectVLM, SMILE-VLM and the cross-entropy baseline."""
    shared = ExperimentSettings(
        inputs=inputs,
        model=model,
        prompts=prompts,
        pseudo_labels=pseudo_labels,
        objectives=Objectives(
            affect_vlm=affect_vlm.objective, smile_vlm=smile_vlm.objective, cross_entropy=cross_entropy.objective
        ),
    )
    supervised = shared.model_copy(update={"train": affect_vlm.train, "augment": affect_vlm.augment})
    self_supervised = shared.model_copy(
        update={"method": "smile_vlm", "train": smile_vlm.train, "augment": smile_vlm.augment}
    )
    baseline = supervised.model_copy(update={"method": "cross_entropy"})
    return supervised, self_supervised, baseline
