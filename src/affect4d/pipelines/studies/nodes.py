"""Views → the same training varied one thing at a time → a page with a verdict on each variant."""

import datetime
import importlib.metadata
from typing import Any

import numpy as np
import pandas as pd

from affect4d import tracking
from affect4d.engine import IN_PROCESS, EngineOptions
from affect4d.experiments.settings import StudyOptions
from affect4d.models.options import ModelOptions
from affect4d.prompts.compose import PromptOptions
from affect4d.prompts.pseudo_labels.options import PseudoLabelOptions
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore
from affect4d.training.options import AffectOptions, CrossEntropyOptions, SmileOptions, TrainOptions
from affect4d.views.inputs import InputOptions
from affect4d.views.mixing import MixedViewOptions

LIBRARIES = ("affect4d", "torch", "numpy", "scikit-learn")


def run_trials(
    view_manifest: pd.DataFrame,
    sequences: pd.DataFrame,
    scan_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    raw_corpus: dict[str, Any],
    view_store: ContentStore,
    study_store: ContentStore,
    options: StudyOptions,
    inputs: InputOptions,
    model: ModelOptions,
    prompts: PromptOptions,
    pseudo_labels: PseudoLabelOptions,
    affect_train: TrainOptions,
    affect_augment: MixedViewOptions,
    affect_objective: AffectOptions,
    smile_train: TrainOptions,
    smile_augment: MixedViewOptions,
    smile_objective: SmileOptions,
    peer_objective: CrossEntropyOptions,
    engine: EngineOptions = IN_PROCESS,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Train and evaluate every variant with every seed; trials are cached.

    Returns:
        Predictions on test subjects, and curves; see :class:`affect4d.experiments.runner.StudyTables`. And the
        provenance of the study; see :class:`affect4d.experiments.provenance.StudyProvenance`.
    """
    from affect4d.experiments.provenance import DataProvenance, StudyProvenance  # open_clip costs seconds
    from affect4d.experiments.runner import run_study
    from affect4d.experiments.settings import ExperimentSettings, Objectives
    from affect4d.experiments.trials import TrialData
    from affect4d.experiments.variants import study_named

    study = study_named(options.name, options.variants)
    unlabelled = study.variants[0].method == "smile_vlm"
    settings = ExperimentSettings(
        inputs=inputs,
        model=model,
        train=smile_train if unlabelled else affect_train,
        augment=smile_augment if unlabelled else affect_augment,
        prompts=prompts,
        pseudo_labels=pseudo_labels,
        objectives=Objectives(affect_vlm=affect_objective, smile_vlm=smile_objective, cross_entropy=peer_objective),
    )
    data = TrialData(view_manifest, sequences, scan_manifest, view_store)
    split = SubjectSplit.from_dict(subject_split)
    result = run_study(study.variants, options, split, data, settings, study_store, engine)
    basis = DataProvenance.of(raw_corpus, split, sequences, view_manifest)
    now = datetime.datetime.now(tz=datetime.UTC)
    provenance = StudyProvenance.of(basis, options, result.predictions, tracking.started_with(), now)
    return result.predictions, result.curves, provenance.to_document()


def compare_variants(
    predictions: pd.DataFrame, curves: pd.DataFrame, provenance: dict[str, Any], options: StudyOptions
) -> dict[str, Any]:
    """Compare every variant with its reference.

    Returns:
        ``provenance``; ``variants``: accuracy, difference, interval, test, verdict and speed of each.
    """
    from affect4d.experiments import study_results
    from affect4d.experiments.variants import study_named

    variants = study_named(options.name, options.variants).variants
    results = study_results.compare_variants(variants, predictions, curves, np.random.default_rng(0))
    report = tracking.reporter(f"study_{options.name}")
    report(0, {row.variant: row.accuracy for row in results})
    return {"provenance": provenance, "variants": study_results.as_document(results)}


def write_study_page(
    result: dict[str, Any],
    curves: pd.DataFrame,
    options: StudyOptions,
) -> tuple[str, str]:
    """The study as one self-contained page, and its tables as Markdown; the Markdown is printed, too."""
    from rich.console import Console
    from rich.markdown import Markdown

    from affect4d.experiments.provenance import StudyProvenance
    from affect4d.experiments.study_results import from_document
    from affect4d.experiments.variants import study_named
    from affect4d.reporting.study_page import StudyContext, render_study, render_study_markdown

    provenance = StudyProvenance.from_document(result["provenance"])
    context = StudyContext(
        study=study_named(options.name, options.variants),
        results=from_document(result["variants"]),
        curves=curves,
        provenance=provenance,
        command=provenance.command(options.name),
        versions={name: importlib.metadata.version(name) for name in LIBRARIES},
    )
    markdown = render_study_markdown(context)
    Console().print(Markdown(markdown))
    return render_study(context), markdown
