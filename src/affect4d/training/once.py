"""A training run that is done once: the same inputs, options and code give the model that is there already."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from affect4d.content import ContentStore
from affect4d.models import save_model
from affect4d.training.train import Trained

ROOMS = ("arrays", "views", "models", "losses", "training")
"""The code a trained model depends on."""


def train_once(
    name: str, key: str, store: ContentStore, train: Callable[[], Trained[Any]], replay: Callable[[pd.DataFrame], None]
) -> dict[str, Any]:
    """Train and keep a model, unless it is there.

    Args:
        name: What the model is called among the runs.
        key: Digest of everything it depends on.
        store: Where models are kept, one folder each: ``config.json``, ``weights.safetensors``, ``history.parquet``,
            ``cost.json``.
        train: Trains it.
        replay: Told the history of a model that was there already.

    Returns:
        The record of the model: ``model``, ``key``, ``entry`` (its name in the store), ``folder``, ``parameters`` (how many)
        and ``seconds`` (of the training that made it).
    """
    entry = f"{name}/{key}"
    if store.has(entry):
        replay(pd.read_parquet(store.path(entry) / "history.parquet"))
    else:
        started = time.perf_counter()
        trained = train()
        cost = {"seconds": round(time.perf_counter() - started, 2), "parameters": count_parameters(trained)}
        with store.write(entry) as folder:
            save_model(trained.model, folder)
            trained.history.to_parquet(folder / "history.parquet")
            (folder / "cost.json").write_text(json.dumps(cost))
    cost = json.loads((store.path(entry) / "cost.json").read_text())
    return {"model": name, "key": key, "entry": entry, "folder": str(store.path(entry)), **cost}


def count_parameters(trained: Trained[Any]) -> int:
    """How many numbers the model has."""
    return sum(parameter.numel() for parameter in trained.model.parameters())


def read_history(record: dict[str, Any]) -> pd.DataFrame:
    """The learning curves of a recorded model: one row a step."""
    return pd.read_parquet(Path(record["folder"]) / "history.parquet")
