"""Studies: the same training varied one thing at a time, with a verdict beside each claim."""

import datetime
from typing import Any

import numpy as np
import pandas as pd

from affect4d import tracking
from affect4d.experiments.settings import ExperimentSettings, StudyOptions
from affect4d.parallel import IN_PROCESS, EngineOptions
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore

ExperimentData = Any
"""An :class:`affect4d.experiments.trials.TrialData`; to import it costs seconds."""


def gather_experiment_data(
    view_manifest: pd.DataFrame, sequences: pd.DataFrame, scan_manifest: pd.DataFrame, view_store: ContentStore
) -> ExperimentData:
    """Manifests and views that every training of an experiment draws from."""
    from affect4d.experiments import trials

    return trials.TrialData(view_manifest, sequences, scan_manifest, view_store)


def run_trials(
    data: ExperimentData,
    subject_split: dict[str, Any],
    study_store: ContentStore,
    options: StudyOptions,
    affect_settings: ExperimentSettings,
    smile_settings: ExperimentSettings,
    engine: EngineOptions = IN_PROCESS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train and evaluate every variant with every seed; finished trials are read from the store.

    Returns:
        Predictions on test subjects, and learning curves.
    """
    from affect4d.experiments.studies_and_cross_validation import run_study
    from affect4d.experiments.variants import study_named

    study = study_named(options.name, options.variants)
    settings = smile_settings if study.variants[0].method == "smile_vlm" else affect_settings
    split = SubjectSplit.from_dict(subject_split)
    result = run_study(study.variants, options, split, data, settings, study_store, engine)
    return result.predictions, result.curves


def describe_study(
    predictions: pd.DataFrame,
    data: ExperimentData,
    raw_corpus: dict[str, Any],
    subject_split: dict[str, Any],
    options: StudyOptions,
    run_info: dict[str, Any],
) -> dict[str, Any]:
    """Provenance of a study: data, seeds, parameters and code."""
    from affect4d.experiments.results_and_provenance import DataProvenance, StudyProvenance

    basis = DataProvenance.of(raw_corpus, SubjectSplit.from_dict(subject_split), data.sequences, data.views)
    made = datetime.datetime.fromisoformat(run_info["made"])
    return StudyProvenance.of(basis, options, predictions, run_info, made).to_document()


def compare_variants(
    predictions: pd.DataFrame, curves: pd.DataFrame, provenance: dict[str, Any], options: StudyOptions
) -> dict[str, Any]:
    """Accuracy, difference, interval, test, verdict and speed of every variant, with the provenance."""
    from affect4d.experiments import study_results
    from affect4d.experiments.variants import study_named

    variants = study_named(options.name, options.variants).variants
    results = study_results.compare_variants(variants, predictions, curves, np.random.default_rng(0))
    tracking.reporter(f"study_{options.name}")(0, {row.variant: row.accuracy for row in results})
    return {"provenance": provenance, "variants": study_results.as_document(results)}


def write_study_page(
    result: dict[str, Any], curves: pd.DataFrame, options: StudyOptions, run_info: dict[str, Any]
) -> tuple[str, str]:
    """The study as one self-contained page, and its tables as Markdown."""
    from affect4d.experiments.results_and_provenance import StudyProvenance, from_document
    from affect4d.experiments.variants import study_named
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
