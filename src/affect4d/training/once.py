"""A training run that is done once: the same inputs, options and code give the model that is there already."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from affect4d.content import ContentStore, code_version, content_key, table_digest
from affect4d.models import save_model
from affect4d.training.loop import Report
from affect4d.training.train import Trained, TrainingRecipe, train_model
from affect4d.views.bank import load_view_bank

Record = dict[str, Any]

ROOMS = ("tensors", "views", "models", "losses", "training")
"""The code a trained model depends on."""


@dataclass(frozen=True)
class TrainingSet:
    """What a model is trained on, as the catalog gives it.

    Attributes:
        views: The view manifest.
        plan: The mixed-view plan.
        prompts: Augmented or pseudo-labeled prompts.
        store: Where the views are.
    """

    views: pd.DataFrame
    plan: pd.DataFrame
    prompts: pd.DataFrame
    store: ContentStore


def train_once(name: str, data: TrainingSet, recipe: TrainingRecipe, store: ContentStore, report: Report) -> Record:
    """Train and keep a model, unless the same data, recipe and code have made it already.

    Args:
        name: One of :data:`affect4d.training.train.METHODS`.
        data: What it is trained on.
        recipe: How.
        store: Where models are kept, one folder each: ``config.json``, ``weights.safetensors``, ``history.parquet``,
            ``cost.json``.
        report: Told the mean terms of every epoch; of a model that was there already, those of its history.

    Returns:
        The record of the model: ``model``, ``key``, ``entry`` (its name in the store), ``folder``, ``parameters``
        (how many) and ``seconds`` (of the training that made it).
    """
    key = training_key(data, recipe)
    entry = f"{name}/{key}"
    if store.has(entry):
        _replay(pd.read_parquet(store.path(entry) / "history.parquet"), report)
    else:
        started = time.perf_counter()
        bank = load_view_bank(data.views, data.store, recipe.inputs)
        trained = train_model(name, bank, data.plan, data.prompts, recipe, report)
        _keep(trained, time.perf_counter() - started, store, entry)
    cost = json.loads((store.path(entry) / "cost.json").read_text())
    return {"model": name, "key": key, "entry": entry, "folder": str(store.path(entry)), **cost}


def training_key(data: TrainingSet, recipe: TrainingRecipe) -> str:
    """Digest of everything a trained model depends on."""
    return content_key(
        views=table_digest(data.views[["sequence", "checksum"]]),
        plan=table_digest(data.plan),
        prompts=table_digest(data.prompts),
        options=[recipe.inputs, recipe.model, recipe.train, recipe.objective],
        code=code_version(*ROOMS),
    )


def _keep(trained: Trained, seconds: float, store: ContentStore, entry: str) -> None:
    """Write a model folder into the store."""
    cost = {"seconds": round(seconds, 2), "parameters": count_parameters(trained)}
    with store.write(entry) as folder:
        save_model(trained.model, folder)
        trained.history.to_parquet(folder / "history.parquet")
        (folder / "cost.json").write_text(json.dumps(cost))


def _replay(history: pd.DataFrame, report: Report) -> None:
    """Report a history made earlier, so that a run that found its model still shows its curves."""
    for epoch in sorted(set(history["epoch"])):
        means = history[history["epoch"] == epoch].drop(columns=["epoch", "step"]).mean()
        report(int(epoch), {str(term): float(value) for term, value in means.items()})


def count_parameters(trained: Trained) -> int:
    """How many numbers the model has."""
    return sum(parameter.numel() for parameter in trained.model.parameters())


def read_history(record: dict[str, Any]) -> pd.DataFrame:
    """The learning curves of a recorded model: one row a step."""
    return pd.read_parquet(Path(record["folder"]) / "history.parquet")
