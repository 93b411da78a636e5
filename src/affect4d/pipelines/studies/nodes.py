"""Views → the same training varied one thing at a time → a page with a verdict beside each claim."""

import datetime
import importlib.metadata
from typing import Any

import numpy as np
import pandas as pd

from affect4d import tracking
from affect4d.engine import IN_PROCESS, EngineOptions
from affect4d.experiments.options import StudyOptions
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
    """Train and examine every arm with every seed; what was done before is not done again.

    Returns:
        Predictions on unseen subjects, and curves; see :class:`affect4d.experiments.study.StudyResult`. And the account
        of what was run; see :class:`affect4d.experiments.account.Account`.
    """
    from affect4d.experiments.account import Account, Basis
    from affect4d.experiments.arms import study_named  # open_clip costs seconds
    from affect4d.experiments.setting import Objectives, Setting
    from affect4d.experiments.study import run_study
    from affect4d.experiments.trial import StudyData

    study = study_named(options.name, options.arms)
    unlabelled = study.arms[0].method == "smile_vlm"
    setting = Setting(
        inputs=inputs,
        model=model,
        train=smile_train if unlabelled else affect_train,
        augment=smile_augment if unlabelled else affect_augment,
        prompts=prompts,
        pseudo_labels=pseudo_labels,
        objectives=Objectives(affect_vlm=affect_objective, smile_vlm=smile_objective, cross_entropy=peer_objective),
    )
    data = StudyData(view_manifest, sequences, scan_manifest, view_store)
    split = SubjectSplit.from_dict(subject_split)
    result = run_study(study.arms, options, split, data, setting, study_store, engine)
    basis = Basis.of(raw_corpus, split, sequences, view_manifest)
    now = datetime.datetime.now(tz=datetime.UTC)
    account = Account.of(basis, options, result.predictions, tracking.started_with(), now)
    return result.predictions, result.curves, account.to_document()


def judge_study(
    predictions: pd.DataFrame, curves: pd.DataFrame, account: dict[str, Any], options: StudyOptions
) -> dict[str, Any]:
    """Judge every arm.

    Returns:
        ``account``: what was run; ``arms``: accuracy, difference, interval, test, verdict and speed of each.
    """
    from affect4d.experiments.arms import study_named
    from affect4d.experiments.verdicts import as_document, judge

    arms = study_named(options.name, options.arms).arms
    results = judge(arms, predictions, curves, np.random.default_rng(0))
    report = tracking.reporter(f"study_{options.name}")
    report(0, {row.arm: row.accuracy for row in results})
    return {"account": account, "arms": as_document(results)}


def write_study_page(
    result: dict[str, Any],
    curves: pd.DataFrame,
    options: StudyOptions,
) -> tuple[str, str]:
    """The study as one self-contained page, and its tables as Markdown; the Markdown is printed, too."""
    from rich.console import Console
    from rich.markdown import Markdown

    from affect4d.experiments.account import Account
    from affect4d.experiments.arms import study_named
    from affect4d.experiments.verdicts import from_document
    from affect4d.reporting.study_page import StudyContext, render_study, render_study_markdown

    account = Account.from_document(result["account"])
    context = StudyContext(
        study=study_named(options.name, options.arms),
        results=from_document(result["arms"]),
        curves=curves,
        account=account,
        command=account.command(options.name),
        versions={name: importlib.metadata.version(name) for name in LIBRARIES},
    )
    markdown = render_study_markdown(context)
    Console().print(Markdown(markdown))
    return render_study(context), markdown
