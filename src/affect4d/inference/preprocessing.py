"""Preprocessing: raw scans to model input in memory, by the functions of the stages `ingest` and `render`."""

import functools
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Shaped
from threadpoolctl import ThreadpoolController

from affect4d.inference.find_recordings import ScanRecording, find_recordings, recording_of
from affect4d.inference.packaged_model_description import PackagedModel
from affect4d.inference.results import FramePrediction
from affect4d.rendering.cameras_and_render_backends import TEXELS_PER_PIXEL, OpenGLError, RenderError, shared_renderer
from affect4d.rendering.options import RenderOptions
from affect4d.rendering.render_sequence import block_means, frame_activity, render_face
from affect4d.scans.alignment import TRUSTED, Alignment, TakeAligner, canonical_face
from affect4d.scans.ingest import outcome_columns
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.views.apex_detection import ExpressionPhases, detect_apex, frame_table
from affect4d.views.bank import ViewBank
from affect4d.views.derived_channels import derive_channels, needed_images
from affect4d.views.input_options import InputOptions

ScanInput = str | Path | FaceScan  # a scan's file, or a scan in memory
ImageOptions = tuple[RenderOptions, InputOptions, float]  # what images depend on: rendering, inputs and crop radius

NEUTRAL_FRAME = -1  # frame number of a separate neutral scan
BATCH = 64  # frames whose channels are derived together
ALIGNING = threading.Lock()  # taken while a scan is aligned: limits on library threads hold for the whole process
NO_NEUTRAL = "no neutral frame given: nothing is taken to have moved"


class UnusableRecordingError(ScanError):
    """No scan of a recording is usable; has the first one's error and the outcome of each in ``scans``."""

    def __init__(self, first: ScanError, scans: "tuple[PreparedScan, ...]") -> None:
        self.scans = scans
        super().__init__(first.code, first.path, first.detail, first.where)

    def __reduce__(self) -> tuple[type[ScanError], tuple[str, Path, str, str]]:
        return ScanError, (self.code, self.path, self.detail, self.where)


@dataclass(frozen=True, slots=True)
class PreparedScan:
    """Outcome of preparing one raw scan."""

    file: str  # its path, as given; empty for a scan in memory
    frame: int
    status: str  # "ok", "repaired" (usable, with a remark) or "refused"
    code: str = ""  # short, stable word for the defect, e.g. "truncated"; empty where there is none
    reason: str = ""
    confidence: float = 0.0  # of the pose, 0…1
    activity: float = 0.0  # movement since the neutral frame, 0…1
    face: FaceScan | None = None  # canonical mesh, mm, if kept

    @property
    def usable(self) -> bool:
        """Whether it was rendered."""
        return self.status != "refused"


@dataclass(frozen=True)
class PreparedSequence:
    """Rendered recording."""

    name: str
    subject: str | None
    scans: tuple[PreparedScan, ...]  # all raw scans, refused ones too, in order
    bank: ViewBank  # images of every usable scan, after those of a separate neutral scan
    rows: tuple[int, ...]  # the bank's rows of the usable scans, in order
    images: Mapping[str, Shaped[np.ndarray, "frames views height width components"]]
    """Rendered channels of the usable scans."""
    has_neutral: bool  # whether movement is relative to a neutral frame
    is_sequence: bool  # whether more than one scan was given
    made_for: ImageOptions

    @property
    def usable(self) -> tuple[PreparedScan, ...]:
        """The rendered scans, one a row of ``rows``."""
        return tuple(scan for scan in self.scans if scan.usable)

    @property
    def moments(self) -> ExpressionPhases | None:
        """Positions of onset, apex and offset among the usable scans; None for a single scan."""
        return detect_apex([scan.activity for scan in self.usable]) if self.is_sequence else None


def _doubt(alignment: Alignment, path: Path) -> tuple[str, Path, str]:
    """Code, file and words for a scan that is refused because its pose is doubtful."""
    found = "; ".join(alignment.findings.values())
    return "uncertain-pose", path, f"pose uncertain: {found}. To have an answer all the same: predict.unsure=answer"


@dataclass(frozen=True)
class Preprocessor:
    """Renders raw scans as the training corpus of a packaged model was rendered."""

    description: PackagedModel
    keep_faces: bool = False  # keep the canonical mesh of every scan, for display
    find_landmarks: bool = False  # with landmarks, also where a scan has none
    answer_unsure: bool = False  # render scans whose pose is doubtful, too

    @property
    def image_options(self) -> ImageOptions:
        """The options that the images depend on."""
        return self.description.render, self.description.inputs, self.description.crop_radius

    def prepare(
        self, scans: ScanInput | Sequence[ScanInput], *, neutral: ScanInput | None = None, name: str = ""
    ) -> PreparedSequence:
        """Read and render a scan, a sequence of scans of one face, or a folder of its frames.

        Args:
            neutral: Neutral scan of the same face; by default, the first usable frame of a sequence.

        Raises:
            ScanError: If no scan is usable; of several, the first one's.
            OpenGLError: If the graphics driver renders wrong images.
        """
        if isinstance(scans, str | Path) and Path(scans).is_dir():
            found = _only_recording(Path(scans))
            return self.prepare_recording(replace(found, name=name or found.name), neutral=neutral)
        given = _as_list(scans)
        if any(isinstance(scan, FaceScan) for scan in given):
            take = self._new_take()
            rest = self._neutral(neutral, take)
            rendered = [self._load(scan, frame, take) for frame, scan in enumerate(given)]
            return self._join(rendered, rest, name or "scan", None, len(given) > 1)
        recording = recording_of([Path(scan) for scan in given if not isinstance(scan, FaceScan)], name)
        return self.prepare_recording(recording, neutral=neutral)

    def prepare_recording(self, recording: ScanRecording, *, neutral: ScanInput | None = None) -> PreparedSequence:
        """Read and render a recording found by :func:`affect4d.inference.find_recordings.find_recordings`."""
        take = self._new_take()
        rest = self._neutral(neutral, take)
        rendered = [self._read(recording, row, take) for row in recording.rows]
        return self._join(rendered, rest, recording.name, recording.subject, recording.is_sequence)

    def try_scan(self, recording: ScanRecording) -> None:
        """Render the only scan of a recording, to detect crashes."""
        self._read(recording, recording.rows[0], self._new_take())

    def _new_take(self) -> TakeAligner:
        return TakeAligner(find_landmarks=self.find_landmarks)

    def _load(self, scan: ScanInput, frame: int, take: TakeAligner) -> "RenderedScan":
        if isinstance(scan, FaceScan):
            return self._render(scan, Path(f"scan {frame}"), PreparedScan("", frame, "ok"), take)
        recording = recording_of([Path(scan)])
        return self._read(recording, {**recording.rows[0], "frame": frame}, take)

    def _read(self, recording: ScanRecording, row: Mapping[str, Any], take: TakeAligner) -> "RenderedScan":
        raw = self._open(recording, row)
        return raw if isinstance(raw, RenderedScan) else self._render_of(recording, row, raw, take)

    def _open(self, recording: ScanRecording, row: Mapping[str, Any]) -> "FaceScan | RenderedScan":
        """The raw scan of a row; refused, if it cannot be read."""
        try:
            return recording.source.read(row, texels=texels_for(self.description.render))
        except ScanError as error:
            return _refused(_usable(recording, row), error)

    def _render_of(
        self, recording: ScanRecording, row: Mapping[str, Any], raw: FaceScan, take: TakeAligner
    ) -> "RenderedScan":
        return self._render(raw, recording.source.locate(row), _usable(recording, row), take)

    def _render(self, raw: FaceScan, path: Path, outcome: PreparedScan, take: TakeAligner) -> "RenderedScan":
        try:
            with ALIGNING, _library_threads().limit(limits=1):  # as in a worker: more threads round otherwise
                alignment = take.align(raw)
                if alignment.confidence < TRUSTED and not self.answer_unsure:
                    raise ScanError(*_doubt(alignment, path))
                face = canonical_face(raw, alignment.pose, self.description.crop_radius)
            images = _render_thread().submit(_render_face, self.description.render, face.scan, path.name).result()
        except OpenGLError:
            raise
        except ScanError as error:
            return _refused(outcome, error)
        except RenderError as error:
            return _refused(outcome, ScanError("not-drawn", path, str(error)))
        except ValueError as error:
            return _refused(outcome, ScanError("not-a-face", path, str(error)))
        found = outcome_columns(alignment, face)
        noted = {name: found[name] for name in ("status", "code", "reason", "confidence")}
        shown = replace(face.scan, landmarks=alignment.landmarks) if self.keep_faces else None
        return RenderedScan(replace(outcome, **noted, face=shown), images)

    def _join(
        self,
        rendered: "Sequence[RenderedScan]",
        rest: list[dict[str, np.ndarray]],
        name: str,
        subject: str | None,
        is_sequence: bool,
    ) -> PreparedSequence:
        images = [one.images for one in rendered if one.images is not None]
        if not images:
            first = next(one.error for one in rendered if one.error is not None)
            raise UnusableRecordingError(first, tuple(one.scan for one in rendered))
        activity = np.round(frame_activity([block_means(each) for each in (*rest, *images)]), 6)[len(rest) :]
        scans, moved = [], iter(activity)
        for one in rendered:
            scans.append(one.scan if one.images is None else replace(one.scan, activity=float(next(moved))))
        stacks = {channel: np.stack([each[channel] for each in (*rest, *images)]) for channel in images[0]}
        frames = [scan.frame for scan in scans if scan.usable]
        return PreparedSequence(
            name=name,
            subject=subject,
            scans=tuple(scans),
            bank=_bank(name, stacks, frames, activity, self.description),
            rows=tuple(range(len(rest), len(rest) + len(images))),
            images={channel: stack[len(rest) :] for channel, stack in stacks.items()},
            has_neutral=bool(rest) or is_sequence,
            is_sequence=is_sequence,
            made_for=self.image_options,
        )

    def _neutral(self, scan: ScanInput | None, take: TakeAligner) -> list[dict[str, np.ndarray]]:
        """Images of the neutral scan, if there is one: the first frame of the take."""
        if scan is None:
            return []
        rendered = self._load(scan, NEUTRAL_FRAME, take)
        if rendered.images is not None:
            return [rendered.images]
        if rendered.error is None:
            raise RuntimeError("A refused scan has a reason.")
        error = rendered.error
        raise ScanError(error.code, error.path, f"the neutral scan: {error.detail}", error.where) from error


class LiveTake:
    """Prepares the scans of one face as they come; movement is since the neutral scan, or the first usable one."""

    def __init__(self, preprocessor: Preprocessor, neutral: ScanInput | None = None) -> None:
        self._preprocessor, self._take = preprocessor, preprocessor._new_take()
        self._rest = preprocessor._neutral(neutral, self._take)

    def read(self, scan: ScanRecording) -> "FaceScan | RenderedScan":
        """Read a scan; refused, if it cannot be read."""
        return self._preprocessor._open(scan, scan.rows[0])

    def render(self, scan: ScanRecording, raw: "FaceScan | RenderedScan") -> "RenderedScan":
        """Align and render the next scan."""
        if isinstance(raw, RenderedScan):
            return raw
        rendered = self._preprocessor._render_of(scan, scan.rows[0], raw, self._take)
        if not self._rest and rendered.images is not None:
            self._rest = [rendered.images]
        return rendered

    def prepare(self, scan: ScanRecording, rendered: "RenderedScan") -> PreparedSequence:
        """The model's input for a rendered scan; UnusableRecordingError if it cannot be used."""
        return self._preprocessor._join([rendered], self._rest, scan.name, scan.subject, is_sequence=False)


@dataclass(frozen=True, slots=True)
class RenderedScan:
    """A scan with its images (channel → ``[views, height, width, components]``), or with its error."""

    scan: PreparedScan
    images: dict[str, np.ndarray] | None = None
    error: ScanError | None = None


def refused_frame(scan: PreparedScan) -> FramePrediction:
    """Prediction row of a scan that is not usable."""
    return FramePrediction(scan.file, scan.frame, scan.status, scan.code, scan.reason, None, {}, False, 0.0)


def _as_list(scans: ScanInput | Sequence[ScanInput]) -> Sequence[ScanInput]:
    given = list(scans) if isinstance(scans, Iterable) and not isinstance(scans, str) else [scans]
    for scan in given:
        if not isinstance(scan, FaceScan | str | Path):
            raise TypeError(f"A scan is a file's path, or a FaceScan that was read already; this is {scan!r:.80}.")
    return given


def _only_recording(folder: Path) -> ScanRecording:
    """The recording in a folder, as its ``scans.csv`` defines it if it has one; ValueError if there are several."""
    (recording, *others) = find_recordings(folder, grouping="sequences")
    if others:
        raise ValueError(
            f"{folder} holds {1 + len(others)} recordings: give one of them, or all to "
            f"`kedro run --pipeline=predict --params input={folder}`."
        )
    return recording


def _usable(recording: ScanRecording, row: Mapping[str, Any]) -> PreparedScan:
    return PreparedScan(str(recording.source.locate(row)), int(row["frame"]), "ok")


def _refused(outcome: PreparedScan, error: ScanError) -> RenderedScan:
    reason = error.detail + (f" ({error.where})" if error.where else "")
    return RenderedScan(replace(outcome, status="refused", code=error.code, reason=reason), error=error)


def _bank(
    name: str,
    stacks: Mapping[str, np.ndarray],
    frames: Sequence[int],
    activity: np.ndarray,
    description: PackagedModel,
) -> ViewBank:
    """View bank of one sequence; a separate neutral scan is its first row, outside the window."""
    render, inputs = description.render, description.inputs
    needed = {channel: stacks[channel] for channel in needed_images(inputs.channels, stacks.keys())}
    pitches = [render.pitch(view) for view in render.angles]
    angles = list(render.angles.values())
    parts = [  # a part at a time: a channel is derived in single precision
        derive_channels(
            {channel: stack[start : start + BATCH] for channel, stack in needed.items()},
            angles,
            inputs.channels,
            pitches,
        )
        for start in range(0, len(next(iter(stacks.values()))), BATCH)
    ]
    images = np.concatenate(parts)
    sequence = pd.DataFrame({"sequence": [name], "frames": [list(frames)], "activity": [activity.tolist()]})
    moments = frame_table(sequence, inputs.frames)
    apart = [NEUTRAL_FRAME] * (len(images) - len(frames))
    window = np.concatenate([np.zeros(len(apart), bool), moments["in_window"].to_numpy(bool)])
    first_row = torch.zeros(len(images), dtype=torch.int64)
    return ViewBank(
        images=torch.from_numpy(images),
        neutral=first_row,
        sequence=first_row,
        frame=torch.tensor([*apart, *frames]),
        in_window=torch.from_numpy(window),
        sequences=(name,),
        views=tuple(render.angles),
    )


def texels_for(render: RenderOptions) -> int:
    """Texels along the shorter side of a texture that suffice for rendering."""
    return TEXELS_PER_PIXEL * render.size


@functools.cache
def _library_threads() -> ThreadpoolController:
    return ThreadpoolController()


@functools.cache
def _render_thread() -> ThreadPoolExecutor:
    """The thread that renders, whatever thread a caller is in: OpenGL contexts are bound to one."""
    return ThreadPoolExecutor(1, "render")


def _render_face(options: RenderOptions, face: FaceScan, name: str) -> dict[str, np.ndarray]:
    return render_face(shared_renderer(options), face, name)
