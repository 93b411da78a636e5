"""Raw scans and a packaged model → predictions, timelines and a page; a packaged model → files for other software."""

import datetime
import json
import logging
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, Field

from affect4d.inference.find_recordings import Grouping, ScanRecording, find_recordings
from affect4d.inference.packaged_model_description import read_description
from affect4d.left_out import MissingInputError
from affect4d.parallel import IN_PROCESS, EngineOptions
from affect4d.rendering.options import RenderOptions
from affect4d.scans.ingest import IngestOptions
from affect4d.scans.readers.range_image import Intrinsics
from affect4d.store import ContentStore, cache_key, cached_folder, file_digest

EXPORT_RECORD = "export.json"
LOGGER = logging.getLogger(__name__)


class LandmarkOptions(BaseModel, frozen=True, extra="forbid"):
    """Parameters `landmarks`: the scans that are read."""

    input: Path | None = Field(default=None, description="a scan, a folder of scans, or one of sequence folders")
    layout: str = Field(default="folder", description="folder, or the layout of a corpus")
    grouping: Grouping = Field(default="auto", description="which scans of a folder form a sequence")
    pattern: str | None = Field(default=None, description="of the paths of scans; goes before its entry in patterns")
    patterns: dict[str, str | None] = Field(default={}, description="layout → pattern of its paths")
    cameras: dict[str, Intrinsics | None] = Field(default={}, description="layout → camera of its depth images")

    @property
    def path_pattern(self) -> str | None:
        """Pattern of the paths; None where the layout defines them. That of a corpus in a folder is not for others."""
        return self.pattern or (None if self.layout == "folder" else self.patterns.get(self.layout))

    def recordings(self) -> list[ScanRecording]:
        """Scans and sequences at the input; ValueError or FileNotFoundError if the options or the path give none."""
        if self.input is None:
            raise ValueError("No scans are named: give their folder as --params input=/folder/of/scans")
        camera = self.cameras.get(self.layout)
        return find_recordings(self.input.expanduser(), self.layout, self.grouping, self.path_pattern, camera)


class PredictOptions(LandmarkOptions, frozen=True, extra="forbid"):
    """Parameters `predict`."""

    faces: int = Field(default=60, ge=0, le=1000, description="most faces on the page; 0 shows none")
    unsure: Literal["refuse", "answer"] = Field(
        default="refuse", description="what becomes of a scan in a doubtful pose"
    )


class ExportOptions(BaseModel, frozen=True, extra="forbid"):
    """Parameters `export`."""

    onnx: bool = Field(default=True, description="write the model as ONNX too")
    calibration: Path | None = Field(default=None, description="raw scans on which an int8 model is calibrated")


def predict_scans(
    options: PredictOptions, packaged_model: Path, engine: EngineOptions = IN_PROCESS
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, bytes], str]:
    """Predictions (a row a recording), timelines (a row a scan), images of the first recordings, and a summary."""
    from affect4d.inference.batch import predict_recordings
    from affect4d.inference.results import ResultTables

    recordings = options.recordings()
    description = read_description(packaged_model)
    tables = ResultTables(description.expressions, description.views, description.action_unit_names)
    images = {}
    for answer, image in predict_recordings(
        recordings, packaged_model, engine, options.faces, answer_unsure=options.unsure == "answer"
    ):
        tables.add(answer)
        if image:
            images[answer.name] = image
    predictions, timelines = tables.tables()
    return predictions, timelines, images, _summarise(predictions, description.name)


def draw_gallery(
    predictions: pd.DataFrame,
    timelines: pd.DataFrame,
    images: dict[str, bytes],
    options: PredictOptions,
    packaged_model: Path,
    run_info: dict[str, Any],
) -> str:
    """One self-contained page of the faces and their predictions."""
    from affect4d.reporting.pages import render_gallery_page

    description = read_description(packaged_model)
    return render_gallery_page(
        predictions,
        timelines,
        images,
        expressions=description.expressions,
        model=description.name,
        measured=None if description.scores is None else description.scores.model_dump(),
        source=str(options.input),
        command=predict_command(options, packaged_model),
        made=datetime.datetime.fromisoformat(run_info["made"]),
    )


def predict_command(options: PredictOptions, packaged_model: Path) -> str:
    """The command that gives the same predictions of the same model."""
    given = {"input": options.input, "model": packaged_model, "layout": options.layout, "grouping": options.grouping}
    usual = PredictOptions()
    if options.path_pattern is not None:
        given["corpus_pattern"] = f"'{options.path_pattern}'"  # else YAML takes its braces for a mapping
    words = [
        f"{name}={value}"
        for name, value in given.items()
        if name not in ("layout", "grouping") or value != getattr(usual, name)
    ]
    return f"kedro run --pipeline=predict --params {shlex.quote(','.join(words))}"


def _summarise(predictions: pd.DataFrame, model: str) -> str:
    from affect4d.inference.preprocessing import NO_NEUTRAL

    lines = [f"**{model} on {len(predictions)} recordings**", ""]
    lines += [f"- {answer}: {count}" for answer, count in predictions["expression"].value_counts().items()]
    refused: Any = predictions.loc[predictions["status"] == "refused", "code"].value_counts()
    lines += [f"- refused ({code}): {count}" for code, count in refused.items()]
    alone = int(predictions["reason"].str.contains(NO_NEUTRAL, regex=False).sum())
    if alone:
        lines += ["", f"{alone} of {len(predictions)} without a neutral frame: little better than guessing."]
    lines += ["", "data/07_model_output/predictions holds predictions.csv, timelines.csv and gallery.html."]
    return "\n".join(lines)


def find_scan_landmarks(
    options: LandmarkOptions, engine: EngineOptions = IN_PROCESS
) -> tuple[pd.DataFrame, dict[str, str], str]:
    """Landmarks of every scan (a row a scan, refused ones too), the text of a .bnd file for each, and a summary."""
    from affect4d.inference.landmarks import find_in_recordings

    table, files = find_in_recordings(options.recordings(), engine)
    counts = table["source"].where(table["status"] != "refused", "refused").value_counts()
    summary = ", ".join(f"{count} {source}" for source, count in counts.items())
    return table, files, f"Landmarks of {len(table)} scans: {summary}. They are in data/07_model_output/landmarks."


def evaluate_packaged_model(
    packaged_model: Path,
    view_manifest: pd.DataFrame,
    subject_split: dict[str, Any],
    ingest: IngestOptions,
    render: RenderOptions,
    view_store: ContentStore,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Scores of a packaged model on the corpus's test subjects, in every setting, and its predictions."""
    from affect4d.evaluation.evaluate_models import EvaluationData
    from affect4d.inference.evaluate_packaged_model import check_same_images, evaluate_packaged_model

    description = read_description(packaged_model)
    check_same_images(description, render, ingest.crop_radius)
    data = EvaluationData(view_manifest, subject_split, description.inputs, view_store)
    scores, predictions = evaluate_packaged_model(packaged_model, data)
    for setting, scored in scores["settings"].items():
        low, high = (100 * bound for bound in scored["interval"])
        LOGGER.info(
            "%s, %s: %.1f %% correct (%.1f–%.1f), ECE %.1f %%",
            description.name, setting, 100 * scored["accuracy"], low, high, 100 * scored["ece"],
        )  # fmt: skip
    return {"model": description.name, "origin": dict(description.origin), **scores}, predictions


def compare_packaged_model(
    predictions: pd.DataFrame, baselines: Mapping[str, Callable[[], pd.DataFrame]]
) -> pd.DataFrame:
    """A packaged model beside every baseline, as ``evaluate`` last fitted them on the corpus's training subjects."""
    from affect4d.inference.evaluate_packaged_model import compare_with_baselines

    newest = baselines[max(baselines)]() if baselines else predictions.iloc[:0]
    if set(newest["sequence"]) != set(predictions["sequence"]):
        raise MissingInputError(
            "The packaged model is not compared with baselines: none was evaluated on these test sequences. First "
            "kedro run --pipeline=evaluate, with the same corpus and parameters, then this pipeline again."
        )
    return compare_with_baselines(predictions, newest)


def export_model(options: ExportOptions, packaged_model: Path, export_store: ContentStore) -> dict[str, Any]:
    """Write a folder that other software can load, unless it is there.

    Returns:
        ``model``, ``key``, ``entry``, ``folder``; ``bytes`` of every file; ``onnx_difference`` and ``int8_difference``,
        the largest difference of a probability from the packaged model's own; likewise ``onnx_action_unit_difference``
        and ``int8_action_unit_difference`` of a model that gives action units.
    """
    name = read_description(packaged_model).name
    fill, given = partial(_fill_export, packaged_model, options), _export_inputs(options, packaged_model)
    entry = cached_folder(export_store, name, fill, **given)
    folder = export_store.path(entry)
    made = json.loads((folder / EXPORT_RECORD).read_text())
    return {"key": cache_key(fill, **given), "entry": entry, "folder": str(folder), **made}


def _export_inputs(options: ExportOptions, packaged_model: Path) -> dict[str, Any]:
    files = {file.name: file_digest(file) for file in sorted(packaged_model.iterdir()) if file.is_file()}
    scans = None if options.calibration is None else _scan_files(options.calibration.expanduser())
    return {"packaged_model": files, "onnx": options.onnx, "scans": scans}


def _fill_export(packaged_model: Path, options: ExportOptions, folder: Path) -> None:
    from affect4d.inference.shareable_model_folder import export_packaged_model

    made = export_packaged_model(packaged_model, folder, onnx=options.onnx, calibration=options.calibration)
    (folder / EXPORT_RECORD).write_text(json.dumps(made, indent=2) + "\n")


def _scan_files(place: Path) -> list[list[str | int]]:
    """Files at a path (of one scan, also those beside it) with times of change; FileNotFoundError if there is none."""
    found = place.parent.glob(f"{place.stem}*") if place.is_file() else place.rglob("*")
    files: list[list[str | int]] = [[str(file), file.stat().st_mtime_ns] for file in sorted(found)]
    if not files:
        raise FileNotFoundError(f"No scans at {place}: calibration= names a scan, or a folder of scans.")
    return files
