"""Batch prediction, in this process or in many: failed scans, including those that crash a worker, become rows.

MLflow calls ``_load_pyfunc`` with the folder of a packaged model, without pickle:
``mlflow.pyfunc.load_model("models:/affect_vlm@newest").predict(["face.ply"])`` gives a row for each recording.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from affect4d.inference.find_recordings import ScanRecording, find_recordings
from affect4d.inference.packaged_model_description import PackagedModelError, last_written, read_description
from affect4d.inference.results import FramePrediction, Prediction, ResultTables
from affect4d.parallel import IN_PROCESS, EngineOptions, LostChunkError, map_excluding_failures
from affect4d.rendering.cameras_and_render_backends import OpenGLError
from affect4d.rendering.channels import most_photographic

if TYPE_CHECKING:
    from affect4d.inference.predictor import Predictor
    from affect4d.inference.preprocessing import PreparedSequence

LOST, FAILED = "worker-lost", "failed"
JPEG_QUALITY = 86
PATH = "path"  # column of a table of paths, the input in MLflow


@dataclass(frozen=True, slots=True)
class PredictionJob:
    """One recording to predict; small enough to send to another process."""

    recording: ScanRecording
    model: Path
    with_image: bool
    answer_unsure: bool = False
    neutral: Path | None = None


class RecordingResult(NamedTuple):
    """Prediction for a recording, and a JPEG of the face at its apex from every view; empty if not wanted."""

    prediction: Prediction
    image: bytes


def predict_recordings(
    recordings: Sequence[ScanRecording],
    model: Path,
    engine: EngineOptions = IN_PROCESS,
    images: int = 0,
    *,
    answer_unsure: bool = False,
    neutral: Path | None = None,
) -> Iterator[RecordingResult]:
    """One result a recording, in order of completion; those that lost a scan to a crash come last, without it.

    Args:
        model: Folder of the packaged model.
        images: Number of recordings, from the first on, whose faces are returned as images.
        answer_unsure: Answer scans whose pose is doubtful, too, instead of refusing them.
        neutral: Neutral scan of the face in all of them; by default, the first frame of each sequence.

    Raises:
        PackagedModelError: If the folder is no packaged model.
        OpenGLError: If a graphics driver renders wrong images.
    """
    read_description(model)
    jobs = [
        PredictionJob(recording, model, place < images, answer_unsure, neutral)
        for place, recording in enumerate(recordings)
    ]
    for job, result, excluded in map_excluding_failures(
        predict_recording,
        jobs,
        "predicting",
        engine,
        split=lambda job: [replace(job, recording=single) for single in job.recording.singly()],
        join=_joined,
        probe=try_scan,
        fatal=(PackagedModelError, OpenGLError),
        scans=lambda job: len(job.recording.rows),
    ):
        lost = tuple(_lost_frame(part, part.recording.rows[0], error) for part, error in excluded)
        if isinstance(result, RecordingResult):
            yield result._replace(prediction=_with_lost(job, result.prediction, lost))
        elif result is None:
            yield RecordingResult(_refused(job, lost), b"")
        else:
            yield RecordingResult(_refused(job, _all_lost(job, lost, result)), b"")


def predict_recording(job: PredictionJob) -> RecordingResult:
    """Predict one recording; the unit of work of a process."""
    from affect4d.inference.preprocessing import UnusableRecordingError, refused_frame

    predictor = _predictor(job.model, last_written(job.model))
    try:
        preprocessor = replace(predictor.preprocessor, answer_unsure=job.answer_unsure)
        prepared = preprocessor.prepare_recording(job.recording, neutral=job.neutral)
    except UnusableRecordingError as error:
        return RecordingResult(_refused(job, tuple(map(refused_frame, error.scans))), b"")
    return RecordingResult(predictor.classify(prepared), _apex_image(prepared) if job.with_image else b"")


def try_scan(job: PredictionJob) -> None:
    """Read and render a job's only scan, to detect crashes."""
    _predictor(job.model, last_written(job.model)).preprocessor.try_scan(job.recording)


class MlflowModel:
    """Predictions for paths: a scan, a folder of scans, or a folder of sequence folders each."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._description = folder, read_description(folder)
        _predictor(folder, last_written(folder))  # so that a server is ready once it listens

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """One row a recording, as in ``docs/predict.md``, for paths in a list or in the column ``path`` of a table.

        What is missing is None: a server writes NaN as such, which is no JSON.
        """
        described = self._description
        tables = ResultTables(described.expressions, described.views, described.action_unit_names)
        for path in _paths(model_input):
            for prediction, _ in predict_recordings(find_recordings(path), self._folder):
                tables.add(prediction)
        table = tables.tables(by_name=False)[0]
        partial = {name: object for name in table if table[name].isna().any()}
        return table.astype(partial).where(table.notna(), None)


def _paths(given: Any) -> Iterator[Path]:
    if isinstance(given, str | Path):
        yield Path(given)
        return
    if isinstance(given, pd.DataFrame):
        given = given[PATH] if PATH in given else given.iloc[:, 0]
    for path in given:
        yield Path(str(path[PATH]) if isinstance(path, Mapping) else str(path))


def _load_pyfunc(data_path: str) -> MlflowModel:
    return MlflowModel(Path(data_path))


@functools.lru_cache(maxsize=1)
def _predictor(model: Path, written: int) -> "Predictor":
    """This process's model, loaded again when its folder was written anew: a worker may outlive a training."""
    from affect4d.inference.predictor import Predictor  # torch costs seconds

    return Predictor.load(model)


def _joined(job: PredictionJob, parts: Sequence[PredictionJob]) -> PredictionJob:
    rows = tuple(row for part in parts for row in part.recording.rows)
    return replace(job, recording=replace(job.recording, rows=rows))


def _lost_frame(job: PredictionJob, row: Mapping[str, Any], error: Exception) -> FramePrediction:
    file, died = str(job.recording.source.locate(row)), isinstance(error, LostChunkError)
    code, reason = (LOST, str(error)) if died else (FAILED, f"{type(error).__name__}: {error}")
    return FramePrediction(file, int(row["frame"]), "refused", code, reason, None, {}, False, 0.0)


def _all_lost(job: PredictionJob, lost: tuple[FramePrediction, ...], error: Exception) -> tuple[FramePrediction, ...]:
    """Rows of a recording that failed again, also without its lost scans."""
    known = {frame.frame for frame in lost}
    return (*lost, *(_lost_frame(job, row, error) for row in job.recording.rows if int(row["frame"]) not in known))


def _with_lost(job: PredictionJob, prediction: Prediction, lost: tuple[FramePrediction, ...]) -> Prediction:
    if not lost:
        return prediction
    frames = tuple(sorted((*prediction.frames, *lost), key=lambda frame: frame.frame))
    if prediction.status == "refused":
        return _refused(job, frames)
    reason = "; ".join(filter(None, [f"{len(lost)} of {len(frames)} scans cannot be read", prediction.reason]))
    return replace(prediction, frames=frames, status="repaired", code=lost[0].code, reason=reason)


def _refused(job: PredictionJob, frames: tuple[FramePrediction, ...]) -> Prediction:
    frames = tuple(sorted(frames, key=lambda frame: frame.frame))
    first = frames[0]
    reason = first.reason if len(frames) == 1 else f"none of {len(frames)} scans is usable; {first.reason}"
    return Prediction(
        model=read_description(job.model).name,
        name=job.recording.name,
        subject=job.recording.subject,
        expression=None,
        probabilities={},
        calibrated=False,
        nearest_prompts=(),
        view_weights={},
        status="refused",
        code=first.code,
        reason=reason,
        frames=frames,
    )


def _apex_image(prepared: "PreparedSequence") -> bytes:
    """JPEG of the face at its apex, all views side by side: its texture, or its shape where it has none."""
    from PIL import Image

    frame = 0 if prepared.moments is None else prepared.moments.apex
    channel = most_photographic(prepared.images)
    views = prepared.images[channel][frame]
    if channel == "texture" and len(np.unique(views[views.any(axis=-1)])) <= 1 and "normals" in prepared.images:
        views = prepared.images["normals"][frame]
    if views.shape[-1] == 1:
        views = np.repeat((views >> 8).astype(np.uint8), 3, axis=-1)
    buffer = BytesIO()
    Image.fromarray(np.concatenate(list(views), axis=1)).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
