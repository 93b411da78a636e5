"""Views, augmentation schedule and prompts → a trained model."""

from typing import Any

import pandas as pd

from affect4d import tracking
from affect4d.experiments.settings import ExperimentSettings
from affect4d.store import ContentStore
from affect4d.training.options import CheckpointOptions, DistributedOptions

SELF_SUPERVISED = ("smile_vlm",)


def train_model(
    view_manifest: pd.DataFrame,
    schedule: pd.DataFrame,
    prompts: pd.DataFrame,
    settings: ExperimentSettings,
    view_store: ContentStore,
    model_store: ContentStore,
    checkpoints: CheckpointOptions,
    distributed: DistributedOptions,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Train one model; returns its record and learning curves. Views of a self-supervised one have no labels."""
    from affect4d.training.cached_training import TrainingTables, read_history, train_cached  # open_clip costs seconds

    method = settings.method
    views = view_manifest.drop(columns="expression") if method in SELF_SUPERVISED else view_manifest
    data, report = TrainingTables(views, schedule, prompts, view_store), tracking.reporter(method)
    record = train_cached(method, data, settings.recipe(method), model_store, report, checkpoints, distributed)
    return record, read_history(record)
