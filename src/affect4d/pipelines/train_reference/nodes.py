"""Views, plan and labels → the cross-entropy model of the same size."""

from typing import Any

import pandas as pd

from affect4d import tracking
from affect4d.content import ContentStore, code_version, content_key, table_digest
from affect4d.models.options import ModelOptions
from affect4d.training.options import CrossEntropyOptions, TrainOptions
from affect4d.views.bank import InputOptions


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
    from affect4d.training.once import ROOMS, train_once
    from affect4d.training.train import train_view_classifier as fit_model
    from affect4d.views.bank import load_view_bank

    key = content_key(
        views=table_digest(view_manifest[["sequence", "checksum"]]),
        plan=table_digest(view_plan),
        prompts=table_digest(prompts),
        options=[inputs, model, train, objective],
        code=code_version(*ROOMS),
    )
    report = tracking.reporter("cross_entropy")

    def run() -> Any:
        bank = load_view_bank(view_manifest, view_store, inputs)
        return fit_model(bank, view_plan, prompts, inputs, model, train, objective, report=report)

    return train_once("cross_entropy", key, model_store, run, tracking.replayer(report))
