"""A training run that is done once: the same inputs, options and code give the model that is there already."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from affect4d.models import save_model
from affect4d.models.registry import WEIGHTS_FILE
from affect4d.store import ContentStore, code_version, content_key, file_digest, local_digest, table_digest
from affect4d.training.data.planning import refuse_leaks
from affect4d.training.options import DistributedOptions, KeepingOptions
from affect4d.training.processes.job import CHECKPOINTS, Job
from affect4d.training.processes.launch import launch
from affect4d.training.run import Schedules
from affect4d.training.saving.checkpoints import CheckpointFolder
from affect4d.training.saving.keeping import Keeper
from affect4d.training.train import Trained, TrainingRecipe, make_schedules, train_model
from affect4d.training.watching.company import Report
from affect4d.training.watching.cost import Cost
from affect4d.training.watching.display import training_bar
from affect4d.views.bank import bank_path, load_view_bank

Record = dict[str, Any]

VALIDATION_FILE = "validation.json"
"""The loss on held-out training subjects, by epoch; empty where none were held out."""


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


def train_once(
    name: str,
    data: TrainingSet,
    recipe: TrainingRecipe,
    store: ContentStore,
    report: Report,
    keeping: KeepingOptions | None = None,
    distributed: DistributedOptions | None = None,
) -> Record:
    """Train and keep a model, unless the same data, recipe and code have made it already; go on where it was stopped.

    Args:
        name: One of :data:`affect4d.training.methods.METHODS`.
        data: What it is trained on.
        recipe: How.
        store: Where models are kept, one folder each: ``config.json``, ``weights.safetensors``, ``history.parquet``,
            ``cost.json``, ``validation.json``; and, until they are done, checkpoints under ``jobs/``.
        report: Told the mean terms of every epoch; of a model that was there already, those of its history.
        keeping: How often checkpoints are written, and whether to start over.
        distributed: How many processes train; this one, where it is left out.

    Returns:
        The record of the model: ``model``, ``key`` (of its recipe and its weights: a training started over may end in
        others), ``entry`` (its name in the store), ``folder``, ``parameters`` (how many), ``seconds`` (of the training
        that made it) and ``cost``.
    """
    keeping, distributed = keeping or KeepingOptions(), distributed or DistributedOptions()
    entry = f"{name}/{training_key(data, recipe)}"
    job = store.path(f"jobs/{entry}")
    if keeping.fresh:
        shutil.rmtree(job, ignore_errors=True)
    if store.has(entry) and not keeping.fresh:
        _replay(store.path(entry), report)
    else:
        trained = _train(name, data, recipe, job, report, keeping, distributed)
        _keep(trained, store, entry)
        shutil.rmtree(job, ignore_errors=True)
    folder = store.path(entry)
    key = content_key(recipe=entry, weights=file_digest(folder / WEIGHTS_FILE))
    cost = json.loads((folder / "cost.json").read_text())
    return {"model": name, "key": key, "entry": entry, "folder": str(folder), **cost}


def _train(
    name: str,
    data: TrainingSet,
    recipe: TrainingRecipe,
    job: Path,
    report: Report,
    keeping: KeepingOptions,
    distributed: DistributedOptions,
) -> Trained:
    """Train here, or in processes of their own; either goes on from the checkpoints of the other."""
    refuse_leaks(data.plan, data.views.drop_duplicates("sequence").set_index("sequence")["subject"])
    bank = load_view_bank(data.views, data.store, recipe.inputs)
    identity = {"configuration": content_key(recipe=recipe.to_dict()), "data": _data_key(data)}
    if distributed.alone:
        keeper = Keeper(CheckpointFolder(job / CHECKPOINTS, identity, keeping.checkpoints), keeping)
        return train_model(name, bank, data.plan, data.prompts, recipe, report, keeper=keeper)
    schedules = make_schedules(name, bank, data.plan, data.prompts, recipe)
    whole = Job(name, recipe, bank.views, bank.sequences, identity, keeping, distributed)
    return train_apart(whole, job, schedules, bank_path(data.views, data.store, recipe.inputs), report)


def train_apart(whole: Job, folder: Path, schedules: Schedules, bank: Path, report: Report) -> Trained:
    """Train in processes of their own, which find all they need in a folder.

    Args:
        whole: What they do.
        folder: Where it is written for them; checkpoints that lie there are gone on from.
        schedules: What is trained on; rows are those of ``bank``.
        bank: A file with the tensors ``pictures`` and ``neutral``.
        report: Told the mean terms of every epoch.
    """
    whole.save(folder, schedules, bank)
    with training_bar(schedules.trained.sizes.numel()) as show:
        model, state = launch(folder, report, show)
    validation = {int(epoch): loss for epoch, loss in state["validation"].items()}
    return Trained(model, pd.DataFrame(state["history"]), Cost(**state["cost"]), validation)


def training_key(data: TrainingSet, recipe: TrainingRecipe) -> str:
    """Digest of everything a trained model depends on."""
    return content_key(
        views=table_digest(data.views[["sequence", "checksum"]]),
        plan=table_digest(data.plan),
        prompts=table_digest(data.prompts),
        options=[recipe.inputs, recipe.model, recipe.train, recipe.objective],
        weights=local_digest(recipe.model.towers.name, recipe.model.towers.pretrained),
        code=code_version(__name__),
    )


def _data_key(data: TrainingSet) -> str:
    """Digest of what a model is trained on."""
    views = table_digest(data.views[["sequence", "checksum"]])
    return content_key(views=views, plan=table_digest(data.plan), prompts=table_digest(data.prompts))


def _keep(trained: Trained, store: ContentStore, entry: str) -> None:
    """Write a model folder into the store, in place of one that is there."""
    cost = {
        "seconds": round(trained.cost.seconds, 2),
        "parameters": count_parameters(trained),
        "cost": trained.cost.summary(),
    }
    with store.write(entry) as folder:
        save_model(trained.model, folder)
        trained.history.to_parquet(folder / "history.parquet")
        (folder / "cost.json").write_text(json.dumps(cost))
        (folder / VALIDATION_FILE).write_text(json.dumps({**trained.validation}))
        shutil.rmtree(store.path(entry), ignore_errors=True)


def _replay(folder: Path, report: Report) -> None:
    """Report the epochs of a model made earlier, so that a run that found it still shows its curves."""
    history = pd.read_parquet(folder / "history.parquet")
    validation = json.loads((folder / VALIDATION_FILE).read_text())
    for epoch in sorted(set(history["epoch"])):
        means = history[history["epoch"] == epoch].drop(columns=["epoch", "step"]).mean()
        held_out = {"validation_loss": validation[str(epoch)]} if str(epoch) in validation else {}
        report(int(epoch), {**{str(term): float(value) for term, value in means.items()}, **held_out})


def count_parameters(trained: Trained) -> int:
    """How many numbers the model has."""
    return sum(parameter.numel() for parameter in trained.model.parameters())


def read_history(record: dict[str, Any]) -> pd.DataFrame:
    """The learning curves of a recorded model: one row a step."""
    return pd.read_parquet(Path(record["folder"]) / "history.parquet")
