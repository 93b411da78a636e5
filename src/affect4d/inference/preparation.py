"""Raw scans to what a model looks at, by the functions the stages `ingest`, `render` and training use; no model.

Every scan is read once, aligned, cropped, mended and drawn in memory; nothing is written.
"""

import functools
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Shaped
from threadpoolctl import ThreadpoolController

from affect4d.inference.drawing import draw
from affect4d.inference.recordings import Recording, Row, find_recordings, recording_of
from affect4d.rendering.activity import block_means, frame_activity
from affect4d.rendering.cameras import RenderOptions
from affect4d.rendering.canary import CanaryError
from affect4d.rendering.pictures import RenderError
from affect4d.rendering.sequences import Pictures
from affect4d.scans.canonical import align, canonical_face
from affect4d.scans.ingest import judged
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.views.bank import ViewBank
from affect4d.views.channels import derive_channels, needed_pictures
from affect4d.views.dynamics import encode_dynamics
from affect4d.views.inputs import InputOptions
from affect4d.views.moments import Moments, find_moments, locate

Scan = str | Path | FaceScan
"""A scan's file, or a scan that was read already."""

NEUTRAL_FRAME = -1
"""Frame number of a neutral scan that was given apart."""
AT_ONCE = 64
"""Frames whose channels are derived together."""
ALIGNING = threading.Lock()
"""One scan of a process at a time: how many threads a library takes is said for all of them."""
NO_NEUTRAL = "no neutral frame given: nothing is taken to have moved"


class UnusableRecordingError(ScanError):
    """No scan of a recording is usable; speaks for the first.

    Attributes:
        scans: What became of each.
    """

    def __init__(self, first: ScanError, scans: "tuple[PreparedScan, ...]") -> None:
        self.scans = scans
        super().__init__(first.code, first.path, first.detail, first.where)

    def __reduce__(self) -> tuple[type[ScanError], tuple[str, Path, str, str]]:
        """Travel between processes as what it says."""
        return ScanError, (self.code, self.path, self.detail, self.where)


@dataclass(frozen=True, slots=True)
class PreparedScan:
    """What became of one raw scan.

    Attributes:
        file: Its path, as it was given; empty for a scan that was read already.
        frame: Its number.
        status: ``"ok"``, ``"repaired"`` (usable, with something to know) or ``"refused"``.
        code: Short, stable word for what was found, e.g. ``"truncated"``; empty where there is nothing to say.
        reason: The same in words.
        confidence: In the pose, 0…1; 0 of a refused scan.
        activity: How far the face has moved since the neutral frame, 0…1.
        face: The canonical face, mm, where it was asked for.
    """

    file: str
    frame: int
    status: str
    code: str = ""
    reason: str = ""
    confidence: float = 0.0
    activity: float = 0.0
    face: FaceScan | None = None

    @property
    def usable(self) -> bool:
        """Whether there are pictures of it."""
        return self.status != "refused"


@dataclass(frozen=True)
class PreparedSequence:
    """A recording, drawn.

    Attributes:
        name: Of the recording.
        subject: Whose face, where that is known.
        scans: Every raw scan, refused ones too, in order.
        bank: Pictures as a model's input is made from them: of every usable scan, behind a neutral one given apart.
        rows: The bank's rows of the usable scans, in order.
        pictures: What was drawn of the usable scans: channel → ``[frames, views, height, width, components]``.
        has_neutral: Whether motion is told from a neutral frame.
        is_sequence: Whether more than one scan was given.
        made_for: The options it was made with.
    """

    name: str
    subject: str | None
    scans: tuple[PreparedScan, ...]
    bank: ViewBank
    rows: tuple[int, ...]
    pictures: Mapping[str, Shaped[np.ndarray, "frames views height width components"]]
    has_neutral: bool
    is_sequence: bool
    made_for: tuple[RenderOptions, InputOptions, float]

    @property
    def usable(self) -> tuple[PreparedScan, ...]:
        """The scans there are pictures of; one a row of ``rows``."""
        return tuple(scan for scan in self.scans if scan.usable)

    @property
    def moments(self) -> Moments | None:
        """Positions among the usable scans of onset, apex and offset; None for a single scan."""
        return locate([scan.activity for scan in self.usable]) if self.is_sequence else None


@dataclass(frozen=True)
class Preparer:
    """Draws raw scans as the corpus that a model was trained on was drawn.

    Attributes:
        render: How views are drawn.
        inputs: What a model sees of them.
        crop_radius: What is kept around the nose tip, mm.
        keep_faces: Keep the canonical face of every scan, to show it.
    """

    render: RenderOptions
    inputs: InputOptions
    crop_radius: float
    keep_faces: bool = False

    def prepare(self, scans: Scan | Sequence[Scan], *, neutral: Scan | None = None, name: str = "") -> PreparedSequence:
        """Read and draw a scan, or a sequence of scans of one face.

        Args:
            scans: A scan; several, as the frames of one sequence; or a folder, whose scans are its frames.
            neutral: The same face at rest; by default, the first usable frame of a sequence.
            name: What to call it; by default its file or folder.

        Raises:
            ScanError: If no scan is usable; of several, the first one's.
            CanaryError: If the graphics driver draws nonsense.
        """
        found = _in_folder(scans)
        if found is not None:
            return self.prepare_recording(replace(found, name=name or found.name), neutral=neutral)
        given = _given(scans)
        if any(isinstance(scan, FaceScan) for scan in given):
            taken = [self._take(scan, frame) for frame, scan in enumerate(given)]
            return self._joined(taken, neutral, name or "scan", None, len(given) > 1)
        recording = recording_of([Path(scan) for scan in given if not isinstance(scan, FaceScan)], name)
        return self.prepare_recording(recording, neutral=neutral)

    def prepare_recording(self, recording: Recording, *, neutral: Scan | None = None) -> PreparedSequence:
        """The same of what :func:`affect4d.inference.recordings.find_recordings` found."""
        taken = [self._read(recording, row) for row in recording.rows]
        return self._joined(taken, neutral, recording.name, recording.subject, recording.is_sequence)

    def try_scan(self, recording: Recording) -> None:
        """Draw the only scan of a recording and forget it: whoever waits learns whether a process survives that."""
        self._read(recording, recording.rows[0])

    def _take(self, scan: Scan, frame: int) -> "_Taken":
        if isinstance(scan, FaceScan):
            return self._drawn(scan, Path(f"scan {frame}"), PreparedScan("", frame, "ok"))
        recording = recording_of([Path(scan)])
        return self._read(recording, {**recording.rows[0], "frame": frame})

    def _read(self, recording: Recording, row: Row) -> "_Taken":
        path = recording.source.locate(row)
        note = PreparedScan(str(path), int(row["frame"]), "ok")
        try:
            raw = recording.source.read(row, texels=texels_for(self.render))
        except ScanError as error:
            return _Taken(_refused(note, error), error=error)
        return self._drawn(raw, path, note)

    def _drawn(self, raw: FaceScan, path: Path, note: PreparedScan) -> "_Taken":
        """Align, crop, mend and draw a raw scan."""
        try:
            with ALIGNING, _one_thread():  # as in a worker: another number of threads rounds otherwise
                alignment = align(raw)
                face = canonical_face(raw, alignment.pose, self.crop_radius)
            pictures = draw(self.render, face.scan, path.name).result()
        except CanaryError:
            raise
        except (ValueError, RenderError) as error:
            refusal = _as_scan_error(error, path)
            return _Taken(_refused(note, refusal), error=refusal)
        told = judged(alignment, face)
        usable = replace(
            note,
            **{name: told[name] for name in ("status", "code", "reason", "confidence")},
            face=face.scan if self.keep_faces else None,
        )
        return _Taken(usable, pictures)

    def _joined(
        self, taken: "Sequence[_Taken]", neutral: Scan | None, name: str, subject: str | None, is_sequence: bool
    ) -> PreparedSequence:
        """Scans to one sequence, its motion told from the neutral frame."""
        drawn = [one.pictures for one in taken if one.pictures is not None]
        if not drawn:
            first = next(one.error for one in taken if one.error is not None)
            raise UnusableRecordingError(first, tuple(one.scan for one in taken))
        rest = [] if neutral is None else [self._neutral(neutral)]
        activity = np.round(frame_activity([block_means(pictures) for pictures in (*rest, *drawn)]), 6)[len(rest) :]
        scans, moved = [], iter(activity)
        for one in taken:
            scans.append(one.scan if one.pictures is None else replace(one.scan, activity=float(next(moved))))
        stacks = {channel: np.stack([pictures[channel] for pictures in (*rest, *drawn)]) for channel in drawn[0]}
        frames = [scan.frame for scan in scans if scan.usable]
        return PreparedSequence(
            name=name,
            subject=subject,
            scans=tuple(scans),
            bank=_bank(name, stacks, frames, activity, self.render, self.inputs),
            rows=tuple(range(len(rest), len(rest) + len(drawn))),
            pictures={channel: stack[len(rest) :] for channel, stack in stacks.items()},
            has_neutral=bool(rest) or is_sequence,
            is_sequence=is_sequence,
            made_for=(self.render, self.inputs, self.crop_radius),
        )

    def _neutral(self, scan: Scan) -> Pictures:
        taken = self._take(scan, NEUTRAL_FRAME)
        if taken.pictures is not None:
            return taken.pictures
        if taken.error is None:
            raise RuntimeError("A refused scan has a reason.")
        error = taken.error
        raise ScanError(error.code, error.path, f"the neutral scan: {error.detail}", error.where) from error


@dataclass(frozen=True, slots=True)
class _Taken:
    """A scan with its pictures, or with why there are none."""

    scan: PreparedScan
    pictures: Pictures | None = None
    error: ScanError | None = None


def _given(scans: Scan | Sequence[Scan]) -> Sequence[Scan]:
    """What was given, as a list.

    Raises:
        TypeError: If it is no scan, and no sequence of them.
    """
    given = list(scans) if isinstance(scans, Iterable) and not isinstance(scans, str) else [scans]
    for scan in given:
        if not isinstance(scan, FaceScan | str | Path):
            raise TypeError(f"A scan is a file's path, or a FaceScan that was read already; this is {scan!r:.80}.")
    return given


def _in_folder(scans: Scan | Sequence[Scan]) -> Recording | None:
    """The recording in a folder, as its ``scans.csv`` tells it where there is one; None of what is no folder.

    Raises:
        ValueError: If there are several.
    """
    if not isinstance(scans, str | Path) or not Path(scans).is_dir():
        return None
    place = Path(scans)
    (recording, *others) = find_recordings(place, grouping="sequences")
    if others:
        raise ValueError(
            f"{place} holds {1 + len(others)} recordings: give one of them, or all to "
            f"`kedro run --pipeline=predict --params input={place}`."
        )
    return recording


def _refused(note: PreparedScan, error: ScanError) -> PreparedScan:
    reason = error.detail + (f" ({error.where})" if error.where else "")
    return replace(note, status="refused", code=error.code, reason=reason)


def _as_scan_error(error: Exception, path: Path) -> ScanError:
    """Why a scan cannot be used, in the words of the ingest report."""
    if isinstance(error, ScanError):
        return error
    return ScanError("not-drawn" if isinstance(error, RenderError) else "not-a-face", path, str(error))


def _bank(
    name: str,
    stacks: Mapping[str, np.ndarray],
    frames: Sequence[int],
    activity: np.ndarray,
    render: RenderOptions,
    inputs: InputOptions,
) -> ViewBank:
    """The bank of one sequence; a neutral scan given apart is its first row, outside the window."""
    needed = {channel: stacks[channel] for channel in needed_pictures(inputs.channels, stacks.keys())}
    pitches = [render.pitch(view) for view in render.angles]
    angles = list(render.angles.values())
    parts = [  # a part at a time: a channel is derived in single precision
        derive_channels(
            {name: stack[start : start + AT_ONCE] for name, stack in needed.items()}, angles, inputs.channels, pitches
        )
        for start in range(0, len(next(iter(stacks.values()))), AT_ONCE)
    ]
    pictures = np.concatenate(parts)
    if inputs.motion == "dynamic":
        pictures = np.concatenate([pictures, encode_dynamics(pictures)], axis=2)
    told = pd.DataFrame({"sequence": [name], "frames": [list(frames)], "activity": [activity.tolist()]})
    moments = find_moments(told, inputs.frames)
    apart = [NEUTRAL_FRAME] * (len(pictures) - len(frames))
    window = np.concatenate([np.zeros(len(apart), bool), moments["in_window"].to_numpy(bool)])
    still = torch.zeros(len(pictures), dtype=torch.int64)
    return ViewBank(
        pictures=torch.from_numpy(pictures),
        neutral=still,
        sequence=still,
        frame=torch.tensor([*apart, *frames]),
        in_window=torch.from_numpy(window),
        sequences=(name,),
        views=tuple(render.angles),
    )


def texels_for(render: RenderOptions) -> int:
    """How many along the shorter side of a texture suffice for what is drawn."""
    from affect4d.rendering.rasteriser import TEXELS_PER_PIXEL  # what draws costs a second to load

    return TEXELS_PER_PIXEL * render.size


@functools.cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController()


def _one_thread() -> ThreadpoolController:
    return _pools().limit(limits=1)
