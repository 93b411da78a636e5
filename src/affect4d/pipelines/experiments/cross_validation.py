"""Cross-validation: every method fitted in every fold of a protocol, scores and fairness over all folds."""

from typing import Any

import numpy as np
import pandas as pd

from affect4d import tracking
from affect4d.experiments.settings import CrossValidationOptions, ExperimentSettings
from affect4d.parallel import IN_PROCESS, EngineOptions
from affect4d.pipelines.experiments.studies import ExperimentData
from affect4d.scans.corpora.corpus import Protocol
from affect4d.scans.protocols import Fold, draw_all, protocol_named
from affect4d.store import ContentStore


def draw_protocol(
    sequences: pd.DataFrame,
    training_sequences: pd.DataFrame,
    raw_corpus: dict[str, Any],
    options: CrossValidationOptions,
) -> dict[str, Any]:
    """Who is fitted on, held out and tested in every fold.

    Raises:
        ValueError: If the corpus has no such protocol, cannot serve it, or shows none of the six expressions; or if the
            protocol or the corpus to train on is not the one that the catalog has opened.
    """
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
    """Everybody of the one corpus, tested on everybody of the other.

    Raises:
        ValueError: If no corpus to train on is named, or it is this one.
    """
    from affect4d.experiments.studies_and_cross_validation import cross_corpus_fold, prefixed

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
    """A fold as a child run: the accuracy of every model on its test subjects."""
    test = table[table["side"] == "test"]
    hits = (test["predicted"] == test["expression"]).groupby(test["model"]).mean()
    tags = {"fold": str(fold.number + 1), "round": str(fold.round + 1), "split": fold.split.digest}
    numbers = {f"{model}/accuracy".replace(".", "/"): float(share) for model, share in hits.items()}
    tracking.report_part(f"fold {fold.number + 1}", numbers, {**tags, "tested": ", ".join(fold.split.test)[:5000]})
