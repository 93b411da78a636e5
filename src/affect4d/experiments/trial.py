"""One trial: one arm, one seed. Trained, examined after every epoch and at the end, and kept under its content."""

import json
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from safetensors.torch import save_file

from affect4d.evaluation.evaluator import Evaluator
from affect4d.experiments.setting import Arm, Setting
from affect4d.experiments.tickets import LONGEST
from affect4d.models import load_model, save_model
from affect4d.prompts.compose import compose_prompts, ensembles, own_prompts
from affect4d.prompts.pseudo_labels.geometry import UNLABELLED
from affect4d.pseudo_labels.refresh import Refreshing
from affect4d.pseudo_labels.sources import Unlabelled, write_pseudo_prompts
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore, code_version, content_key, local_digest, table_digest
from affect4d.training.callbacks import EpochCallback
from affect4d.training.dataset import SampleSplits
from affect4d.training.device import choose_device
from affect4d.training.job import TrainingJob
from affect4d.training.objectives import METHODS
from affect4d.training.options import CheckpointOptions, DistributedOptions, TrainingRecipe
from affect4d.training.run import TrainedModel, make_samples, train_in_processes, train_model
from affect4d.training.sampling import draw_plan
from affect4d.views.bank import ViewBank, load_view_bank

LOCK_SECONDS = LONGEST
"""How long a trial waits for another one that trains the model they share."""


@dataclass(frozen=True)
class StudyData:
    """What every trial of a study is made from.

    Attributes:
        views: The view manifest.
        sequences: Columns ``sequence``, ``subject``, ``expression`` and the attributes the corpus gives.
        scans: The scan manifest; of it, pseudo-labeled prompts see :data:`~.geometry.UNLABELLED` alone.
        store: Where the views are.
    """

    views: pd.DataFrame
    sequences: pd.DataFrame
    scans: pd.DataFrame
    store: ContentStore

    def only(self, sequences: Collection[str]) -> "StudyData":
        """The same of some sequences; itself where all of them are named."""
        if set(self.views["sequence"]) <= set(sequences):
            return self
        views, rows, scans = (
            table[table["sequence"].isin(sequences)].reset_index(drop=True)
            for table in (self.views, self.sequences, self.scans)
        )
        return StudyData(views, rows, scans, self.store)


@dataclass(frozen=True)
class Trial:
    """What came of one trial.

    Attributes:
        predictions: On the unseen subjects; see :mod:`affect4d.evaluation.predictions`. An arm that is read in several
            ways has the table of each, called by the way.
        curve: One row an epoch: ``epoch``, ``seconds`` (of training, examinations left out), ``unseen_accuracy`` (on
            unseen subjects; NaN where the arm is read by a probe, or not watched), and the means of every term.
    """

    predictions: pd.DataFrame
    curve: pd.DataFrame


def run_trial(
    arm: Arm, seed: int, split: SubjectSplit, data: StudyData, setting: Setting, store: ContentStore
) -> Trial:
    """Train one arm with one seed and examine it, unless that was done before.

    Args:
        arm: What is varied.
        seed: Of initial weights, plan, prompts and pseudo-labels.
        split: Who is trained on, who is examined.
        data: Views and what is known of them.
        setting: What all arms share.
        store: Where trials are kept.
    """
    varied = setting.changed({**arm.changes, "train.seed": seed, "prompts.seed": seed, "pseudo_labels.seed": seed})
    entry = f"trials/{_key(arm, varied, split, data)}"
    if not store.has(entry):
        trial = _train_and_examine(arm, varied, split, data, store)
        with store.write(entry) as folder:
            folder.mkdir()
            trial.predictions.to_parquet(folder / "predictions.parquet")
            trial.curve.to_parquet(folder / "curve.parquet")
            (folder / "arm.json").write_text(json.dumps({"arm": arm.name, "seed": seed}))
    folder = store.path(entry)
    return Trial(pd.read_parquet(folder / "predictions.parquet"), pd.read_parquet(folder / "curve.parquet"))


def _key(arm: Arm, setting: Setting, split: SubjectSplit, data: StudyData) -> str:
    towers, zero_shot = setting.model.towers, setting.pseudo_labels.zero_shot
    return content_key(
        method=arm.method,
        reading=arm.reading,
        watched=arm.watched,
        setting=setting.model_dump(mode="json"),
        own_prompts=own_prompts(setting.prompts),
        weights=local_digest(*(name for part in (towers, zero_shot) for name in (part.name, part.pretrained))),
        split=split.digest,
        views=table_digest(data.views[["sequence", "checksum"]]),
        sequences=table_digest(data.sequences),
        scans=None if METHODS[arm.method].supervised else table_digest(data.scans[list(UNLABELLED)]),
        code=code_version(__name__),
    )


def _train_and_examine(arm: Arm, setting: Setting, split: SubjectSplit, data: StudyData, store: ContentStore) -> Trial:
    whole = Evaluator.prepare(data.views, split.to_dict(), setting.inputs, data.store, stances=True)
    evaluator = with_changes(
        whole,
        bank=whole.bank.only(setting.views),
        sequences=remember_labels(whole.sequences, split, setting.labelled_subjects, setting.train.seed),
    )
    model, curve = _trained(arm, setting, split, data, evaluator, store)
    if setting.asked_views:
        trained, every = evaluator.bank.views, with_changes(evaluator, bank=whole.bank)
        fitted = setting.fitted_views or trained
        return Trial(every.by_probe_across_views(model, arm.name, trained, fitted, setting.asked_views), curve)
    return Trial(_predict(arm, setting, evaluator, model), curve)


def _trained(
    arm: Arm, setting: Setting, split: SubjectSplit, data: StudyData, evaluator: Evaluator, store: ContentStore
) -> tuple[Any, pd.DataFrame]:
    """The arm's model and its curve; one that saw no label serves every probe of it, and is kept where it has several.

    Trials that need it at once wait for the first of them, which trains it.
    """
    if METHODS[arm.method].supervised or not (setting.labelled_subjects or setting.asked_views):
        return _train(arm, setting, split, data, evaluator, store)
    unread = setting.changed({"labelled_subjects": 0, "fitted_views": (), "asked_views": ()})
    entry = f"pretrained/{_key(arm, unread, split, data)}"
    lock = store.root / f"{entry}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock, timeout=LOCK_SECONDS):
        if not store.has(entry):
            model, curve = _train(arm, setting, split, data, evaluator, store)
            with store.write(entry) as folder:
                save_model(model, folder)
                curve.to_parquet(folder / "curve.parquet")
    folder = store.path(entry)
    return load_model(folder, choose_device(setting.train.device)), pd.read_parquet(folder / "curve.parquet")


def _train(
    arm: Arm, setting: Setting, split: SubjectSplit, data: StudyData, evaluator: Evaluator, store: ContentStore
) -> tuple[Any, pd.DataFrame]:
    prompts, groups = _prompts(arm, setting, split, data, store)
    if groups is not None:
        setting = as_many_steps(setting, len(split.train))
    bank = evaluator.bank
    if groups is None:  # who learns without labels learns from sequences that show none of the six, too
        bank = load_view_bank(data.views, data.store, setting.inputs).only(setting.views)
    plan = _plan(setting, split, data, bank.views, prompts, groups)
    recipe = TrainingRecipe(setting.inputs, setting.model, setting.train, getattr(setting.objectives, arm.method))
    clock = _Clock(_examiner(arm, setting, evaluator))
    if setting.distributed.alone:
        trained = train_model(arm.method, bank, plan, prompts, recipe, clock.report, clock.examine)
    else:
        samples = make_samples(arm.method, bank, plan, prompts, recipe)
        trained = _train_in_processes(arm, bank, samples, recipe, setting.distributed, clock.report)
    return trained.model, pd.DataFrame(clock.rows)


def _train_in_processes(
    arm: Arm,
    bank: ViewBank,
    samples: SampleSplits,
    recipe: TrainingRecipe,
    distributed: DistributedOptions,
    on_epoch: EpochCallback,
) -> TrainedModel:
    """The same in several processes; an interrupted trial begins again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = folder / "pictures.safetensors"
        save_file({"pictures": bank.pictures.contiguous(), "neutral": bank.neutral.contiguous()}, pictures)
        identity, checkpoints = {"arm": arm.name}, CheckpointOptions()
        job = TrainingJob(arm.method, recipe, bank.views, bank.sequences, identity, checkpoints, distributed)
        return train_in_processes(job, folder / "job", samples, pictures, on_epoch)


def remember_labels(sequences: pd.DataFrame, split: SubjectSplit, count: int, seed: int) -> pd.DataFrame:
    """The sequences with the labels of so many training subjects, and of every test subject; the others' are null.

    Args:
        sequences: Columns ``subject``, ``expression``.
        split: Whose training side they are drawn from.
        count: How many; 0 is all.
        seed: Of the draw; more subjects with one seed include the fewer.

    Raises:
        ValueError: If there are not so many training subjects.
    """
    if not count:
        return sequences
    if count > len(split.train):
        raise ValueError(f"{count} labelled subjects are asked for, of {len(split.train)} training subjects.")
    drawn = np.random.default_rng(seed).permutation(sorted(split.train))[:count]
    known = sequences["subject"].isin([*drawn, *split.test])
    return sequences.assign(expression=sequences["expression"].where(known, None))


def as_many_steps(setting: Setting, subjects: int) -> Setting:
    """The setting in which few labelled subjects are trained on for as many steps as all would be."""
    if not setting.labelled_subjects:
        return setting
    often = round(setting.train.samples_per_sequence * subjects / setting.labelled_subjects)
    return setting.changed({"train.samples_per_sequence": often})


def _prompts(
    arm: Arm, setting: Setting, split: SubjectSplit, data: StudyData, store: ContentStore
) -> tuple[pd.DataFrame, dict[str, str] | None]:
    """Prompts, and the expression of every training sequence where the method may know it."""
    if not METHODS[arm.method].supervised:
        return write_pseudo_prompts(_unlabelled(setting, split, data, store), setting.pseudo_labels), None
    known = remember_labels(data.sequences, split, setting.labelled_subjects, setting.train.seed)
    labelled = known.dropna(subset=["expression"]).reset_index(drop=True)
    training = labelled[labelled["subject"].isin(split.train)]
    groups = dict(zip(training["sequence"], training["expression"], strict=True))
    return compose_prompts(labelled, setting.prompts), groups


def _unlabelled(setting: Setting, split: SubjectSplit, data: StudyData, store: ContentStore) -> Unlabelled:
    """What pseudo-labels are made from; clusters are refreshed with the arm's own setting."""
    train = setting.train.model_copy(update={"epochs": setting.pseudo_labels.cluster.epochs})
    parts = (setting.inputs, setting.model, train, setting.augment, setting.objectives.smile_vlm)
    return Unlabelled.of(
        data.scans, data.views, data.store, split.train, Refreshing(*parts, store), setting.inputs.frames
    )


def _plan(
    setting: Setting,
    split: SubjectSplit,
    data: StudyData,
    views: tuple[str, ...],
    prompts: pd.DataFrame,
    groups: dict[str, str] | None,
) -> pd.DataFrame:
    kind_of = dict(zip(prompts["sequence"], prompts["pseudo_label"], strict=True)) if groups is None else groups
    rows = data.views[data.views["subject"].isin(split.train) & data.views["sequence"].isin(kind_of)]
    train, inputs, supervised = setting.train, setting.inputs, groups is not None
    return draw_plan(
        rows.drop(columns="expression"), setting.augment, train, inputs, kind_of, supervised=supervised, views=views
    )


def _predict(arm: Arm, setting: Setting, evaluator: Evaluator, model: Any) -> pd.DataFrame:
    if arm.reading == "head":
        return evaluator.by_head(model, arm.name)
    if arm.reading == "prompts":
        return evaluator.by_prompts(model, arm.name, ensembles(setting.prompts))
    if arm.reading == "prompts_and_probe":
        zero_shot = evaluator.by_prompts(model, "zero_shot", ensembles(setting.prompts))
        return pd.concat([zero_shot, evaluator.by_linear_probe(model, "linear_probe")], ignore_index=True)
    return evaluator.by_linear_probe(model, arm.name)


def _examiner(arm: Arm, setting: Setting, evaluator: Evaluator) -> Callable[[Any], float]:
    """Accuracy on the unseen subjects; NaN where nobody asks, or a probe would have to be fitted for it."""
    if not arm.watched or "probe" in arm.reading:
        return lambda model: float("nan")

    quiet = with_changes(evaluator, quiet=True)

    def accuracy(model: Any) -> float:
        table = _predict(arm, setting, quiet, model)
        return float((table["predicted"] == table["expression"]).mean())

    return accuracy


class _Clock:
    """One row an epoch: what it cost and what it gave; the time of examinations is left out."""

    def __init__(self, accuracy: Callable[[Any], float]) -> None:
        self.rows: list[dict[str, float]] = []
        self._accuracy = accuracy
        self._start = time.perf_counter()
        self._last: dict[str, float] = {}

    def examine(self, epoch: int, model: torch.nn.Module) -> None:
        """Note seconds and accuracy after an epoch."""
        seconds = time.perf_counter() - self._start
        was_training, began = model.training, time.perf_counter()
        self._last = {"epoch": epoch, "seconds": seconds, "unseen_accuracy": self._accuracy(model)}
        model.train(was_training)
        self._start += time.perf_counter() - began

    def report(self, epoch: int, terms: dict[str, float]) -> None:
        """Join the terms of the epoch to its evaluator; processes of their own are not examined."""
        if self._last.get("epoch") != epoch:
            seconds = time.perf_counter() - self._start
            self._last = {"epoch": epoch, "seconds": seconds, "unseen_accuracy": float("nan")}
        self.rows.append({**self._last, **terms})
