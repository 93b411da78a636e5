"""Many recordings, one after another or in many processes: a bad scan is a row, a scan that kills its process too."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from affect4d.engine import IN_PROCESS, EngineOptions, LostChunkError, map_chunks
from affect4d.inference.bundle import BundleError, read_description
from affect4d.inference.packaged import last_written
from affect4d.inference.reading import FrameReading, Prediction
from affect4d.inference.recordings import Recording
from affect4d.rendering.canary import CanaryError

if TYPE_CHECKING:
    from affect4d.inference.predictor import Predictor
    from affect4d.inference.preparation import PreparedScan, PreparedSequence

LOST, FAILED = "worker-lost", "failed"
JPEG_QUALITY = 86
Refusals = tuple[FrameReading, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """One recording to predict: small enough to travel to another process.

    Attributes:
        recording: What.
        bundle: Folder of the model.
        picture: Whether a picture of the face is wanted.
        lost: Scans of it that no process survives.
    """

    recording: Recording
    bundle: Path
    picture: bool
    lost: Refusals = ()


class Outcome(NamedTuple):
    """What is said about a recording.

    Attributes:
        prediction: The answer; without an expression where no scan was usable.
        picture: JPEG of the face at the apex, from every view; empty where it was not asked for.
    """

    prediction: Prediction
    picture: bytes


def predict_recordings(
    recordings: Sequence[Recording], bundle: Path, engine: EngineOptions = IN_PROCESS, pictures: int = 0
) -> Iterator[Outcome]:
    """Ask a model about every recording, as they come.

    Args:
        recordings: What.
        bundle: Folder of the model.
        engine: Where the work is done.
        pictures: Of how many recordings, from the first on, pictures are wanted.

    Yields:
        One outcome a recording, in order of completion. A recording whose process died, or that ended in an error
        nobody foresaw, comes last, without the scans that do that.

    Raises:
        BundleError: If the folder is no bundle.
        CanaryError: If a graphics driver draws nonsense.
    """
    read_description(bundle)
    jobs = [Job(recording, bundle, place < pictures) for place, recording in enumerate(recordings)]
    lost: list[Job] = []
    for job, result in map_chunks(predict_recording, jobs, "predicting", engine, scans=_scans):
        if isinstance(result, Outcome):
            yield result
        else:
            lost.append(_blameless(job, result))
    if lost:
        yield from _without_culprits(lost, engine)


def predict_recording(job: Job) -> Outcome:
    """What a model says about one recording; the unit of work of a process."""
    from affect4d.inference.preparation import UnusableRecordingError

    predictor = _predictor(job.bundle, last_written(job.bundle))
    try:
        prepared = predictor.preparer.prepare_recording(job.recording)
    except UnusableRecordingError as error:
        return Outcome(_refused(job, _readings(error.scans)), b"")
    answer = predictor.answer(prepared)
    if job.lost:
        frames = sorted((*answer.frames, *job.lost), key=lambda frame: frame.frame)
        reason = "; ".join(filter(None, [f"{len(job.lost)} of {len(frames)} scans cannot be read", answer.reason]))
        answer = replace(answer, frames=tuple(frames), status="repaired", code=job.lost[0].code, reason=reason)
    return Outcome(answer, _portrait(prepared) if job.picture else b"")


def try_scan(job: Job) -> None:
    """Read and draw the only scan of a job: whoever waits learns whether a process survives that."""
    _predictor(job.bundle, last_written(job.bundle)).preparer.try_scan(job.recording)


@functools.lru_cache(maxsize=1)
def _predictor(bundle: Path, written: int) -> "Predictor":
    """This process's model; read anew where the bundle was ``written`` anew, as a worker may outlive a training."""
    from affect4d.inference.predictor import Predictor  # torch costs seconds

    return Predictor.load(bundle)


def _without_culprits(lost: Sequence[Job], engine: EngineOptions) -> Iterator[Outcome]:
    """Try every scan of the lost recordings alone; ask about each recording without those that were lost again."""
    singles = [replace(job, recording=single) for job in lost for single in job.recording.singly()]
    bad: dict[tuple[str, str], FrameReading] = {}
    for single, result in map_chunks(try_scan, singles, "looking for the bad scan", engine, scans=_scans):
        if isinstance(result, Exception):
            row = _blameless(single, result).recording.rows[0]
            bad[single.recording.name, row["scan"]] = _lost(single, row, result)
    rest = []
    for job in lost:
        name, rows = job.recording.name, job.recording.rows
        culprits = tuple(bad[name, row["scan"]] for row in rows if (name, row["scan"]) in bad)
        kept = tuple(row for row in rows if (name, row["scan"]) not in bad)
        if kept:
            rest.append(replace(job, recording=replace(job.recording, rows=kept), lost=culprits))
        else:
            yield Outcome(_refused(job, culprits), b"")
    for job, outcome in map_chunks(predict_recording, rest, "predicting again", engine, scans=_scans):
        if isinstance(outcome, Outcome):
            yield outcome
        else:
            yield Outcome(_refused(job, tuple(_lost(job, row, outcome) for row in job.recording.rows)), b"")


def _lost(job: Job, row: Mapping[str, Any], error: Exception) -> FrameReading:
    """What can be said of a scan whose process died, or that ended in an error nobody foresaw."""
    file, died = str(job.recording.source.locate(row)), isinstance(error, LostChunkError)
    code, reason = (LOST, str(error)) if died else (FAILED, f"{type(error).__name__}: {error}")
    return FrameReading(file, int(row["frame"]), "refused", code, reason, None, {}, False, 0.0)


def _blameless(job: Job, error: Exception) -> Job:
    """The job, to be looked into.

    Raises:
        BundleError: If the model is at fault, not the job.
        CanaryError: If the graphics driver is.
    """
    if isinstance(error, BundleError | CanaryError):
        raise error
    return job


def _scans(job: Job) -> int:
    return len(job.recording.rows)


def _readings(scans: "Sequence[PreparedScan]") -> Refusals:
    from affect4d.inference.predictor import refused_reading

    return tuple(map(refused_reading, scans))


def _refused(job: Job, frames: Refusals) -> Prediction:
    """What can be said of a recording without a usable scan."""
    frames = tuple(sorted((*frames, *job.lost), key=lambda frame: frame.frame))
    first = frames[0]
    reason = first.reason if len(frames) == 1 else f"none of {len(frames)} scans is usable; {first.reason}"
    return Prediction(
        model=read_description(job.bundle).name,
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


def _portrait(prepared: "PreparedSequence") -> bytes:
    """The face at its apex from every view, side by side: its texture, or its shape where it has none."""
    from PIL import Image

    moments = prepared.moments
    frame = 0 if moments is None else moments.apex
    channel = next(name for name in ("texture", "shading", "normals", "depth") if name in prepared.pictures)
    views = prepared.pictures[channel][frame]
    if channel == "texture" and len(np.unique(views[views.any(axis=-1)])) <= 1 and "normals" in prepared.pictures:
        views = prepared.pictures["normals"][frame]
    if views.shape[-1] == 1:
        views = np.repeat((views >> 8).astype(np.uint8), 3, axis=-1)
    buffer = BytesIO()
    Image.fromarray(np.concatenate(list(views), axis=1)).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
