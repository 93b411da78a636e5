"""Figures of a run → summary, claims table, report and model cards."""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from affect4d.experiments.settings import ExperimentSettings
from affect4d.scans.splits import SubjectSplit

PROTOCOL = "subject-independent hold-out, per sequence"
COMPARED = (
    ("affect_vlm", "cross_entropy"),
    ("affect_vlm", "pixel_knn"),
    ("affect_vlm", "landmark_logistic"),
    ("smile_vlm.linear_probe", "untrained_encoder.linear_probe"),
    ("smile_vlm.linear_probe", "cross_entropy"),
    ("smile_vlm.zero_shot", "pseudo_labels"),
)
"""Pairs of models tested against each other on the same sequences."""


def gather_predictions(
    affect_vlm: pd.DataFrame, smile_vlm: pd.DataFrame, reference: pd.DataFrame, baseline: pd.DataFrame
) -> pd.DataFrame:
    """One table of the predictions of every model and baseline on every test sequence."""
    return pd.concat([affect_vlm, smile_vlm, reference, baseline], ignore_index=True)


def compare_models(predictions: pd.DataFrame) -> list[dict[str, Any]]:
    """Paired tests of selected pairs of models, Holm-corrected for their number."""
    import numpy as np

    from affect4d.evaluation import significance

    found = significance.compare_models(predictions, COMPARED, np.random.default_rng(0))
    return [{"first": first, "second": second, **asdict(outcome)} for (first, second), outcome in found.items()]


def measure_fairness(predictions: pd.DataFrame, sequences: pd.DataFrame) -> dict[str, Any]:
    """Fairness of the headline models over the subject attributes that the corpus supplies."""
    import numpy as np

    from affect4d.evaluation import fairness
    from affect4d.reporting.pages import HEADLINES

    tables = {name: predictions[predictions["model"] == name] for name in (*HEADLINES, "cross_entropy")}
    return {
        name: fairness.measure_fairness(table, sequences, np.random.default_rng(0))
        for name, table in tables.items()
        if len(table)
    }


def gather_evidence(
    evidence: Mapping[str, Callable[[], Any]], micro_comparison: list[dict[str, Any]], raw_corpus: dict[str, Any]
) -> dict[str, Any]:
    """Results that other pipelines left, of this corpus and of others.

    Args:
        evidence: Partitions ``CORPUS/studies/NAME``, ``CORPUS/claim_9``, ``CORPUS/cross_validation/NAME``,
            ``CORPUS/robustness`` and ``CORPUS/claims``.
        micro_comparison: Claim 9 as this run measured it; empty where the corpus has no micro-expressions. Then it is
            that of the micro-expression corpus that was run last.
        raw_corpus: ``name``.

    Returns:
        ``studies``, ``findings``, ``cross_validations``, ``robustness``, and ``claims`` of every corpus.
    """
    own = f"{raw_corpus['name']}/"
    robustness = evidence.get(f"{own}robustness")
    elsewhere = [load() for name, load in evidence.items() if name.endswith("/claim_9")]
    latest: list[dict[str, Any]] = max(
        (rows for rows in elsewhere if rows), key=lambda rows: str(rows[0]["made"]), default=[]
    )
    claim_9 = micro_comparison or latest
    return {
        "studies": _load_below(evidence, f"{own}studies/"),
        "findings": {"9": claim_9} if claim_9 else {},
        "cross_validations": list(_load_below(evidence, f"{own}cross_validation/").values()),
        "robustness": None if robustness is None else robustness(),
        "claims": {name.split("/")[0]: load() for name, load in evidence.items() if name.endswith("/claims")},
    }


def answer_claims(
    evidence: dict[str, Any],
    predictions: pd.DataFrame,
    raw_corpus: dict[str, Any],
    subject_split: dict[str, Any],
    sequences: pd.DataFrame,
    view_manifest: pd.DataFrame,
    settings: ExperimentSettings,
    run_info: dict[str, Any],
) -> dict[str, Any]:
    """The claims table, from this run's predictions and from the evidence about the same data.

    Returns:
        ``day`` and ``claims``.
    """
    from affect4d.experiments import claims
    from affect4d.experiments.claims import Evidence
    from affect4d.experiments.results_and_provenance import DataProvenance

    findings = {int(number): rows for number, rows in evidence["findings"].items()}
    present = DataProvenance.of(raw_corpus, SubjectSplit.from_dict(subject_split), sequences, view_manifest)
    found = Evidence(evidence["studies"], findings, predictions, settings.train.seed, present)
    return {"day": run_info["made"][:10], "claims": claims.as_document(claims.evaluate_claims(found))}


def summarise(
    raw_corpus: dict[str, Any],
    subject_split: dict[str, Any],
    affect_vlm: dict[str, Any],
    smile_vlm: dict[str, Any],
    reference: dict[str, Any],
    baseline: dict[str, Any],
    seconds: dict[str, float],
    settings: ExperimentSettings,
    run_info: dict[str, Any],
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The figures of the run in one small document, and as a table for the terminal."""
    from affect4d.evaluation.summary import results_table, write_summary

    summary = write_summary(
        corpus=raw_corpus["name"],
        protocol=PROTOCOL,
        split=SubjectSplit.from_dict(subject_split),
        seed=settings.train.seed,
        models={"affect_vlm": affect_vlm, "smile_vlm": smile_vlm},
        baselines={**baseline, **reference},
        seconds=seconds,
        versions=run_info["versions"],
    )
    return summary, results_table(summary)


def write_report(
    summary: dict[str, Any],
    data_section: dict[str, Any],
    model_section: dict[str, Any],
    evaluation_section: dict[str, Any],
    claims: dict[str, Any],
    evidence: dict[str, Any],
    raw_corpus: dict[str, Any],
    run_info: dict[str, Any],
) -> tuple[str, str]:
    """The report as one self-contained page, and its tables as Markdown."""
    from affect4d.experiments.claims import claims_by_corpus
    from affect4d.reporting.commands import corpus_parameters
    from affect4d.reporting.pages import render_report, render_report_markdown

    report = {
        "summary": summary,
        **data_section,
        **model_section,
        **evaluation_section,
        "command": f"kedro run --params {corpus_parameters(raw_corpus)},seed={summary['seed']}",
        "made": datetime.datetime.fromisoformat(run_info["made"]),
        "claims": claims["claims"],
        "corpora": claims_by_corpus({**evidence["claims"], raw_corpus["name"]: claims}),
        "validations": evidence["cross_validations"],
        "robustness": evidence["robustness"],
    }
    return render_report(report), render_report_markdown(report)


def write_model_cards(summary: dict[str, Any], raw_corpus: dict[str, Any]) -> tuple[str, str]:
    """Model cards of AffectVLM and SMILE-VLM as this run measured them."""
    from affect4d.pipelines.reporting.sections import describe_corpus
    from affect4d.reporting.cards import render_model_card

    corpus, synthetic = describe_corpus(raw_corpus), bool(raw_corpus["synthetic"])
    affect, smile = (
        render_model_card(model, summary, corpus=corpus, synthetic=synthetic) for model in ("affect_vlm", "smile_vlm")
    )
    return affect, smile


def _load_below(evidence: Mapping[str, Callable[[], Any]], folder: str) -> dict[str, Any]:
    return {name.removeprefix(folder): load() for name, load in sorted(evidence.items()) if name.startswith(folder)}
