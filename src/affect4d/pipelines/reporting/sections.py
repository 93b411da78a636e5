"""Sections of the report, each gathered from a few artefacts; keys are those that the report's template reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from affect4d.experiments.settings import ExperimentSettings
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore

Section = dict[str, Any]


def describe_data(
    raw_corpus: dict[str, Any],
    subject_split: dict[str, Any],
    view_manifest: pd.DataFrame,
    ingest_report: pd.DataFrame,
    view_sheet: Image.Image,
    augmentation_sheet: Image.Image,
) -> Section:
    """Corpus, split, counts, and contact sheets where its faces are synthetic."""
    from affect4d.reporting.report import ReportPicture

    synthetic = bool(raw_corpus["synthetic"])
    pictures = (
        ReportPicture("What the models see", "Every expression at its apex, from every view.", view_sheet),
        ReportPicture("Mixed view augmentation", "Rows of the schedule, before and after.", augmentation_sheet),
    )
    return {
        "split": SubjectSplit.from_dict(subject_split),
        "corpus": describe_corpus(raw_corpus),
        "synthetic": synthetic,
        "counts": _counts(view_manifest, ingest_report),
        "pictures": pictures if synthetic else (),
    }


def describe_models(
    affect_vlm: dict[str, Any],
    smile_vlm: dict[str, Any],
    cross_entropy: dict[str, Any],
    affect_history: pd.DataFrame,
    smile_history: pd.DataFrame,
    cross_entropy_history: pd.DataFrame,
    view_manifest: pd.DataFrame,
    settings: ExperimentSettings,
) -> Section:
    """Learning curves, cost and view weights of the three trained models."""
    from affect4d.evaluation.attribution import view_weights
    from affect4d.models import load_model

    records = {"affect_vlm": affect_vlm, "smile_vlm": smile_vlm, "cross_entropy": cross_entropy}
    views = list(view_manifest["views"].iloc[0])
    return {
        "histories": dict(zip(records, (affect_history, smile_history, cross_entropy_history), strict=True)),
        "costs": {name: record["cost"] for name, record in records.items()},
        "view_weights": {
            name: view_weights(load_model(Path(record["folder"])), views, settings.inputs)
            for name, record in records.items()
        },
    }


def describe_evaluation(
    comparisons: list[dict[str, Any]],
    pseudo_label_accuracy: dict[str, Any],
    representations: dict[str, Any],
    embedding_maps: pd.DataFrame,
    fairness: dict[str, Any],
    granularity: dict[str, Any],
    failures: list[Any],
) -> Section:
    """Comparisons, pseudo-label accuracy, representations, fairness, granularity and failures."""
    from affect4d.evaluation.significance import PairedComparison
    from affect4d.reporting.report import ReportComparison

    return {
        "comparisons": [
            ReportComparison(pair.pop("first"), pair.pop("second"), PairedComparison(**pair))
            for pair in (dict(comparison) for comparison in comparisons)
        ],
        "purity": pseudo_label_accuracy["train"],
        "representations": representations,
        "embedding_maps": embedding_maps,
        "fairness": fairness,
        "levels": granularity,
        "failures": failures,
    }


def show_failures(
    predictions: pd.DataFrame, view_manifest: pd.DataFrame, raw_corpus: dict[str, Any], view_store: ContentStore
) -> list[Any]:
    """The wrong predictions of highest confidence, with the face at its apex where faces are synthetic."""
    from affect4d.reporting.report import Failure
    from affect4d.views.apex import apex_picture

    views = {row["sequence"]: row for row in view_manifest.to_dict("records")}
    synthetic = bool(raw_corpus["synthetic"])
    return [
        Failure(
            model=row["model"],
            sequence=row["sequence"],
            expression=row["expression"],
            predicted=row["predicted"],
            confidence=row["confidence"],
            image=apex_picture(views[row["sequence"]], view_store) if synthetic else None,
        )
        for row in find_failures(predictions, ("affect_vlm", "smile_vlm.zero_shot")).to_dict("records")
    ]


def find_failures(predictions: pd.DataFrame, models: Sequence[str], each: int = 4) -> pd.DataFrame:
    """The wrong predictions of highest confidence of each model: column ``confidence``, in falling order."""
    confidence = predictions.filter(like="prob_").max(axis=1)
    wrong = predictions.assign(confidence=confidence)[predictions["predicted"] != predictions["expression"]]
    surest = wrong[wrong["model"].isin(models)].sort_values("confidence", ascending=False)
    return surest.groupby("model", sort=False).head(each)


def describe_corpus(raw_corpus: Mapping[str, Any]) -> str:
    """The corpus in a sentence."""
    if not raw_corpus["synthetic"]:
        return f"The corpus {raw_corpus['name']!r}, as it lies on the disk of whoever ran this."
    made = (
        f"{raw_corpus['subjects']} synthetic subjects, {raw_corpus['sequences']:,} sequences, {raw_corpus['scans']:,} "
        "scans generated by this project."
    )
    return f"{_benchmark(raw_corpus['benchmark'])} {made}" if "benchmark" in raw_corpus else made


def _benchmark(made: Mapping[str, Any]) -> str:
    """The frozen benchmark that a corpus is, or why it is none."""
    name = f"{made['name']} version {made['version']}"
    if made["verdict"] in ("equal", "rounding"):
        return f"The frozen benchmark {name}."
    return f"Made for the benchmark {name}, but not comparable with it ({made['verdict']})."


def _counts(view_manifest: pd.DataFrame, ingest_report: pd.DataFrame) -> dict[str, int]:
    frames = int(view_manifest["frames"].map(len).sum())
    views = len(view_manifest["views"].iloc[0])
    return {
        "sequences": len(view_manifest),
        "scans": frames,
        "images": frames * views,
        "scans repaired": int((ingest_report["status"] == "repaired").sum()),
        "scans refused": int((ingest_report["status"] == "refused").sum()),
    }
