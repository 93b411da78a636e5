"""Views, plan and labels → the cross-entropy model of the same size."""

from typing import Any

import pandas as pd

from affect4d import tracking
from affect4d.content import ContentStore
from affect4d.models.options import ModelOptions
from affect4d.training.options import CrossEntropyOptions, TrainOptions
from affect4d.views.inputs import InputOptions


def train_cross_entropy(
    view_manifest: pd.DataFrame,
    view_plan: pd.DataFrame,
    prompts: pd.DataFrame,
    view_store: ContentStore,
    model_store: ContentStore,
    inputs: InputOptions,
    model: ModelOptions,
    train: TrainOptions,
    objective: CrossEntropyOptions,
) -> dict[str, Any]:
    """Train the supervised peer on what AffectVLM is trained on; only the objective differs.

    Returns:
        The record of the model in the store; see :func:`affect4d.training.once.train_once`.
    """
    from affect4d.training.once import TrainingSet, train_once  # open_clip costs seconds
    from affect4d.training.train import TrainingRecipe

    data = TrainingSet(view_manifest, view_plan, prompts, view_store)
    recipe = TrainingRecipe(inputs, model, train, objective)
    return train_once("cross_entropy", data, recipe, model_store, tracking.reporter("cross_entropy"))
