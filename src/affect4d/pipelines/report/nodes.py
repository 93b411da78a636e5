"""Every figure of a run → one summary, one page, one table on screen."""

import datetime
import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore
from affect4d.views.inputs import InputOptions

LIBRARIES = ("affect4d", "kedro", "torch", "open_clip_torch", "pyvista", "vtk", "numpy", "pandas", "scikit-learn")
PROTOCOL = "subject-independent hold-out, per sequence"
COMPARED = (
    ("affect_vlm", "cross_entropy"),
    ("affect_vlm", "pixel_knn"),
    ("affect_vlm", "landmark_logistic"),
    ("smile_vlm.linear_probe", "random_tower.linear_probe"),
    ("smile_vlm.linear_probe", "cross_entropy"),
    ("smile_vlm.zero_shot", "pseudo_labels"),
)
"""Pairs of models tested against each other on the same sequences."""
Document = dict[str, Any]


def gather_predictions(
    affect_vlm: pd.DataFrame, smile_vlm: pd.DataFrame, reference: pd.DataFrame, baseline: pd.DataFrame
) -> pd.DataFrame:
    """One tidy table of what every model and baseline says about every unseen sequence."""
    return pd.concat([affect_vlm, smile_vlm, reference, baseline], ignore_index=True)


def compare_pairs(predictions: pd.DataFrame) -> list[Document]:
    """Paired tests of the pairs worth asking about, Holm-corrected for how many they are."""
    import numpy as np

    from affect4d.evaluation.significance import compare_models

    found = compare_models(predictions, COMPARED, np.random.default_rng(0))
    return [{"first": first, "second": second, **asdict(outcome)} for (first, second), outcome in found.items()]


def measure_gaps(predictions: pd.DataFrame, sequences: pd.DataFrame) -> Document:
    """Fairness of the headline models, by what the corpus says of its people."""
    import numpy as np

    from affect4d.evaluation.fairness import measure_fairness
    from affect4d.reporting.report import HEADLINES

    tables = {name: predictions[predictions["model"] == name] for name in (*HEADLINES, "cross_entropy")}
    return {
        name: measure_fairness(table, sequences, np.random.default_rng(0))
        for name, table in tables.items()
        if len(table)
    }


def answer_claims(
    evidence: Document,
    predictions: pd.DataFrame,
    seed: int,
    raw_corpus: Document,
    subject_split: Document,
    sequences: pd.DataFrame,
    view_manifest: pd.DataFrame,
) -> list[Document]:
    """The claims table: from this run's predictions, and from what other runs left on disk about the same data."""
    from affect4d.experiments import claims
    from affect4d.experiments.evidence import Evidence
    from affect4d.experiments.provenance import DataProvenance

    written = {int(number): rows for number, rows in evidence["findings"].items()}
    present = DataProvenance.of(raw_corpus, SubjectSplit.from_dict(subject_split), sequences, view_manifest)
    found = Evidence(evidence["studies"], written, predictions, seed, present)
    return claims.as_document(claims.evaluate_claims(found))


def find_failures(predictions: pd.DataFrame, models: Sequence[str], each: int = 4) -> pd.DataFrame:
    """The wrong answers each model was surest of: column ``confidence``, the surest first."""
    shares = predictions.filter(like="prob_").max(axis=1)
    wrong = predictions.assign(confidence=shares)[predictions["predicted"] != predictions["expression"]]
    surest = wrong[wrong["model"].isin(models)].sort_values("confidence", ascending=False)
    return surest.groupby("model", sort=False).head(each)


def summarise(
    raw_corpus: Document,
    subject_split: Document,
    affect_vlm: Document,
    smile_vlm: Document,
    reference: Document,
    baseline: Document,
    seconds: dict[str, float],
    seed: int,
) -> tuple[Document, Document]:
    """The figures of the run in one small document, kept under its version and as the latest; the table on screen."""
    from rich.console import Console

    from affect4d.evaluation.summary import summary_table, write_summary

    summary = write_summary(
        corpus=raw_corpus["name"],
        protocol=PROTOCOL,
        split=SubjectSplit.from_dict(subject_split),
        seed=seed,
        models={"affect_vlm": affect_vlm, "smile_vlm": smile_vlm},
        baselines={**baseline, **reference},
        seconds=seconds,
        versions={name: importlib.metadata.version(name) for name in LIBRARIES},
    )
    Console().print(summary_table(summary))
    return summary, summary


def write_report(
    summary: Document,
    comparisons: list[Document],
    raw_corpus: Document,
    subject_split: Document,
    purity: Document,
    representations: Document,
    embedding_maps: pd.DataFrame,
    view_manifest: pd.DataFrame,
    ingest_report: pd.DataFrame,
    view_sheet: Image.Image,
    augmentation_sheet: Image.Image,
    affect_vlm: Document,
    smile_vlm: Document,
    cross_entropy: Document,
    inputs: InputOptions,
    claims: list[Document],
    fairness: Document,
    levels: Document,
    evidence: Document,
    predictions: pd.DataFrame,
    view_store: ContentStore,
) -> tuple[str, str, str]:
    """One self-contained page, kept under its version and as the latest; and its tables as Markdown."""
    from affect4d.evaluation.attribution import view_weights
    from affect4d.evaluation.significance import PairedComparison
    from affect4d.experiments.claims import claims_by_corpus
    from affect4d.models import load_model
    from affect4d.reporting.commands import corpus_parameters
    from affect4d.reporting.report import (
        ReportComparison,
        ReportContext,
        ReportPicture,
        render_report,
        render_report_markdown,
    )
    from affect4d.training.run import read_history

    records = {"affect_vlm": affect_vlm, "smile_vlm": smile_vlm, "cross_entropy": cross_entropy}
    views = list(view_manifest["views"].iloc[0])
    synthetic = bool(raw_corpus["synthetic"])
    pictures = (
        ReportPicture("What the models see", "Every expression at its apex, from every view.", view_sheet),
        ReportPicture("Mixed view augmentation", "Rows of the plan, before and after.", augmentation_sheet),
    )
    made = datetime.datetime.now(tz=datetime.UTC)
    own = {"day": made.date().isoformat(), "claims": claims}
    context = ReportContext(
        summary=summary,
        split=SubjectSplit.from_dict(subject_split),
        corpus=describe_corpus(raw_corpus),
        synthetic=synthetic,
        counts=count_things(view_manifest, ingest_report),
        histories={name: read_history(record) for name, record in records.items()},
        costs={name: record["cost"] for name, record in records.items()},
        view_weights={
            name: view_weights(load_model(Path(record["folder"])), views, inputs) for name, record in records.items()
        },
        purity=purity["train"],
        representations=representations,
        embedding_maps=embedding_maps,
        pictures=pictures if synthetic else (),
        comparisons=[
            ReportComparison(each.pop("first"), each.pop("second"), PairedComparison(**each))
            for each in [dict(pair) for pair in comparisons]
        ],
        command=f"kedro run --params {corpus_parameters(raw_corpus)},seed={summary['seed']}",
        made=made,
        claims=claims,
        corpora=claims_by_corpus({**evidence["answers"], raw_corpus["name"]: own}),
        fairness=fairness,
        levels=levels,
        validations=evidence["cross_validations"],
        robustness=evidence["robustness"],
        failures=show_failures(predictions, view_manifest, view_store, synthetic=synthetic),
    )
    page = render_report(context)
    return page, page, render_report_markdown(context)


def show_failures(
    predictions: pd.DataFrame, view_manifest: pd.DataFrame, store: ContentStore, *, synthetic: bool
) -> list[Any]:
    """What the headline models named wrongly most surely; with the face at its apex where faces are synthetic."""
    from affect4d.reporting.report import Failure
    from affect4d.views.apex import apex_picture

    views = {row["sequence"]: row for row in view_manifest.to_dict("records")}
    return [
        Failure(
            model=row["model"],
            sequence=row["sequence"],
            expression=row["expression"],
            predicted=row["predicted"],
            confidence=row["confidence"],
            image=apex_picture(views[row["sequence"]], store) if synthetic else None,
        )
        for row in find_failures(predictions, ("affect_vlm", "smile_vlm.zero_shot")).to_dict("records")
    ]


def write_model_cards(summary: Document, raw_corpus: Document) -> tuple[str, str]:
    """The cards of AffectVLM and SMILE-VLM as this run measured them."""
    from affect4d.reporting.model_card import render_model_card

    corpus, synthetic = describe_corpus(raw_corpus), bool(raw_corpus["synthetic"])
    affect, smile = (
        render_model_card(model, summary, corpus=corpus, synthetic=synthetic) for model in ("affect_vlm", "smile_vlm")
    )
    return affect, smile


def describe_corpus(raw_corpus: Document) -> str:
    """What the corpus is, in a sentence."""
    if not raw_corpus["synthetic"]:
        return f"The corpus {raw_corpus['name']!r}, as it lies on the disk of whoever ran this."
    made = (
        f"{raw_corpus['subjects']} synthetic subjects, {raw_corpus['sequences']:,} sequences, {raw_corpus['scans']:,} "
        "scans fabricated by this project."
    )
    return f"{_benchmark(raw_corpus['benchmark'])} {made}" if "benchmark" in raw_corpus else made


def _benchmark(made: Document) -> str:
    """Which frozen benchmark it is, or that it is none."""
    name = f"{made['name']} version {made['version']}"
    if made["verdict"] in ("equal", "rounding"):
        return f"The frozen benchmark {name}."
    return f"Made for the benchmark {name}, but not comparable with it ({made['verdict']})."


def count_things(view_manifest: pd.DataFrame, ingest_report: pd.DataFrame) -> dict[str, int]:
    """Counts worth telling."""
    frames = int(view_manifest["frames"].map(len).sum())
    views = len(view_manifest["views"].iloc[0])
    return {
        "sequences": len(view_manifest),
        "scans": frames,
        "pictures": frames * views,
        "scans repaired": int((ingest_report["status"] == "repaired").sum()),
        "scans refused": int((ingest_report["status"] == "refused").sum()),
    }
