"""Views, plan and pseudo-labeled prompts → SMILE-VLM."""

from typing import Any

import pandas as pd

from affect4d import tracking
from affect4d.content import ContentStore, code_version, content_key, table_digest
from affect4d.models.options import ModelOptions
from affect4d.training.options import SmileOptions, TrainOptions
from affect4d.views.bank import InputOptions


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
) -> dict[str, Any]:
    """Train SMILE-VLM; the tables it is handed have no label column.

    Returns:
        The record of the model in the store; see :func:`affect4d.training.once.train_once`.
    """
    from affect4d.training.once import ROOMS, train_once
    from affect4d.training.train import train_smile_vlm as fit_model
    from affect4d.views.bank import load_view_bank

    key = content_key(
        views=table_digest(view_manifest[["sequence", "checksum"]]),
        plan=table_digest(view_plan),
        prompts=table_digest(prompts),
        options=[inputs, model, train, objective],
        code=code_version(*ROOMS),
    )
    report = tracking.reporter("smile_vlm")

    def run() -> Any:
        bank = load_view_bank(view_manifest, view_store, inputs)
        return fit_model(bank, view_plan, prompts, inputs, model, train, objective, report=report)

    return train_once("smile_vlm", key, model_store, run, tracking.replayer(report))
