"""Landmarks of raw scans, in each scan's own frame and unit: one scan, or a table and files of many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32, Float64

from affect4d.array_types import Landmarks, Pose
from affect4d.inference.find_recordings import ScanRecording, recording_of
from affect4d.parallel import IN_PROCESS, EngineOptions, LostChunkError, map_splitting_failures
from affect4d.pretrained_files import PretrainedModelMissingError
from affect4d.scans.alignment import TRUSTED, Alignment, align
from affect4d.scans.alignment.pose_by_landmark_detection import TURNING_AXIS, detect_on_surface
from affect4d.scans.geometry import apply_pose
from affect4d.scans.landmark_names import LANDMARK_COUNT
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.synthetic.scan_file_writers import bnd_bytes

DETECTED_COUNT = 478
TEXELS = 16  # of a texture: landmarks are found on the shape
_COORDINATES = tuple(f"landmark_{place:02d}_{axis}" for place in range(LANDMARK_COUNT) for axis in "xyz")
_UNCERTAINTIES = tuple(f"landmark_{place:02d}_uncertainty" for place in range(LANDMARK_COUNT))
_POSE = tuple(f"pose_{row}{column}" for row in range(4) for column in range(4))
_TEXTS = ("recording", "file", "subject", "status", "code", "reason", "source", "method", "unit")
COLUMNS = (
    *("recording", "file", "subject", "frame", "status", "code", "reason"),
    *("source", "method", "confidence", "unit", "uncertainty"),
    *_POSE,
    *_COORDINATES,
    *_UNCERTAINTIES,
)
"""Columns of the table of landmarks; ``docs/predict.md`` describes them."""


@dataclass(frozen=True, slots=True)
class ScanLandmarks:
    """Landmarks of a scan, in its own frame and unit, and its pose.

    ``points`` are the 83 of :mod:`affect4d.scans.landmark_names`, NaN where a landmark file has none; ``detected`` are
    the 478 of MediaPipe's Face Landmarker, NaN where they lie on no surface (all of them where it is not installed).
    """

    points: Landmarks
    uncertainty: Float32[np.ndarray, "83"]  # expected distance of each point from the true one, mm; NaN where given
    source: str  # "given" by a landmark file or "found"
    detected: Float64[np.ndarray, "478 3"]
    pose: Pose  # from the scan's own frame to the canonical one, mm
    confidence: float  # of the pose, 0…1
    method: str  # of the pose: "landmarks", "detection" or "shape"
    unit: str  # of the scan: "mm", "cm" or "m"
    findings: Mapping[str, str]  # problems, code → words

    @property
    def visible(self) -> Bool[np.ndarray, "478"]:
        """Which of the detected points lie on the surface."""
        return np.asarray(np.isfinite(self.detected).all(axis=1))


def landmarks_of(scan: FaceScan | str | Path) -> ScanLandmarks:
    """Landmarks of a scan, as given beside its file or in it; else found.

    Raises:
        ScanError: If it is no usable scan, or its pose is doubtful.
    """
    if isinstance(scan, FaceScan):
        return _locate(scan, Path("scan"))
    recording = recording_of([Path(scan)])
    return _locate(_read(recording, recording.rows[0]), Path(scan))


def _read(recording: ScanRecording, row: Mapping[str, Any]) -> FaceScan:
    return recording.source.read(row, texels=TEXELS)


def _locate(scan: FaceScan, path: Path) -> ScanLandmarks:
    try:
        alignment = align(scan)
    except ValueError as error:
        raise ScanError("not-a-face", path, str(error)) from error
    if alignment.landmarks is None or alignment.confidence < TRUSTED:
        found = "; ".join(alignment.findings.values())
        raise ScanError("uncertain-pose", path, f"pose uncertain: {found}. Landmarks beside the scan settle it")
    back = np.linalg.inv(alignment.pose)
    uncertainty = np.full(LANDMARK_COUNT, np.nan, np.float32)
    return ScanLandmarks(
        points=apply_pose(alignment.landmarks, back),
        uncertainty=uncertainty if alignment.uncertainty is None else alignment.uncertainty,
        source="given" if alignment.uncertainty is None else "found",
        detected=_detected(scan, alignment) @ back[:3, :3].T + back[:3, 3],
        pose=alignment.pose,
        confidence=alignment.confidence,
        method=alignment.method,
        unit=alignment.unit,
        findings=alignment.findings,
    )


def _detected(scan: FaceScan, alignment: Alignment) -> Float64[np.ndarray, "478 3"]:
    """The 478 points, canonical; NaN without a detector."""
    face = (apply_pose(scan.vertices, alignment.pose) - TURNING_AXIS).astype(np.float32)
    try:
        seen = detect_on_surface(face, scan.faces)
    except PretrainedModelMissingError:
        seen = None
    return np.full((DETECTED_COUNT, 3), np.nan) if seen is None else seen + TURNING_AXIS


class LandmarkResult(NamedTuple):
    """Row of the table for one scan, and its ``.bnd`` file's name and text; both empty for a refused one."""

    row: dict[str, Any]
    name: str
    text: str


def find_in_recordings(
    recordings: Sequence[ScanRecording], engine: EngineOptions = IN_PROCESS
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Table with a row a scan, refused ones too, and the text of a ``.bnd`` file for every other, by its name."""
    results: list[LandmarkResult] = []
    for recording, outcome in map_splitting_failures(
        find_in_recording,
        recordings,
        "finding landmarks",
        engine,
        split=ScanRecording.singly,
        scans=lambda recording: len(recording.rows),
    ):
        if isinstance(outcome, Exception):
            results += [_lost(recording, row, outcome) for row in recording.rows]
        else:
            results += outcome
    table = pd.DataFrame([result.row for result in results], columns=list(COLUMNS))
    numbers = [name for name in COLUMNS if name not in (*_TEXTS, "frame")]
    table = table.astype({**dict.fromkeys(numbers, "float64"), **dict.fromkeys(_TEXTS, "str")})
    files = {result.name: result.text for result in results if result.name}
    return table.sort_values(["recording", "frame"], ignore_index=True, kind="stable"), files


def find_in_recording(recording: ScanRecording) -> list[LandmarkResult]:
    """Landmarks of every scan of a recording; the unit of work of a process."""
    return [_find(recording, row) for row in recording.rows]


def _find(recording: ScanRecording, row: Mapping[str, Any]) -> LandmarkResult:
    path = recording.source.locate(row)
    try:
        scan = _read(recording, row)
        found = _locate(scan, path)
    except ScanError as error:
        reason = error.detail + (f" ({error.where})" if error.where else "")
        return _refused(recording, row, error.code, reason)
    values = {
        "status": "repaired" if found.findings else "ok",
        "code": next(iter(found.findings), ""),
        "reason": "; ".join(found.findings.values()),
        **{name: getattr(found, name) for name in ("source", "method", "confidence", "unit")},
        "uncertainty": float(np.median(found.uncertainty)),
        **dict(zip(_POSE, found.pose.ravel(), strict=True)),
        **dict(zip(_COORDINATES, found.points.ravel(), strict=True)),
        **dict(zip(_UNCERTAINTIES, found.uncertainty, strict=True)),
    }
    return LandmarkResult({**_place(recording, row), **values}, _file_name(row), _bnd(scan, found.points))


def _place(recording: ScanRecording, row: Mapping[str, Any]) -> dict[str, Any]:
    file = str(recording.source.locate(row))
    return {"recording": recording.name, "file": file, "subject": recording.subject, "frame": int(row["frame"])}


def _file_name(row: Mapping[str, Any]) -> str:
    """The scan's path without its suffix."""
    return Path(str(row["scan"])).with_suffix("").as_posix()


def _bnd(scan: FaceScan, points: Landmarks) -> str:
    """BU's landmark file; a point that is not tracked is 0 0 0."""
    return bnd_bytes(with_changes(scan, landmarks=np.nan_to_num(points))).decode()


def _lost(recording: ScanRecording, row: Mapping[str, Any], error: Exception) -> LandmarkResult:
    code = "worker-lost" if isinstance(error, LostChunkError) else "failed"
    reason = f"{type(error).__name__}: {error}"
    return _refused(recording, row, code, reason)


def _refused(recording: ScanRecording, row: Mapping[str, Any], code: str, reason: str) -> LandmarkResult:
    return LandmarkResult({**_place(recording, row), "status": "refused", "code": code, "reason": reason}, "", "")
