"""Training runs from tables: cached in the store, in this process or in processes of their own."""

import contextlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int64
from tqdm import tqdm

from affect4d.models import TextPreprocessor, save_model, text_preprocessor
from affect4d.models.vision_language_models import WEIGHTS_FILE
from affect4d.prompts.action_unit_captions import CAPTION, swap_sides
from affect4d.scans.expression import expression_index
from affect4d.store import ContentStore, cache_key, content_key, file_digest, local_digest, table_digest
from affect4d.tensor_types import Labels
from affect4d.training.batch_loader import SampleSplits, TrainingSamples
from affect4d.training.launch import CHECKPOINTS, TrainingJob, launch
from affect4d.training.objectives import METHODS
from affect4d.training.options import CheckpointOptions, DistributedOptions, TrainingRecipe
from affect4d.training.sample_table_and_validation_split import check_no_leaks, split_plan
from affect4d.training.starting_weights import fresh_parts, starting_weights
from affect4d.training.state_and_checkpoints import CheckpointFolder, CheckpointPolicy, TrainingCost
from affect4d.training.trainer import Callbacks, EpochCallback, ModelCallback, StepCallback, ignore, train
from affect4d.views.bank import ViewBank, bank_path, load_view_bank, resolve_schedule

HISTORY_FILE, COST_FILE = "history.parquet", "cost.json"
VALIDATION_FILE = "validation.json"  # validation loss by epoch; empty where no subject was held out


@dataclass(frozen=True)
class TrainingTables:
    """Training data as the catalog gives it: view manifest, augmentation plan, prompts, and the store of the views."""

    views: pd.DataFrame
    plan: pd.DataFrame
    prompts: pd.DataFrame
    store: ContentStore

    def digests(self) -> dict[str, str]:
        """Digests of the images, the plan and the prompts."""
        views = table_digest(self.views[["sequence", "checksum"]])
        return {"views": views, "plan": table_digest(self.plan), "prompts": table_digest(self.prompts)}


class TrainedModel(NamedTuple):
    """A trained model, its history (one row a step: epoch, step, terms), its cost, and its validation loss by epoch."""

    model: Any
    history: pd.DataFrame
    cost: TrainingCost
    validation: Mapping[int, float]


def train_cached(
    method: str,
    data: TrainingTables,
    recipe: TrainingRecipe,
    store: ContentStore,
    on_epoch: EpochCallback,
    checkpoints: CheckpointOptions | None = None,
    distributed: DistributedOptions | None = None,
) -> dict[str, Any]:
    """Train and store a model, unless the store has it; a run that was interrupted is resumed.

    The store has a folder for each model: ``config.json``, ``weights.safetensors``, ``history.parquet``, ``cost.json``,
    ``validation.json``; and, until training is done, checkpoints under ``jobs/``. ``on_epoch`` is called with the mean
    terms of every epoch; for a stored model, with those of its history.

    Returns:
        The record of the model: ``model``, ``key`` (of its recipe and its weights: a training started over may end in
        others), ``entry`` (its name in the store), ``folder``, ``text_encoder``, ``parameters``, ``seconds``, ``cost``;
        and ``start`` (``name``, ``digest``, ``differences``, ``fresh`` parts) of one that did not start from scratch.
    """
    checkpoints, distributed = checkpoints or CheckpointOptions(), distributed or DistributedOptions()
    entry = f"{method}/{training_key(data, recipe)}"
    job = store.path(f"jobs/{entry}")
    if checkpoints.fresh:
        shutil.rmtree(job, ignore_errors=True)
    if store.has(entry) and not checkpoints.fresh:
        _replay(store.path(entry), on_epoch)
    else:
        trained = _train(method, data, recipe, job, on_epoch, checkpoints, distributed)
        _save(trained, store, entry, _start_record(trained.model, recipe, data.views))
        shutil.rmtree(job, ignore_errors=True)
    folder = store.path(entry)
    key = content_key(recipe=entry, weights=file_digest(folder / WEIGHTS_FILE))
    cost = json.loads((folder / COST_FILE).read_text())
    record = {"model": method, "key": key, "entry": entry, "folder": str(folder)}
    return {**record, "text_encoder": recipe.model.encoder.text, **cost}


def training_key(data: TrainingTables, recipe: TrainingRecipe) -> str:
    """Digest of everything a trained model depends on."""
    options = [recipe.inputs, recipe.model, recipe.train, recipe.objective]
    start = {} if recipe.start is None else {"start": recipe.start.key_parts}
    weights = local_digest(*recipe.model.encoder.sources)
    return cache_key(_train, **data.digests(), options=options, weights=weights, **start)


def read_history(record: dict[str, Any]) -> pd.DataFrame:
    """Learning curves of a recorded model: one row a step."""
    return pd.read_parquet(Path(record["folder"]) / HISTORY_FILE)


def _train(
    method: str,
    data: TrainingTables,
    recipe: TrainingRecipe,
    folder: Path,
    on_epoch: EpochCallback,
    checkpoints: CheckpointOptions,
    distributed: DistributedOptions,
) -> TrainedModel:
    check_no_leaks(data.plan, data.views.drop_duplicates("sequence").set_index("sequence")["subject"])
    bank = load_view_bank(data.views, data.store, recipe.inputs)
    identity = {"configuration": content_key(recipe=recipe.to_dict()), "data": content_key(**data.digests())}
    if distributed.single_process:
        saved = CheckpointFolder(folder / CHECKPOINTS, identity, checkpoints.checkpoints)
        policy = CheckpointPolicy(saved, checkpoints)
        return train_model(method, bank, data.plan, data.prompts, recipe, on_epoch, policy=policy)
    samples = make_samples(method, bank, data.plan, data.prompts, recipe)
    job = TrainingJob(method, recipe, bank.views, bank.sequences, identity, checkpoints, distributed)
    return train_in_processes(job, folder, samples, bank_path(data.views, data.store, recipe.inputs), on_epoch)


def _start_record(model: Any, recipe: TrainingRecipe, views: pd.DataFrame) -> dict[str, Any]:
    """What a model started from, for its record; empty if from scratch."""
    if recipe.start is None:
        return {}
    weights = starting_weights(model, recipe.start, recipe.inputs, list(views["views"].iloc[0]))
    known = recipe.start.model_dump(mode="json", include={"name", "digest", "differences"})
    return {"start": {**known, "fresh": list(fresh_parts(model, weights))}}


def _save(trained: TrainedModel, store: ContentStore, entry: str, start: dict[str, Any]) -> None:
    """Write a model folder into the store, in place of one that is there."""
    cost = {
        "seconds": round(trained.cost.seconds, 2),
        "parameters": sum(parameter.numel() for parameter in trained.model.parameters()),
        "cost": trained.cost.summary(),
        **start,
    }
    with store.write(entry) as folder:
        save_model(trained.model, folder)
        trained.history.to_parquet(folder / HISTORY_FILE)
        (folder / COST_FILE).write_text(json.dumps(cost))
        (folder / VALIDATION_FILE).write_text(json.dumps({**trained.validation}))
        shutil.rmtree(store.path(entry), ignore_errors=True)


def _replay(folder: Path, on_epoch: EpochCallback) -> None:
    """Report the epochs of a stored model, so that a run that found it still shows its curves."""
    history = pd.read_parquet(folder / HISTORY_FILE)
    validation = json.loads((folder / VALIDATION_FILE).read_text())
    for epoch, rows in history.groupby("epoch"):
        means = {str(term): float(value) for term, value in rows.drop(columns=["epoch", "step"]).mean().items()}
        if str(epoch) in validation:
            means["validation_loss"] = validation[str(epoch)]
        on_epoch(int(str(epoch)), means)


def train_model(
    method: str,
    bank: ViewBank,
    plan: pd.DataFrame,
    prompts: pd.DataFrame,
    recipe: TrainingRecipe,
    on_epoch: EpochCallback = ignore,
    on_model: ModelCallback = ignore,
    policy: CheckpointPolicy | None = None,
) -> TrainedModel:
    """Train a model in this process; by default nothing is saved.

    The plan has as many epochs as the recipe, and is drawn without groups for SMILE-VLM. Prompts have columns sequence,
    prompt and expression; for SMILE-VLM pseudo_label in place of expression. ``ValueError`` if a label could leak.
    """
    samples = make_samples(method, bank, plan, prompts, recipe)
    with progress_bar(samples.train.sizes.numel()) as on_step:
        callbacks = Callbacks(on_step, on_model, on_epoch)
        model, state = train(method, samples, bank, recipe, bank.sequences, callbacks, policy)
    return TrainedModel(model, pd.DataFrame(state.history), state.cost, state.validation)


def train_in_processes(
    job: TrainingJob, folder: Path, samples: SampleSplits, bank: Path, on_epoch: EpochCallback
) -> TrainedModel:
    """Write a job to a folder, and train or resume it in processes; ``bank`` has tensors ``images`` and ``neutral``."""
    job.save(folder, samples, bank)
    with progress_bar(samples.train.sizes.numel()) as on_step:
        model, state = launch(folder, on_epoch, on_step)
    validation = {int(epoch): loss for epoch, loss in state["validation"].items()}
    return TrainedModel(model, pd.DataFrame(state["history"]), TrainingCost(**state["cost"]), validation)


def make_samples(
    method: str, bank: ViewBank, plan: pd.DataFrame, prompts: pd.DataFrame, recipe: TrainingRecipe
) -> SampleSplits:
    """Plan and prompts as tensors, with exactly what a method may see."""
    make = labelled_samples if METHODS[method].supervised else unlabelled_samples
    preprocess = text_preprocessor(recipe.model.encoder)
    training, validation = split_plan(plan)
    return SampleSplits(
        make(training, bank, prompts, preprocess),
        None if validation.empty else make(validation, bank, prompts, preprocess),
    )


@contextlib.contextmanager
def progress_bar(steps: int) -> Iterator[StepCallback]:
    """Show steps, loss, samples a second and time left; yields the callback that updates them."""
    with tqdm(total=steps, desc="training", unit="step", disable=None, dynamic_ncols=True) as bar:
        start, trained = time.perf_counter(), 0

        def update(done: int, loss: float, samples: int) -> None:
            nonlocal trained
            trained += samples
            speed = trained / (time.perf_counter() - start)
            bar.set_postfix_str(f"loss {loss:.3f}, {speed:.0f} samples/s", refresh=False)
            bar.update(done - bar.n)

        yield update


def labelled_samples(
    plan: pd.DataFrame, bank: ViewBank, prompts: pd.DataFrame, preprocess: TextPreprocessor
) -> TrainingSamples:
    """Samples of supervised training; every sequence of the plan needs a prompt, and its frames in the bank."""
    drawn = prompts.iloc[draw_prompts(plan, prompts)]
    flipped = plan["mirror"].to_numpy(bool) & (drawn["source"] == CAPTION).to_numpy()
    drawn = drawn.assign(prompt=drawn["prompt"].mask(flipped, drawn["prompt"].map(swap_sides)))
    labels = torch.tensor([expression_index(expression) for expression in drawn["expression"]])
    return _samples(plan, bank, drawn, labels, preprocess)


def unlabelled_samples(
    plan: pd.DataFrame, bank: ViewBank, pseudo_prompts: pd.DataFrame, preprocess: TextPreprocessor
) -> TrainingSamples:
    """Samples of self-supervised training; ValueError for a column ``expression`` or views mixed across sequences."""
    _check_no_labels(plan, pseudo_prompts)
    drawn = pseudo_prompts.iloc[draw_prompts(plan, pseudo_prompts)]
    groups = torch.as_tensor(pd.factorize(drawn["pseudo_label"], sort=True)[0])
    return _samples(plan, bank, drawn, groups, preprocess)


def draw_prompts(plan: pd.DataFrame, prompts: pd.DataFrame) -> Int64[np.ndarray, " samples"]:
    """Place in ``prompts`` of each sample's prompt: the ⌊draw · n⌋-th of its sequence's n, which is at least one."""
    places = prompts.groupby("sequence").indices
    missing = sorted(set(plan["sequence"]) - set(places))
    if missing:
        raise ValueError(f"{len(missing)} sequences of the plan have no prompt, the first of them {missing[0]!r}.")
    samples = zip(plan["sequence"], plan["prompt_draw"], strict=True)
    return np.array([places[sequence][int(draw * len(places[sequence]))] for sequence, draw in samples], np.int64)


def _samples(
    plan: pd.DataFrame, bank: ViewBank, drawn: pd.DataFrame, groups: Labels, preprocess: TextPreprocessor
) -> TrainingSamples:
    """Each prompt is preprocessed once; a plan lists its samples epoch after epoch, step after step."""
    codes, distinct = pd.factorize(drawn["prompt"])
    sequences = pd.Index(bank.sequences).get_indexer(pd.Index(drawn["sequence"]))
    sizes = plan.groupby(["epoch", "step"], sort=False).size().unstack("step", sort=False)
    return TrainingSamples(
        views=resolve_schedule(bank, plan),
        prompts=preprocess(list(distinct)),
        prompt=torch.as_tensor(codes),
        groups=groups,
        sequences=torch.as_tensor(sequences),
        sizes=torch.as_tensor(sizes.to_numpy(np.int64, copy=True)),
    )


def _check_no_labels(plan: pd.DataFrame, pseudo_prompts: pd.DataFrame) -> None:
    for name, table in (("plan", plan), ("pseudo-prompts", pseudo_prompts)):
        if "expression" in table.columns:
            raise ValueError(f"The {name} of self-supervised training carry a column 'expression': drop it upstream.")
    sources = plan.filter(regex="^source_sequence_")
    if sources.ne(plan["sequence"], axis=0).to_numpy().any():
        raise ValueError("The plan mixes views of several sequences, which needs labels: draw it with groups=None.")
