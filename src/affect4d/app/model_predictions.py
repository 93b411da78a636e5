"""Available models, and their predictions for a recording with tables of them."""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float32
from kedro.utils import find_kedro_project

from affect4d.inference.packaged_model_description import (
    PackagedModel,
    PackagedModelError,
    find_packaged_model,
    last_written,
    packaged_models,
    project_models,
    read_description,
)
from affect4d.inference.predictor import Predictor, RecordingEmbedding, attribution_on_mesh
from affect4d.inference.preprocessing import PreparedSequence, texels_for
from affect4d.inference.results import SEPARATOR, Prediction
from affect4d.inference.sandboxed_upload_reader import Upload
from affect4d.scans.scan import FaceScan

TITLES = {"affect_vlm": "AffectVLM", "smile_vlm": "SMILE-VLM"}
FOLDERS, FORMER_FOLDERS = "AFFECT4D_MODELS", "AFFECT4D_BUNDLES"
"""Environment variable: folders of further packaged models, separated by colons; its former name."""


@dataclass(frozen=True, slots=True)
class AvailableModel:
    """Packaged model with the title it is selected by."""

    title: str
    folder: Path
    description: PackagedModel

    @property
    def texels(self) -> int:
        """Texels it needs along the shorter side of a texture."""
        return texels_for(self.description.render)

    @property
    def identity(self) -> tuple[str, str, int]:
        """Cache key: title, folder, and time of writing, which changes when it is trained anew."""
        return self.title, str(self.folder), last_written(self.folder)

    @property
    def measured(self) -> str:
        """Sentence on its accuracy."""
        scores = self.description.scores
        if scores is None:
            return "Its accuracy is not measured."
        low, high = scores.interval
        return (
            f"Accuracy {scores.accuracy:.0%} on {scores.sequences} sequences of {scores.subjects} unseen subjects of "
            f"{scores.corpus} (95 % interval {low:.0%}–{high:.0%})."
        )


def available_models() -> dict[str, AvailableModel]:
    """Models by title: folders given by hand first, then packaged ones, then the project's."""
    found: dict[str, AvailableModel] = {}
    for folder, suffix in _folders():
        try:
            description = read_description(folder)
        except PackagedModelError:
            continue
        title = TITLES.get(description.kind, description.name) + suffix
        while title in found:
            title += "′"
        found[title] = AvailableModel(title, folder, description)
    return found


@dataclass(frozen=True)
class ModelResult:
    """Prediction of one model for a recording."""

    title: str
    predictor: Predictor
    prepared: PreparedSequence
    prediction: Prediction
    embedding: RecordingEmbedding
    attributions: dict[int, Float32[np.ndarray, " vertices"]] = field(default_factory=dict)
    """Frame → attribution on its mesh, filled on demand."""

    def attribution(self, place: int) -> Float32[np.ndarray, " vertices"]:
        """Attribution of the predicted expression in a frame; computed once."""
        if place not in self.attributions:
            expression = self.prediction.expression or self.predictor.expressions[0]
            self.attributions[place] = attribution_on_mesh(self.predictor, self.prepared, place, expression)
        return self.attributions[place]

    def probabilities(self) -> Float32[np.ndarray, "frames expressions"]:
        """Probabilities of every usable frame."""
        return self.predictor.probabilities(self.embedding.frames).astype(np.float32)


def predict_with_models(
    scans: Sequence[FaceScan], name: str, predictors: Mapping[str, Predictor], neutral: FaceScan | None = None
) -> list[ModelResult]:
    """Predict a recording with every model; models with the same images share one rendering. May raise ScanError."""
    results: list[ModelResult] = []
    for title, predictor in predictors.items():
        prepared = next((other.prepared for other in results if predictor.accepts(other.prepared)), None)
        prepared = prepared or predictor.prepare(scans, neutral=neutral, name=name, keep_faces=True)
        embedding = predictor.embed(prepared)
        prediction = predictor.classify(prepared, embedding)
        results.append(ModelResult(title, predictor, prepared, prediction, embedding))
    return results


def result_table(results: Sequence[ModelResult], upload: Upload | None = None) -> pd.DataFrame:
    """One row a model, under its title, with the columns of a prediction; refused scans of an upload are counted."""
    tables = [result.prediction.table().assign(model=result.title) for result in results]
    table = pd.concat(tables, ignore_index=True)
    if upload is None:
        return table
    files = SEPARATOR.join(scan.name for scan in upload.usable)
    return table.assign(file=files, frames=table["frames"] + len(upload.scans) - len(upload.usable))


def result_timeline(results: Sequence[ModelResult], upload: Upload | None = None) -> pd.DataFrame:
    """One row a model and frame; of an upload with file names, and its refused scans last."""
    rows = [{**row, "model": result.title} for result in results for row in _frame_rows(result, upload)]
    return pd.DataFrame(rows).astype({"frame": "Int64"})


def _folders() -> Iterator[tuple[Path, str]]:
    if FORMER_FOLDERS in os.environ:
        message = f"The environment variable {FORMER_FOLDERS} is called {FOLDERS} now; the old name goes."
        warnings.warn(message, FutureWarning, stacklevel=2)
    given = os.environ.get(FOLDERS, os.environ.get(FORMER_FOLDERS, ""))
    for folder in filter(None, given.split(os.pathsep)):
        yield Path(folder), f" · {Path(folder).name}"
    for name in packaged_models():
        yield find_packaged_model(name), ""
    project = find_kedro_project(Path.cwd())
    for corpus in sorted(project.glob("data/06_models/*")) if project is not None else []:
        newest = {model.name: model for model in reversed(project_models(corpus))}
        yield from ((newest[name].folder, f" · {corpus.name}") for name in sorted(newest))


def _frame_rows(result: ModelResult, upload: Upload | None) -> Iterator[dict[str, Any]]:
    if upload is None:
        yield from result.prediction.frame_rows()
        return
    for row, scan in zip(result.prediction.frame_rows(), upload.usable, strict=True):
        yield {**row, "file": scan.name}
    refused = {"recording": result.prediction.name, "activity": 0.0, "in_window": False, "status": "refused"}
    for scan in upload.scans:
        if scan.scan is None:
            yield {**refused, "file": scan.name, "code": scan.code, "reason": scan.reason}
