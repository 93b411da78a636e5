"""Views, plan and augmented prompts → AffectVLM."""

from typing import Any

import pandas as pd

from affect4d import tracking
from affect4d.content import ContentStore
from affect4d.models.options import ModelOptions
from affect4d.training.options import AffectOptions, TrainOptions
from affect4d.views.inputs import InputOptions


def train_affect_vlm(
    view_manifest: pd.DataFrame,
    view_plan: pd.DataFrame,
    prompts: pd.DataFrame,
    view_store: ContentStore,
    model_store: ContentStore,
    inputs: InputOptions,
    model: ModelOptions,
    train: TrainOptions,
    objective: AffectOptions,
) -> dict[str, Any]:
    """Train AffectVLM on the sequences of the plan.

    Returns:
        The record of the model in the store; see :func:`affect4d.training.once.train_once`.
    """
    from affect4d.training.once import TrainingSet, train_once  # open_clip costs seconds
    from affect4d.training.train import TrainingRecipe

    data = TrainingSet(view_manifest, view_plan, prompts, view_store)
    recipe = TrainingRecipe(inputs, model, train, objective)
    return train_once("affect_vlm", data, recipe, model_store, tracking.reporter("affect_vlm"))
