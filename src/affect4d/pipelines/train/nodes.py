"""Views, plan and prompts → a trained model; the three ways of training differ in what they are handed."""

from typing import Any

import pandas as pd

from affect4d import tracking
from affect4d.models.options import ModelOptions
from affect4d.store import ContentStore
from affect4d.training.options import (
    AffectOptions,
    CheckpointOptions,
    CrossEntropyOptions,
    DistributedOptions,
    SmileOptions,
    TrainingRecipe,
    TrainOptions,
)
from affect4d.views.inputs import InputOptions

Record = dict[str, Any]

KEPT, HERE = CheckpointOptions(), DistributedOptions()


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
    keeping: CheckpointOptions = KEPT,
    distributed: DistributedOptions = HERE,
) -> Record:
    """Train AffectVLM on the sequences of the plan.

    Returns:
        The record of the model in the store; see :func:`affect4d.training.run.train_cached`.
    """
    tables, stores = (view_manifest, view_plan, prompts), (view_store, model_store)
    return _train("affect_vlm", tables, stores, (inputs, model, train, objective), keeping, distributed)


def train_smile_vlm(
    view_manifest: pd.DataFrame,
    view_plan: pd.DataFrame,
    prompts: pd.DataFrame,
    view_store: ContentStore,
    model_store: ContentStore,
    inputs: InputOptions,
    model: ModelOptions,
    train: TrainOptions,
    objective: SmileOptions,
    keeping: CheckpointOptions = KEPT,
    distributed: DistributedOptions = HERE,
) -> Record:
    """Train SMILE-VLM; the views it is handed have lost their label column, the prompts and the plan never had one.

    Returns:
        The record of the model in the store; see :func:`affect4d.training.run.train_cached`.
    """
    tables, stores = (view_manifest.drop(columns="expression"), view_plan, prompts), (view_store, model_store)
    return _train("smile_vlm", tables, stores, (inputs, model, train, objective), keeping, distributed)


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
    keeping: CheckpointOptions = KEPT,
    distributed: DistributedOptions = HERE,
) -> Record:
    """Train the supervised peer on what AffectVLM is trained on; only the objective differs.

    Returns:
        The record of the model in the store; see :func:`affect4d.training.run.train_cached`.
    """
    tables, stores = (view_manifest, view_plan, prompts), (view_store, model_store)
    return _train("cross_entropy", tables, stores, (inputs, model, train, objective), keeping, distributed)


def _train(
    name: str,
    tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    stores: tuple[ContentStore, ContentStore],
    recipe: tuple[InputOptions, ModelOptions, TrainOptions, Any],
    keeping: CheckpointOptions,
    distributed: DistributedOptions,
) -> Record:
    """Train one model; its curves, and then its cost, go to MLflow."""
    from affect4d.training.run import TrainingTables, train_cached  # open_clip costs seconds

    views, models = stores
    report = tracking.reporter(name)
    data = TrainingTables(*tables, views)
    record = train_cached(name, data, TrainingRecipe(*recipe), models, report, keeping, distributed)
    report(0, {f"cost/{what}": number for what, number in record["cost"].items() if not isinstance(number, str)})
    return record
