"""Studies and cross-validations: trials of methods, splits and seeds in parallel, each cached as soon as it ends."""

import functools
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd

from affect4d.evaluation.prediction_tables_and_leak_checks import LeakError, check_distinct
from affect4d.experiments.settings import ExperimentSettings, StudyOptions
from affect4d.experiments.trials import LONGEST, Trial, TrialData, run_trial
from affect4d.experiments.variants import METHODS, Variant
from affect4d.parallel import IN_PROCESS, EngineOptions, map_chunks
from affect4d.scans.corpora.corpus_class_and_scan_table import Protocol
from affect4d.scans.protocols import Fold, hold_out
from affect4d.scans.scan_source_and_corpus_folder import PART_JOINT, prefixed
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore

LOGGER = logging.getLogger(__name__)
TEST, VALIDATION = "test", "validation"
VALIDATION_SUBJECTS = 24
"""Most subjects, of those that a study does not train on, whom tracked variants are evaluated on after every epoch."""
OnFold = Callable[[Fold, pd.DataFrame], None]

Cell = TypeVar("Cell")
Result = TypeVar("Result")


class StudyTables(NamedTuple):
    """Predictions (a row per test sequence) and curves (a row per epoch), with ``variant`` and ``seed`` in front."""

    predictions: pd.DataFrame
    curves: pd.DataFrame


def run_parallel(
    run: Callable[[Cell], Result], cells: Sequence[Cell], description: str, engine: EngineOptions = IN_PROCESS
) -> Iterator[tuple[Cell, Result]]:
    """Run every picklable cell of a grid, each cached; yield results as they end. RuntimeError if one failed."""
    patient = engine.model_copy(update={"seconds": LONGEST})
    for cell, result in map_chunks(run, cells, description, patient):
        if isinstance(result, Exception):
            raise RuntimeError(f"The trial {cell} failed: {result}") from result
        yield cell, result


def run_study(
    variants: Sequence[Variant],
    options: StudyOptions,
    split: SubjectSplit,
    data: TrialData,
    settings: ExperimentSettings | Mapping[str, ExperimentSettings],
    store: ContentStore,
    engine: EngineOptions = IN_PROCESS,
) -> StudyTables:
    """Run every variant with every seed; all are tested on the test subjects of the split.

    With ``options.training_subjects``, so many are drawn for every seed, the same for all variants; speed is then
    measured on other subjects that are not tested either, else on test subjects. Variants that
    want more training subjects of their own than there are, or than that, are left out. A trial has one CPU thread, so
    that its result does not depend on how many run at once. ``settings`` may be by method, AffectVLM's where one is
    missing.

    Raises:
        ValueError: If there are fewer subjects to train on than are wanted, or a start is wanted and none is named.
        RuntimeError: If a trial failed; those that ended before it are cached.
    """
    available = len(training_pool(split, options))
    single = {variant.name: _settings_of(variant, settings).changed({"train.threads": 1}) for variant in variants}
    varied = {variant.name: single[variant.name].changed(variant.changes) for variant in variants}
    _check_start(variants, single, options)
    variants = _feasible(variants, varied, options, available)
    _check_subjects(variants, options, available, varied)
    trials = [
        _trial(variant, seed, single[variant.name], varied[variant.name].training_subjects, options, split, data)
        for seed in options.seeds
        for variant in variants
    ]
    run = functools.partial(run_trial, data=data, store=store)
    done = {
        (trial.variant.name, trial.seed): result
        for trial, result in run_parallel(run, trials, "trials of the study", engine)
    }
    results = [(done[trial.variant.name, trial.seed], trial) for trial in trials]
    return StudyTables(
        pd.concat([_labelled(result.predictions, trial) for result, trial in results], ignore_index=True),
        pd.concat([_labelled(result.curve, trial) for result, trial in results], ignore_index=True),
    )


def cross_validate(
    folds: Sequence[Fold],
    methods: tuple[str, ...],
    seed: int,
    data: TrialData,
    settings: Mapping[str, ExperimentSettings],
    store: ContentStore,
    engine: EngineOptions = IN_PROCESS,
    on_fold: OnFold = lambda fold, table: None,
) -> pd.DataFrame:
    """Fit every method in every fold, on the fold's fitted subjects alone, and check its predictions for leaks.

    ``settings`` are by method, AffectVLM's where one is missing; ``on_fold`` is called with every fold and its
    predictions when its last method has ended.

    Returns:
        Every prediction, with the columns ``fold``, ``round`` and ``side`` (``test`` or ``validation``) in front;
        ``model`` is the method, or the method and its readout (``smile_vlm.zero_shot``).

    Raises:
        LeakError: If a prediction is about a subject that its fold neither tests nor holds out, or a scan is on both
            sides.
        RuntimeError: If a trial failed; those that ended before it are cached.
    """
    check_methods(methods)
    for fold in folds:
        check_no_copied_scans(data.only(fold.sequences).scans, fold.fitted)
    single = {name: each.changed({"train.threads": 1}) for name, each in settings.items()}
    places = {f"in fold {fold.number + 1}": fold for fold in folds}
    trials = [
        Trial(METHODS[name], seed, fold.fitted, single.get(name, single["affect_vlm"]), fold.sequences, place)
        for place, fold in places.items()
        for name in methods
    ]
    tables: dict[int, dict[str, pd.DataFrame]] = {fold.number: {} for fold in folds}
    run = functools.partial(run_trial, data=data, store=store)
    for trial, result in run_parallel(run, trials, "fitting folds", engine):
        fold = places[trial.place]
        done = tables[fold.number]
        done[trial.variant.name] = with_sides(_named(result.predictions, trial.variant), fold)
        if len(done) == len(methods):
            on_fold(fold, pd.concat([done[name] for name in methods], ignore_index=True))
    return pd.concat([tables[fold.number][name] for fold in folds for name in methods], ignore_index=True)


def check_methods(methods: tuple[str, ...]) -> None:
    """Raise a ValueError unless every method exists, and is named once."""
    unknown = [name for name in methods if name not in METHODS]
    if unknown or len(set(methods)) < len(methods):
        raise ValueError(
            f"Cannot cross-validate {', '.join(unknown) or 'a method twice'}; there are {', '.join(METHODS)}."
        )


def with_sides(table: pd.DataFrame, fold: Fold) -> pd.DataFrame:
    """A fold's predictions with the side of their subjects; LeakError if one is fitted, left out, or there twice."""
    allowed = {*fold.split.test, *fold.validation} - set(fold.fitted.train)
    fitted = sorted(set(table["subject"]) - allowed)
    if fitted:
        raise LeakError(f"Fold {fold.number + 1} predicts subjects it was fitted on: {', '.join(fitted)}.")
    outside = sorted(set(table["sequence"]) - set(fold.sequences))
    if outside:
        raise LeakError(f"Fold {fold.number + 1} predicts sequences that take no part: {', '.join(outside)}.")
    for _, predictions in table.groupby("model"):
        check_distinct(predictions["sequence"])
    sided = table.reset_index(drop=True)
    sided.insert(0, "side", sided["subject"].isin(fold.split.test).map({True: TEST, False: VALIDATION}))
    sided.insert(0, "round", fold.round)
    sided.insert(0, "fold", fold.number)
    return sided


def check_no_copied_scans(scans: pd.DataFrame, split: SubjectSplit) -> None:
    """Raise a :class:`LeakError` if a raw scan of a training subject is, byte for byte, one of a test subject's."""
    known = scans[scans["subject"].isin(split.train)].drop_duplicates("checksum").set_index("checksum")["sequence"]
    copies = scans[scans["subject"].isin(split.test) & scans["checksum"].isin(known.index)]
    if len(copies):
        row = copies.iloc[0]
        raise LeakError(
            f"{row['sequence']} of a test subject holds a scan that is, byte for byte, one of "
            f"{known[row['checksum']]} of a training subject. Remove one of them from the corpus."
        )


def cross_corpus_fold(
    protocol: Protocol, training: pd.DataFrame, tested: pd.DataFrame, seed: int, validation: float
) -> Fold:
    """The one fold of a cross-dataset protocol: all subjects of one corpus (less validation) against the other's."""
    rows = training.dropna(subset=["expression"]), protocol.selection.rows(tested)
    train, test = (tuple(part["subject"].unique()) for part in rows)
    split = SubjectSplit(train, test, seed)
    names = tuple(sorted({*rows[0]["sequence"], *rows[1]["sequence"]}))
    return Fold(0, 0, split, hold_out(split, validation), names)


def with_corpus_names(corpus: str, data: TrialData) -> TrialData:
    """The data with subjects and sequences named ``corpus:name``: two corpora may both have an F001."""
    views, rows, scans = (prefixed(corpus, table) for table in (data.views, data.sequences, data.scans))
    return TrialData(views, rows, scans, data.store)


def combined(training: TrialData, tested: TrialData) -> TrialData:
    """Both corpora in one; the images of the first are linked into the store of the second."""
    link_entries(training.views["shard"], training.store, tested.store)
    pairs = ((training.views, tested.views), (training.sequences, tested.sequences), (training.scans, tested.scans))
    views, rows, scans = (pd.concat(pair, ignore_index=True) for pair in pairs)
    return TrialData(views, rows, scans, tested.store)


def link_entries(names: Iterable[str], source: ContentStore, target: ContentStore) -> None:
    """Link entries of one store into another; copy them where the disk has no hard links."""
    for name in names:
        if not target.has(name):
            with target.write(name, durable=False) as partial:
                try:
                    partial.hardlink_to(source.path(name))
                except OSError:  # another disk, or one without links
                    shutil.copy2(source.path(name), partial)


def _settings_of(
    variant: Variant, settings: ExperimentSettings | Mapping[str, ExperimentSettings]
) -> ExperimentSettings:
    if isinstance(settings, ExperimentSettings):
        return settings
    return settings.get(variant.method, settings["affect_vlm"])


def _check_start(
    variants: Sequence[Variant], settings: Mapping[str, ExperimentSettings], options: StudyOptions
) -> None:
    """A study of which some variants do without the start needs one."""
    compared = any("start" in variant.changes for variant in variants)
    if compared and any(settings[variant.name].start is None for variant in variants):
        raise ValueError(
            f"The study {options.name} compares training from a start with training from scratch: name the start, "
            "--params train.start_from=affect_vlm (docs/training.md)."
        )


def _feasible(
    variants: Sequence[Variant], varied: Mapping[str, ExperimentSettings], options: StudyOptions, available: int
) -> list[Variant]:
    """The variants that do not want more training subjects of their own than there are."""
    most = min(available, options.training_subjects or available)
    feasible = [variant for variant in variants if varied[variant.name].training_subjects <= most]
    left_out = len(variants) - len(feasible)
    if not feasible:
        fewest = min(varied[variant.name].training_subjects for variant in variants)
        raise ValueError(f"{fewest} training subjects are wanted, and there are {most}: take a larger corpus.")
    if left_out:
        LOGGER.warning("%d variants want more than the %d training subjects there are: left out.", left_out, most)
    return feasible


def _check_subjects(
    variants: Sequence[Variant], options: StudyOptions, available: int, varied: Mapping[str, ExperimentSettings]
) -> None:
    """Refuse before the first trial what the last would refuse."""
    if (options.training_subjects or 0) > available:
        raise ValueError(
            f"{options.training_subjects} training subjects are wanted, and there are {available}: lower "
            f"studies.{options.name}.training_subjects, or take a larger corpus."
        )
    wanted = {variant.name: varied[variant.name].labelled_subjects for variant in variants}
    subjects, most = options.training_subjects or available, max(wanted.values())
    if most <= subjects:
        return
    feasible = "+".join(name for name, count in wanted.items() if count <= subjects)
    remedy = f"run the others, --params studies.{options.name}.variants={feasible}" if feasible else "take more"
    raise ValueError(f"{most} labelled subjects are wanted, and there are {subjects} to train on: {remedy}.")


def _trial(
    variant: Variant,
    seed: int,
    settings: ExperimentSettings,
    own: int,
    options: StudyOptions,
    split: SubjectSplit,
    data: TrialData,
) -> Trial:
    """A study's trial, trained on all subjects, or on ``own`` of them, or on as many as the study draws."""
    place = f"with seed {seed}"
    if not own and options.training_subjects is None and options.trained_on is None:
        return Trial(variant, seed, split, settings, place=place)
    drawn = np.random.default_rng(seed).permutation(training_pool(split, options)).tolist()
    count = own or options.training_subjects or len(drawn)
    fold = SubjectSplit(tuple(drawn[:count]), split.test, split.seed)
    validation = tuple(drawn[count : count + VALIDATION_SUBJECTS]) if variant.tracked else ()
    present = data.sequences["subject"].isin([*fold.train, *fold.test, *validation])
    return Trial(variant, seed, fold, settings, tuple(data.sequences.loc[present, "sequence"]), place, validation)


def training_pool(split: SubjectSplit, options: StudyOptions) -> list[str]:
    """Training subjects of the study; ValueError if the mixture has no such part to train on."""
    parts = dict.fromkeys(name.partition(PART_JOINT)[0] for name in split.train)
    if options.trained_on is None:
        return list(split.train)
    if options.trained_on not in parts or not all(PART_JOINT in name for name in split.train):
        raise ValueError(
            f"studies.{options.name}.trained_on={options.trained_on} names no part of the corpus: it takes a mixture, "
            "--params corpus=NAME+NAME, and one of its parts."
        )
    return [name for name in split.train if name.partition(PART_JOINT)[0] == options.trained_on]


def _labelled(table: pd.DataFrame, trial: Trial) -> pd.DataFrame:
    labelled = table.drop(columns="model", errors="ignore")
    labelled.insert(0, "seed", trial.seed)
    labelled.insert(0, "variant", trial.variant.name)
    return labelled


def _named(table: pd.DataFrame, variant: Variant) -> pd.DataFrame:
    """Predictions whose column ``model`` is the method, with its readout where it has several."""
    several = variant.readout == "prompts_and_probe"
    return table.assign(model=variant.name + "." + table["model"] if several else variant.name)
