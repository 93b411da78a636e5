"""Predictions of every selected model for a recording, and their tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float32

from affect4d.inference.attribution import attribution_on_mesh
from affect4d.inference.predictor import Predictor, RecordingEmbedding
from affect4d.inference.preprocessing import PreparedSequence
from affect4d.inference.results import SEPARATOR, Prediction
from affect4d.inference.uploads import Upload
from affect4d.scans.scan import FaceScan


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
    """Predict a recording with every model; models with the same images share one rendering.

    Args:
        neutral: Neutral scan of the same face.

    Raises:
        ScanError: If no scan is usable.
    """
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
