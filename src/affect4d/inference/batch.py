"""Batch prediction, in this process or in many: failed scans, including those that crash a worker, become rows."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from affect4d.engine import IN_PROCESS, EngineOptions, LostChunkError, map_chunks
from affect4d.inference.packaged_model import PackagedModelError, last_written, read_description
from affect4d.inference.recordings import Recording
from affect4d.inference.results import FramePrediction, Prediction
from affect4d.rendering.canary import CanaryError

if TYPE_CHECKING:
    from affect4d.inference.predictor import Predictor
    from affect4d.inference.preprocessing import PreparedSequence

LOST, FAILED = "worker-lost", "failed"
JPEG_QUALITY = 86


@dataclass(frozen=True, slots=True)
class PredictionJob:
    """One recording to predict; small enough to send to another process."""

    recording: Recording
    model: Path
    with_image: bool
    lost: tuple[FramePrediction, ...] = ()
    """Scans of the recording that crashed a process."""


class RecordingResult(NamedTuple):
    """Prediction for a recording, and a JPEG of the face at its apex from every view; empty if not wanted."""

    prediction: Prediction
    image: bytes


def predict_recordings(
    recordings: Sequence[Recording], model: Path, engine: EngineOptions = IN_PROCESS, images: int = 0
) -> Iterator[RecordingResult]:
    """Predict every recording.

    Args:
        recordings: What :func:`affect4d.inference.recordings.find_recordings` found.
        model: Folder of the packaged model.
        engine: Where the work is done.
        images: Number of recordings, from the first on, whose faces are returned as images.

    Yields:
        One result a recording, in order of completion. Recordings whose process died, or that ended in an unforeseen
        error, come last, without the scans that cause it.

    Raises:
        PackagedModelError: If the folder is no packaged model.
        CanaryError: If a graphics driver renders wrong images.
    """
    read_description(model)
    jobs = [PredictionJob(recording, model, place < images) for place, recording in enumerate(recordings)]
    lost: list[PredictionJob] = []
    for job, result in map_chunks(predict_recording, jobs, "predicting", engine, scans=_scans):
        if isinstance(result, RecordingResult):
            yield result
        else:
            _raise_if_fatal(result)
            lost.append(job)
    if lost:
        yield from _predict_without_bad_scans(lost, engine)


def predict_recording(job: PredictionJob) -> RecordingResult:
    """Predict one recording; the unit of work of a process."""
    from affect4d.inference.preprocessing import UnusableRecordingError, refused_frame

    predictor = _predictor(job.model, last_written(job.model))
    try:
        prepared = predictor.preprocessor.prepare_recording(job.recording)
    except UnusableRecordingError as error:
        return RecordingResult(_refused(job, tuple(map(refused_frame, error.scans))), b"")
    prediction = predictor.classify(prepared)
    if job.lost:
        frames = sorted((*prediction.frames, *job.lost), key=lambda frame: frame.frame)
        reasons = [f"{len(job.lost)} of {len(frames)} scans cannot be read", prediction.reason]
        told = {"status": "repaired", "code": job.lost[0].code, "reason": "; ".join(filter(None, reasons))}
        prediction = replace(prediction, frames=tuple(frames), **told)
    return RecordingResult(prediction, _apex_image(prepared) if job.with_image else b"")


def try_scan(job: PredictionJob) -> None:
    """Read and render a job's only scan, to detect crashes."""
    _predictor(job.model, last_written(job.model)).preprocessor.try_scan(job.recording)


@functools.lru_cache(maxsize=1)
def _predictor(model: Path, written: int) -> "Predictor":
    """This process's model, loaded again when its folder was written anew: a worker may outlive a training."""
    from affect4d.inference.predictor import Predictor  # torch costs seconds

    return Predictor.load(model)


def _predict_without_bad_scans(lost: Sequence[PredictionJob], engine: EngineOptions) -> Iterator[RecordingResult]:
    """Try every scan of the lost recordings alone, then predict each recording without those that were lost again."""
    singles = [replace(job, recording=single) for job in lost for single in job.recording.singly()]
    bad: dict[tuple[str, str], FramePrediction] = {}
    for single, result in map_chunks(try_scan, singles, "finding the bad scan", engine, scans=_scans):
        if isinstance(result, Exception):
            _raise_if_fatal(result)
            row = single.recording.rows[0]
            bad[single.recording.name, row["scan"]] = _lost_frame(single, row, result)
    rest = []
    for job in lost:
        name, rows = job.recording.name, job.recording.rows
        culprits = tuple(bad[name, row["scan"]] for row in rows if (name, row["scan"]) in bad)
        kept = tuple(row for row in rows if (name, row["scan"]) not in bad)
        if kept:
            rest.append(replace(job, recording=replace(job.recording, rows=kept), lost=culprits))
        else:
            yield RecordingResult(_refused(job, culprits), b"")
    for job, result in map_chunks(predict_recording, rest, "predicting again", engine, scans=_scans):
        if isinstance(result, RecordingResult):
            yield result
        else:
            yield RecordingResult(
                _refused(job, tuple(_lost_frame(job, row, result) for row in job.recording.rows)), b""
            )


def _lost_frame(job: PredictionJob, row: Mapping[str, Any], error: Exception) -> FramePrediction:
    """Row of a scan whose process died, or that ended in an unforeseen error."""
    file, died = str(job.recording.source.locate(row)), isinstance(error, LostChunkError)
    code, reason = (LOST, str(error)) if died else (FAILED, f"{type(error).__name__}: {error}")
    return FramePrediction(file, int(row["frame"]), "refused", code, reason, None, {}, False, 0.0)


def _raise_if_fatal(error: Exception) -> None:
    """Raise errors of the model or the graphics driver: no recording is at fault."""
    if isinstance(error, PackagedModelError | CanaryError):
        raise error


def _scans(job: PredictionJob) -> int:
    return len(job.recording.rows)


def _refused(job: PredictionJob, frames: tuple[FramePrediction, ...]) -> Prediction:
    """Result for a recording without a usable scan."""
    frames = tuple(sorted((*frames, *job.lost), key=lambda frame: frame.frame))
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
    channel = next(name for name in ("texture", "shading", "normals", "depth") if name in prepared.pictures)
    views = prepared.pictures[channel][frame]
    if channel == "texture" and len(np.unique(views[views.any(axis=-1)])) <= 1 and "normals" in prepared.pictures:
        views = prepared.pictures["normals"][frame]
    if views.shape[-1] == 1:
        views = np.repeat((views >> 8).astype(np.uint8), 3, axis=-1)
    buffer = BytesIO()
    Image.fromarray(np.concatenate(list(views), axis=1)).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
