"""Studies, cross-validation and robustness tests."""

import datetime
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from affect4d import tracking
from affect4d.experiments.settings import CrossValidationOptions, ExperimentSettings, RobustnessOptions, StudyOptions
from affect4d.experiments.variants import study_named
from affect4d.left_out import LeftOut, present
from affect4d.parallel import IN_PROCESS, EngineOptions
from affect4d.prompts.emotion_prompts import prompt_ensembles
from affect4d.rendering.options import RenderOptions
from affect4d.scans.corpora.corpus_class_and_scan_table import Protocol
from affect4d.scans.protocols import Fold, draw_all, protocol_named
from affect4d.scans.scan_source_and_corpus_folder import prefixed
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore

LOGGER = logging.getLogger(__name__)
ExperimentData = Any
"""An :class:`affect4d.experiments.trials.TrialData`; to import it costs seconds."""


def gather_experiment_data(
    view_manifest: pd.DataFrame, sequences: pd.DataFrame, scan_manifest: pd.DataFrame, view_store: ContentStore
) -> ExperimentData:
    """Manifests and views that every training of an experiment draws from."""
    from affect4d.experiments import trials

    return trials.TrialData(view_manifest, sequences, scan_manifest, view_store)


def fix_contrasts(
    data: ExperimentData,
    raw_corpus: dict[str, Any],
    subject_split: dict[str, Any],
    study_store: ContentStore,
    options: StudyOptions,
    run_info: dict[str, Any],
) -> dict[str, Any]:
    """Write down the primary contrasts before the first trial on these data; later runs read them."""
    from affect4d.experiments.variant_comparison_and_provenance import DataProvenance, RegisteredContrasts

    basis = DataProvenance.of(raw_corpus, SubjectSplit.from_dict(subject_split), data.sequences, data.views)
    file = study_store.root / f"contrasts/{options.name}-{options.training_subjects or 'all'}-{basis.data}.json"
    return asdict(RegisteredContrasts.fixed(file, options, run_info["made"][:10]))


def run_trials(
    data: ExperimentData,
    contrasts: dict[str, Any],
    subject_split: dict[str, Any],
    study_store: ContentStore,
    options: StudyOptions,
    affect_settings: ExperimentSettings,
    smile_settings: ExperimentSettings,
    engine: EngineOptions = IN_PROCESS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions on test subjects and learning curves of every variant with every seed; the store keeps trials."""
    from affect4d.experiments.studies_and_cross_validation import run_study

    study = study_named(options.name, options.variants)
    by_method = {"affect_vlm": affect_settings, "smile_vlm": smile_settings}
    settings = by_method if study.own_settings else by_method.get(study.variants[0].method, affect_settings)
    split = SubjectSplit.from_dict(subject_split)
    result = run_study(study.variants, options, split, data, settings, study_store, engine)
    return result.predictions, result.curves


def describe_study(
    predictions: pd.DataFrame,
    data: ExperimentData,
    contrasts: dict[str, Any],
    raw_corpus: dict[str, Any],
    subject_split: dict[str, Any],
    options: StudyOptions,
    run_info: dict[str, Any],
) -> dict[str, Any]:
    """Provenance of a study: data, contrasts, seeds, parameters and code."""
    from affect4d.experiments.variant_comparison_and_provenance import (
        DataProvenance,
        RegisteredContrasts,
        StudyProvenance,
    )

    basis = DataProvenance.of(raw_corpus, SubjectSplit.from_dict(subject_split), data.sequences, data.views)
    made = datetime.datetime.fromisoformat(run_info["made"])
    registered = RegisteredContrasts(contrasts["study"], tuple(contrasts["primary"]), contrasts["day"])
    return StudyProvenance.of(basis, options, predictions, run_info, made, registered).to_document()


def compare_variants(
    predictions: pd.DataFrame, curves: pd.DataFrame, provenance: dict[str, Any], options: StudyOptions
) -> dict[str, Any]:
    """Accuracy, difference, interval, test, verdict and speed of every variant, with the provenance."""
    from affect4d.experiments import variant_comparison_and_provenance

    ran = set(predictions["variant"])
    variants = [variant for variant in study_named(options.name, options.variants).variants if variant.name in ran]
    results = variant_comparison_and_provenance.compare_variants(
        variants, predictions, curves, np.random.default_rng(0), options.primary
    )
    if provenance["changed_contrasts"]:
        LOGGER.warning(provenance["changed_contrasts"])
        results = [replace(row, verdict="") for row in results]
    tracking.log_numbers({f"accuracy/{row.variant}": row.accuracy for row in results})
    return {"provenance": provenance, "variants": variant_comparison_and_provenance.as_document(results)}


def write_study_page(
    result: dict[str, Any], curves: pd.DataFrame, options: StudyOptions, run_info: dict[str, Any]
) -> tuple[str, str]:
    """The study as one self-contained page, and its tables as Markdown."""
    from affect4d.experiments.variant_comparison_and_provenance import StudyProvenance, from_document
    from affect4d.reporting.pages import render_study

    provenance = StudyProvenance.from_document(result["provenance"])
    return render_study(
        study=study_named(options.name, options.variants),
        results=from_document(result["variants"]),
        curves=curves,
        provenance=provenance,
        command=provenance.command(options.name),
        versions=run_info["versions"],
    )


def draw_protocol(
    sequences: pd.DataFrame,
    training_sequences: pd.DataFrame,
    raw_corpus: dict[str, Any],
    options: CrossValidationOptions,
) -> dict[str, Any]:
    """Who is fitted on, held out and tested in every fold; ValueError if the corpus cannot serve the protocol."""
    options.check_opened()
    protocol = protocol_named(raw_corpus["layout"], options.protocol)
    if protocol.trained_on is None and options.trained_on is not None:
        raise ValueError(
            f"Protocol {protocol.name} trains on the corpus it tests: trained_on={options.trained_on} goes with "
            "protocol=cross-dataset. Leave it out, or name that protocol."
        )
    labelled = sequences.dropna(subset=["expression"])
    if labelled.empty:
        raise ValueError(f"No sequence of {raw_corpus['name']} shows one of the six expressions: nothing to validate.")
    if protocol.trained_on is not None:
        folds: tuple[Fold, ...] = (_cross_fold(protocol, training_sequences, labelled, raw_corpus, options),)
    else:
        folds = draw_all(protocol, labelled, options.seed, options.rounds, options.validation)
    return {
        "corpus": raw_corpus["name"],
        "protocol": {"name": protocol.name, "description": protocol.description, "source": protocol.source},
        "options": options.model_dump(mode="json"),
        "folds": [fold.to_dict() for fold in folds],
    }


def fit_folds(
    protocol: dict[str, Any],
    data: ExperimentData,
    training_data: ExperimentData,
    study_store: ContentStore,
    options: CrossValidationOptions,
    affect_settings: ExperimentSettings,
    smile_settings: ExperimentSettings,
    engine: EngineOptions = IN_PROCESS,
) -> pd.DataFrame:
    """Fit and evaluate every method in every fold; finished folds are read from the store. A fold is an MLflow run."""
    from affect4d.experiments.studies_and_cross_validation import (  # open_clip costs seconds
        combined,
        cross_validate,
        with_corpus_names,
    )

    settings = {"affect_vlm": affect_settings, "cross_entropy": affect_settings, "smile_vlm": smile_settings}
    if options.trained_on is not None:
        data = combined(
            with_corpus_names(options.trained_on, training_data), with_corpus_names(protocol["corpus"], data)
        )
    folds = [Fold.from_dict(fold) for fold in protocol["folds"]]
    return cross_validate(
        folds, options.methods, options.seed, data, settings, study_store, engine, on_fold=_report_fold
    )


def score_protocol(
    predictions: pd.DataFrame, protocol: dict[str, Any], sequences: pd.DataFrame, run_info: dict[str, Any]
) -> dict[str, Any]:
    """Scores of every model over all folds, calibration, paired tests, and fairness."""
    from affect4d.evaluation.fairness import measure_fairness
    from affect4d.evaluation.metrics import score_folds

    tested = predictions[predictions["side"] == "test"]
    people = sequences.assign(subject=_as_tested(sequences["subject"], tested["subject"], protocol["corpus"]))
    fairness = {
        str(name): measure_fairness(table, people, np.random.default_rng(0)) for name, table in tested.groupby("model")
    }
    scores = score_folds(predictions, np.random.default_rng(0))
    return {**protocol, **scores, "fairness": fairness, "versions": run_info["versions"]}


def _as_tested(subjects: pd.Series, tested: pd.Series, corpus: str) -> pd.Series:
    """Names as the predictions have them: with their corpus in front where two corpora met."""
    return subjects if set(tested) <= set(subjects) else f"{corpus}:" + subjects.astype(str)


def _cross_fold(
    protocol: Protocol,
    training_sequences: pd.DataFrame,
    labelled: pd.DataFrame,
    raw_corpus: dict[str, Any],
    options: CrossValidationOptions,
) -> Fold:
    """All subjects of one corpus, tested on all of another; ValueError if that is not named, or the same."""
    from affect4d.experiments.studies_and_cross_validation import cross_corpus_fold

    if options.trained_on in (None, raw_corpus["name"]):
        raise ValueError(
            f"Protocol {protocol.name} trains on another corpus: --params protocol={protocol.name},trained_on=NAME, "
            "after `kedro run --pipeline=render --params corpus=NAME`."
        )
    training = prefixed(str(options.trained_on), training_sequences)
    return cross_corpus_fold(
        protocol, training, prefixed(raw_corpus["name"], labelled), options.seed, options.validation
    )


def _report_fold(fold: Fold, table: pd.DataFrame) -> None:
    test = table[table["side"] == "test"]
    hits = (test["predicted"] == test["expression"]).groupby(test["model"]).mean()
    tags = {"fold": str(fold.number + 1), "round": str(fold.round + 1), "split": fold.split.digest}
    numbers = {f"accuracy/{model}".replace(".", " "): float(share) for model, share in hits.items()}
    tracking.report_part(f"fold {fold.number + 1}", numbers, {**tags, "tested": ", ".join(fold.split.test)[:5000]})


def gather_models(
    affect_vlm: dict[str, Any] | LeftOut, smile_vlm: dict[str, Any] | LeftOut, cross_entropy: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Records of the trained models, by the name that their predictions carry; cross-entropy is the reference."""
    return present({"affect_vlm": affect_vlm, "smile_vlm.zero_shot": smile_vlm, "cross_entropy": cross_entropy})


def choose_clips(
    view_manifest: pd.DataFrame,
    scan_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    options: RobustnessOptions,
    settings: ExperimentSettings,
) -> Any:
    """Sequences of a few test subjects; see :func:`affect4d.experiments.robustness.choose_clips`."""
    from affect4d.experiments import robustness

    tested = subject_split["test"]
    return robustness.choose_clips(
        view_manifest, scan_manifest, tested, options.subjects, options.seed, settings.inputs
    )


def corrupt_scans(
    clips: Any,
    raw_corpus: dict[str, Any],
    models: dict[str, dict[str, Any]],
    cache_store: ContentStore,
    options: RobustnessOptions,
    render: RenderOptions,
    settings: ExperimentSettings,
    engine: EngineOptions = IN_PROCESS,
) -> pd.DataFrame:
    """Predictions of every model on the clips, under every corruption at every strength."""
    from affect4d.experiments.robustness import RobustnessTest, measure_robustness
    from affect4d.synthetic.generated_scan_source import open_source

    test = RobustnessTest(
        clips=clips,
        source=open_source(raw_corpus),
        render=render,
        inputs=settings.inputs,
        models={name: Path(record["folder"]) for name, record in models.items()},
        prompts=prompt_ensembles(settings.prompts),
        device=settings.train.device,
    )
    return measure_robustness(test, options.corruptions, cache_store, engine)


def summarise_robustness(predictions: pd.DataFrame, models: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Accuracy by corruption and strength, mean corruption error against cross-entropy, and the models evaluated."""
    from affect4d.experiments import robustness

    entries = {record["model"]: record["entry"] for record in models.values()}
    return {**robustness.summarise_robustness(predictions), "entries": entries}
