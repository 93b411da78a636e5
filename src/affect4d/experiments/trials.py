"""Trials: a variant is trained, or a baseline fitted, with one seed on one split, then evaluated, and cached."""

import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from safetensors.torch import save_file

from affect4d.evaluation import baselines
from affect4d.evaluation.evaluate_models import Evaluator
from affect4d.evaluation.free_text import FREE_TEXT
from affect4d.evaluation.zero_shot import prompt_similarities
from affect4d.experiments.settings import ExperimentSettings
from affect4d.experiments.variants import Variant
from affect4d.models import build_model, load_model, save_model
from affect4d.prompts.action_unit_captions import wordings_digest
from affect4d.prompts.emotion_prompts import compose_prompts, custom_prompts, prompt_ensembles
from affect4d.pseudo_labels.options import LABELS, UNLABELLED
from affect4d.pseudo_labels.pseudo_prompts import write_pseudo_prompts
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore, cached, cached_folder, content_key, local_digest, table_digest
from affect4d.training.batch_loader import SampleSplits
from affect4d.training.cached_training import TrainedModel, make_samples, train_in_processes, train_model
from affect4d.training.device import choose_device
from affect4d.training.launch import TrainingJob
from affect4d.training.objectives import METHODS
from affect4d.training.options import CheckpointOptions, TrainingRecipe
from affect4d.training.sample_table_and_validation_split import draw_plan
from affect4d.training.starting_weights import load_starting_weights
from affect4d.training.trainer import EpochCallback
from affect4d.views.bank import ViewBank, load_view_bank

LONGEST = 7 * 86_400.0
"""Seconds that a trial may take, or wait for another one that trains the model they share."""
IMAGE_BASELINES: dict[str, Callable[..., pd.DataFrame]] = {
    "motion_logistic": baselines.motion_logistic,
    "pixel_logistic": baselines.pixel_logistic,
    "pixel_knn": baselines.pixel_knn,
}
BASELINES = frozenset({"landmark_logistic", "pseudo_labels", *IMAGE_BASELINES})


@dataclass(frozen=True)
class TrialData:
    """View manifest, sequences with their labels and attributes, scan manifest, and the store of the views."""

    views: pd.DataFrame
    sequences: pd.DataFrame
    scans: pd.DataFrame
    store: ContentStore

    def only(self, sequences: Collection[str]) -> "TrialData":
        """The data of some sequences; itself where all of them are named."""
        if set(self.views["sequence"]) <= set(sequences):
            return self
        views, rows, scans = (
            table[table["sequence"].isin(sequences)].reset_index(drop=True)
            for table in (self.views, self.sequences, self.scans)
        )
        return TrialData(views, rows, scans, self.store)


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell of a grid of methods, splits and seeds."""

    variant: Variant
    seed: int  # of initial weights, augmentation schedule, prompts and pseudo-labels
    split: SubjectSplit
    settings: ExperimentSettings  # to which the variant's changes are applied
    sequences: tuple[str, ...] | None = None  # that take part; None all
    place: str = ""  # shown in messages
    validation: tuple[str, ...] = ()  # subjects whom a tracked variant is evaluated on after every epoch; none: test

    def __str__(self) -> str:
        return f"{self.variant.name} {self.place}"

    def varied(self) -> ExperimentSettings:
        """The settings of this variant and seed."""
        seeds = {f"{part}.seed": self.seed for part in ("train", "prompts", "pseudo_labels")}
        return self.settings.changed({**self.variant.changes, **seeds})


class TrialResult(NamedTuple):
    """Predictions on the test subjects, and the training curve."""

    predictions: pd.DataFrame  # ``model`` is the readout where a variant has several
    curve: pd.DataFrame  # ``epoch``, ``seconds`` (of training), ``unseen_accuracy`` (NaN: not tracked), loss terms


@dataclass(frozen=True)
class _Training:
    variant: Variant
    settings: ExperimentSettings
    split: SubjectSplit
    data: TrialData
    store: ContentStore
    validation: tuple[str, ...] = ()

    @property
    def supervised(self) -> bool:
        return METHODS[self.variant.method].supervised


def run_trial(trial: Trial, *, data: TrialData, store: ContentStore) -> TrialResult:
    """Run a trial, or read its cached result."""
    own = data if trial.sequences is None else data.only(trial.sequences)
    if trial.variant.method in BASELINES:
        fit = partial(_fit_baseline, trial, own)
        return TrialResult(cached(store, "trials", fit, **_baseline_key(trial, own)), _no_curve())
    training = _Training(trial.variant, trial.varied(), trial.split, own, store, trial.validation)
    return TrialResult(*cached(store, "trials", partial(_train_and_evaluate, training), **_key(training)))


def _key(training: _Training) -> dict[str, Any]:
    variant, settings, data = training.variant, training.settings, training.data
    zero_shot = settings.pseudo_labels.zero_shot
    weights = [*settings.model.encoder.sources, zero_shot.name, zero_shot.pretrained]
    return {
        "method": variant.method,
        "readout": variant.readout,
        "tracked": variant.tracked,
        "validation": training.validation,
        "settings": settings.key_parts,
        "own_prompts": custom_prompts(settings.prompts),
        "wordings": wordings_digest(),
        "weights": local_digest(*weights),
        "split": training.split.digest,
        "views": table_digest(data.views[["sequence", "checksum"]]),
        "sequences": table_digest(data.sequences),
        "scans": table_digest(data.scans[list(UNLABELLED)]) if _uses_pseudo_labels(training) else None,
    }


def _uses_pseudo_labels(training: _Training) -> bool:
    return not training.supervised or training.settings.labels == "pseudo"


def _baseline_key(trial: Trial, data: TrialData) -> dict[str, Any]:
    return {
        "method": trial.variant.method,
        "split": trial.split.digest,
        "inputs": trial.settings.inputs,
        "rules": trial.settings.pseudo_labels,
        "views": table_digest(data.views[["sequence", "subject", "expression", "checksum"]]),
        "scans": table_digest(data.scans[["sequence", "frame", "landmarks"]]),
    }


def _fit_baseline(trial: Trial, data: TrialData) -> pd.DataFrame:
    method, settings = trial.variant.method, trial.settings
    evaluator = Evaluator.prepare(data.views, trial.split.to_dict(), settings.inputs, data.store)
    bank, sequences, split = evaluator.bank, evaluator.sequences, evaluator.split
    if method == "landmark_logistic":
        return baselines.landmark_logistic(bank, data.scans, sequences, split)
    if method == "pseudo_labels":
        return baselines.pseudo_label_rules(data.scans, sequences, split, settings.pseudo_labels)
    return IMAGE_BASELINES[method](bank, settings.inputs, sequences, split)


def _train_and_evaluate(training: _Training) -> TrialResult:
    variant, settings, split, data = training.variant, training.settings, training.split, training.data
    everything = Evaluator.prepare(data.views, split.to_dict(), settings.inputs, data.store, head_poses=True)
    evaluator = replace(
        everything,
        bank=everything.bank.only(settings.views),
        sequences=limit_labels(
            everything.sequences, split, settings.labelled_subjects, settings.train.seed, training.validation
        ),
    )
    model, curve = _trained(training, evaluator)
    evaluator = _on_subjects_of(evaluator, split)
    if settings.tested_views:
        trained, every = evaluator.bank.views, replace(evaluator, bank=everything.bank)
        fitted = settings.fitted_views or trained
        table = every.by_probe_across_views(model, variant.name, trained, fitted, settings.tested_views)
        return TrialResult(table, curve)
    return TrialResult(_predict(variant, settings, evaluator, model), curve)


def _trained(training: _Training, evaluator: Evaluator) -> tuple[Any, pd.DataFrame]:
    """The trial's model and its curve; a self-supervised model that several readouts share is trained by the first."""
    settings, store = training.settings, training.store
    if settings.untrained:
        return _untrained(training, evaluator), _no_curve()
    if training.supervised or _is_tracked(training.variant) or training.variant.readout == "prompts_and_probe":
        return _train(training, evaluator)
    shared = settings.changed({"labelled_subjects": 0, "fitted_views": (), "tested_views": ()})
    asked = replace(training.variant, readout="linear_probe", tracked=False)
    key = _key(replace(training, variant=asked, settings=shared))
    lock = store.root / f"pretrained/{content_key(**key)}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock, timeout=LONGEST):
        fill = partial(_train_into, training=training, evaluator=evaluator)
        folder = store.path(cached_folder(store, "pretrained", fill, **key))
    return load_model(folder, choose_device(settings.train.device)), pd.read_parquet(folder / "curve.parquet")


def _no_curve() -> pd.DataFrame:
    return pd.DataFrame({"epoch": [0], "seconds": [0.0], "unseen_accuracy": [float("nan")]})


def _is_tracked(variant: Variant) -> bool:
    """Whether the model is evaluated after every epoch; a probe never is."""
    return variant.tracked and "probe" not in variant.readout


def _untrained(training: _Training, evaluator: Evaluator) -> Any:
    settings, views = training.settings, evaluator.bank.views
    name = METHODS[training.variant.method].model
    model = build_model(name, settings.recipe(training.variant.method).for_views(len(views)).model, settings.train.seed)
    if settings.start is not None:
        load_starting_weights(model, settings.start, settings.inputs, views)
    return model.eval().to(choose_device(settings.train.device))


def _train_into(folder: Path, training: _Training, evaluator: Evaluator) -> None:
    model, curve = _train(training, evaluator)
    save_model(model, folder)
    curve.to_parquet(folder / "curve.parquet")


def _train(training: _Training, evaluator: Evaluator) -> tuple[Any, pd.DataFrame]:
    prompts, groups = _prompts(training)
    if groups is not None:
        settings = as_many_steps(training.settings, len(training.split.train))
        training = replace(training, settings=settings)
    variant, settings, data = training.variant, training.settings, training.data
    bank = evaluator.bank
    if groups is None:  # self-supervised training uses sequences without one of the six expressions, too
        bank = load_view_bank(data.views, data.store, settings.inputs).only(settings.views)
    plan = _plan(training, bank.views, prompts, groups)
    recipe = settings.recipe(variant.method)
    recorder = _CurveRecorder(_accuracy_of(training, evaluator))
    if settings.distributed.single_process:
        trained = train_model(variant.method, bank, plan, prompts, recipe, recorder.report, recorder.examine)
    else:
        samples = make_samples(variant.method, bank, plan, prompts, recipe)
        trained = _train_in_processes(training, bank, samples, recipe, recorder.report)
    return trained.model, pd.DataFrame(recorder.rows)


def _train_in_processes(
    training: _Training, bank: ViewBank, samples: SampleSplits, recipe: TrainingRecipe, on_epoch: EpochCallback
) -> TrainedModel:
    """Train in several processes; an interrupted trial begins again."""
    variant, distributed = training.variant, training.settings.distributed
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / "images.safetensors"
        save_file({"images": bank.images.contiguous(), "neutral": bank.neutral.contiguous()}, images)
        identity, checkpoints = {"variant": variant.name}, CheckpointOptions()
        job = TrainingJob(variant.method, recipe, bank.views, bank.sequences, identity, checkpoints, distributed)
        return train_in_processes(job, folder / "job", samples, images, on_epoch)


def limit_labels(
    sequences: pd.DataFrame, split: SubjectSplit, count: int, seed: int, validation: tuple[str, ...] = ()
) -> pd.DataFrame:
    """The sequences with labels of ``count`` training subjects (0: all; more include fewer) and all other subjects."""
    if not count:
        return sequences
    if count > len(split.train):
        raise ValueError(f"{count} labelled subjects are wanted, of {len(split.train)} training subjects.")
    drawn = np.random.default_rng(seed).permutation(sorted(split.train))[:count]
    known = sequences["subject"].isin([*drawn, *split.test, *validation])
    return sequences.assign(expression=sequences["expression"].where(known, None))


def as_many_steps(settings: ExperimentSettings, subjects: int) -> ExperimentSettings:
    """The settings in which few labelled subjects are trained on for as many steps as all would be."""
    if not settings.labelled_subjects:
        return settings
    often = round(settings.train.samples_per_sequence * subjects / settings.labelled_subjects)
    return settings.changed({"train.samples_per_sequence": often})


def _prompts(training: _Training) -> tuple[pd.DataFrame, dict[str, str] | None]:
    settings, split = training.settings, training.split
    if not training.supervised:
        return _pseudo_prompts(training), None
    known = limit_labels(_with_labels(training), split, settings.labelled_subjects, settings.train.seed)
    labelled = known.dropna(subset=["expression"]).reset_index(drop=True)
    rows = labelled[labelled["subject"].isin(split.train)]
    return compose_prompts(labelled, settings.prompts), dict(zip(rows["sequence"], rows["expression"], strict=True))


def _with_labels(training: _Training) -> pd.DataFrame:
    """The sequences with their true labels, or with the expressions that pseudo-labels name."""
    sequences = training.data.sequences
    if training.settings.labels == "true":
        return sequences
    named = _pseudo_prompts(training).drop_duplicates("sequence").set_index("sequence")["pseudo_label"]
    labels = sequences["sequence"].map(named)
    return sequences.assign(expression=labels.where(labels.isin(EXPRESSIONS), None))


def _pseudo_prompts(training: _Training) -> pd.DataFrame:
    settings, data = training.settings, training.data
    views = data.views.drop(columns=list(LABELS), errors="ignore")
    options, frames = settings.pseudo_labels, settings.inputs.frames
    similarities = partial(prompt_similarities, views, data.store, options.zero_shot, frames)
    return write_pseudo_prompts(data.scans[list(UNLABELLED)], training.split.train, options, similarities)


def _plan(
    training: _Training, views: tuple[str, ...], prompts: pd.DataFrame, groups: dict[str, str] | None
) -> pd.DataFrame:
    settings, rows = training.settings, training.data.views
    kind_of = dict(zip(prompts["sequence"], prompts["pseudo_label"], strict=True)) if groups is None else groups
    rows = rows[rows["subject"].isin(training.split.train) & rows["sequence"].isin(kind_of)].drop(columns="expression")
    supervised = groups is not None
    return draw_plan(
        rows, settings.augment, settings.train, settings.inputs, kind_of, supervised=supervised, views=views
    )


def _predict(variant: Variant, settings: ExperimentSettings, evaluator: Evaluator, model: Any) -> pd.DataFrame:
    if variant.readout == "head":
        return evaluator.by_head(model, variant.name)
    if variant.readout == "free_text":
        return evaluator.by_prompts(model, variant.name, FREE_TEXT)
    if variant.readout == "prompts":
        return evaluator.by_prompts(model, variant.name, prompt_ensembles(settings.prompts))
    if variant.readout == "prompts_and_probe":
        zero_shot = evaluator.by_prompts(model, "zero_shot", prompt_ensembles(settings.prompts))
        return pd.concat([zero_shot, evaluator.by_linear_probe(model, "linear_probe")], ignore_index=True)
    return evaluator.by_linear_probe(model, variant.name)


def _accuracy_of(training: _Training, evaluator: Evaluator) -> Callable[[Any], float]:
    """Function from a model to its accuracy on validation subjects; NaN where it is not tracked or takes a probe."""
    variant, split = training.variant, training.split
    if not _is_tracked(variant):
        return lambda model: float("nan")
    unseen = SubjectSplit(split.train, training.validation or split.test, split.seed)
    quiet = replace(_on_subjects_of(evaluator, unseen), quiet=True)

    def accuracy(model: Any) -> float:
        table = _predict(variant, training.settings, quiet, model)
        return float((table["predicted"] == table["expression"]).mean())

    return accuracy


def _on_subjects_of(evaluator: Evaluator, split: SubjectSplit) -> Evaluator:
    """The evaluator with the sequences of a split's subjects alone."""
    present = evaluator.sequences["subject"].isin([*split.train, *split.test])
    return replace(evaluator, sequences=evaluator.sequences[present].reset_index(drop=True), split=split)


class _CurveRecorder:
    def __init__(self, accuracy: Callable[[Any], float]) -> None:
        self.rows: list[dict[str, float]] = []
        self._accuracy = accuracy
        self._start = time.perf_counter()
        self._last: dict[str, float] = {}

    def examine(self, epoch: int, model: torch.nn.Module) -> None:
        """Record seconds and accuracy after an epoch; the time of the evaluation does not count."""
        seconds = time.perf_counter() - self._start
        was_training, began = model.training, time.perf_counter()
        self._last = {"epoch": epoch, "seconds": seconds, "unseen_accuracy": self._accuracy(model)}
        model.train(was_training)
        self._start += time.perf_counter() - began

    def report(self, epoch: int, terms: dict[str, float]) -> None:
        """Add the terms of an epoch to its row; a training in several processes was not evaluated."""
        if self._last.get("epoch") != epoch:
            seconds = time.perf_counter() - self._start
            self._last = {"epoch": epoch, "seconds": seconds, "unseen_accuracy": float("nan")}
        self.rows.append({**self._last, **terms})
