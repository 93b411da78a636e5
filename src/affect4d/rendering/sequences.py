"""Rendering one sequence into one shard: what a worker process does.

A scan that cannot be drawn is dropped, and named; the sequence goes on without it, under a key of its own, so that a
run that can draw it later does.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from affect4d.rendering.activity import TELLING, block_means, frame_activity
from affect4d.rendering.cameras import RenderOptions
from affect4d.rendering.canary import CanaryError, as_text, checked_rasteriser
from affect4d.rendering.pictures import DEPTH_BACKGROUND, NORMALS_BACKGROUND, RenderError
from affect4d.rendering.stances import in_stance
from affect4d.scans.ingest import load_canonical_scan
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.scans.source import ScanSource
from affect4d.store import ContentStore, code_version, content_key, file_digest
from affect4d.store.shards import ShardWriter, drop_broken, stance_channel

if TYPE_CHECKING:
    from affect4d.rendering.rasteriser import Rasteriser

LEAST_COVERAGE = 0.01
Row = Mapping[str, Any]
Pictures = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class SequenceJob:
    """One sequence to render: small enough to travel to another process.

    Attributes:
        sequence: Its name.
        rows: Its rows of the scan manifest, in order of frame.
        where: Folder of the raw corpus, or another source of raw scans.
        store: Where the shard goes.
        options: What to draw.
    """

    sequence: str
    rows: tuple[dict[str, Any], ...]
    where: Path | ScanSource
    store: ContentStore
    options: RenderOptions

    @property
    def shard(self) -> str:
        """Name of the shard: a digest of all its pictures depend on."""
        scans = [scan_identity(row) for row in self.rows]
        views = list(self.options.angles)  # a key sorts the names of the angles; pictures lie in their order
        key = content_key(scans=scans, options=self.options.drawn, views=views, code=rendering_version())
        return f"views/{key}.safetensors"

    def without(self, frames: Iterable[int]) -> "SequenceJob":
        """The same job less some frames."""
        left_out = set(frames)
        return replace(self, rows=tuple(row for row in self.rows if int(row["frame"]) not in left_out))

    def singly(self) -> "list[SequenceJob]":
        """A job for each scan, to find out which of them a process does not survive."""
        return [replace(self, rows=(row,)) for row in self.rows]


class Dropped(NamedTuple):
    """A scan that is in no picture.

    Attributes:
        sequence: Its sequence.
        frame: Its frame number.
        scan: Its place in the corpus.
        reason: Why.
        lasting: Whether it will be so every time (the picture is empty), or may have been an accident.
    """

    sequence: str
    frame: int
    scan: str
    reason: str
    lasting: bool


class NothingDrawnError(RenderError):
    """No scan of a sequence can be drawn.

    Attributes:
        dropped: A note for each of them, which knows whether it may have been an accident.
    """

    def __init__(self, dropped: tuple[Dropped, ...]) -> None:
        self.dropped = dropped
        super().__init__(f"none of its {len(dropped)} scans can be drawn; {dropped[0].scan}: {dropped[0].reason}")

    def __reduce__(self) -> tuple[type["NothingDrawnError"], tuple[tuple[Dropped, ...]]]:
        """Travel between processes whole."""
        return type(self), (self.dropped,)


class RenderedSequence(NamedTuple):
    """What a worker tells of a sequence.

    Attributes:
        shard: Name in the store.
        checksum: Of the shard.
        size: Its bytes.
        header: What the view manifest says of it.
        dropped: Scans it had to do without.
    """

    shard: str
    checksum: str
    size: int
    header: dict[str, Any]
    dropped: tuple[Dropped, ...]


def rendering_version() -> str:
    """Digest of all code a shard depends on."""
    return code_version(__name__)


def scan_identity(row: Row) -> list[Any]:
    """What a picture depends on of one scan: its frame number, its bytes, its pose and its crop."""
    pose = np.asarray(row["pose"], float).ravel().tolist()
    return [int(row["frame"]), str(row["checksum"]), pose, float(row["crop_radius"])]


def dropped_scan(job: SequenceJob, row: Row, error: Exception) -> Dropped:
    """The note of a scan that ended in an error."""
    known = isinstance(error, ScanError | RenderError)
    reason = str(error) if known else f"{type(error).__name__}: {error}"
    return Dropped(job.sequence, int(row["frame"]), str(row["scan"]), reason, isinstance(error, RenderError))


def render_sequence(job: SequenceJob) -> RenderedSequence:
    """Render one sequence into its shard, less the scans that cannot be drawn.

    Raises:
        CanaryError: If the driver draws nonsense.
        NothingDrawnError: If no scan of it can be drawn.
        StoreFullError: If the shard does not fit on the disk.
    """
    writer, means, dropped = ShardWriter(), [], []
    for row in job.rows:
        try:
            pictures = draw_scan(job, row)
        except CanaryError:
            raise
        except (ScanError, RenderError) as error:
            dropped.append(dropped_scan(job, row, error))
            continue
        writer.add(pictures)
        means.append(block_means(pictures))
    if not means:
        raise NothingDrawnError(tuple(dropped))
    kept = job.without(note.frame for note in dropped)
    header = _describe(kept, frame_activity(means))
    drop_broken(job.store.root / kept.shard)
    with job.store.write(kept.shard, durable=False) as path:
        writer.save(path, header)
        checksum, size = file_digest(path), path.stat().st_size
    return RenderedSequence(kept.shard, checksum, size, header, tuple(dropped))


def try_scan(job: SequenceJob) -> None:
    """Draw the only scan of a job and forget it: whoever waits learns whether a process survives that.

    Raises:
        ScanError: If it cannot be read.
        RenderError: If its picture is empty.
    """
    draw_scan(job, job.rows[0])


def draw_scan(job: SequenceJob, row: Row) -> Pictures:
    """All pictures of a scan: channel → ``[views, height, width, components]``; in further stances as ``channel~1``.

    Raises:
        ScanError: If it cannot be read.
        RenderError: If a picture is empty, or the driver draws nonsense.
    """
    rasteriser, take = checked_rasteriser(as_text(job.options)), str(job.rows[0]["checksum"])
    face = load_canonical_scan(job.where, row, rasteriser.texels)
    pictures = draw_face(rasteriser, face, str(row["scan"]))
    for number in range(1, job.options.stances + 1):
        turned = rasteriser.render(in_stance(face, take, number, job.options))
        pictures.update({stance_channel(channel, number): stack for channel, stack in turned.items()})
    return pictures


def draw_face(rasteriser: "Rasteriser", face: FaceScan, name: str) -> Pictures:
    """All pictures of a canonical face: channel → ``[views, height, width, components]``.

    Args:
        rasteriser: What draws.
        face: In the canonical frame.
        name: Of the scan, for messages.

    Raises:
        RenderError: If a view shows no face.
    """
    pictures: Pictures = rasteriser.render(face)
    covered = float(_shows_face(pictures, rasteriser.options).mean(axis=(1, 2)).min())
    if covered < LEAST_COVERAGE:
        raise RenderError(
            f"{name}: a view shows no face ({covered:.1%} of its pixels). Its pose is probably wrong "
            f"(landmarks, or the unit): it stands outside the {rasteriser.options.window:g} mm window round the nose "
            "tip."
        )
    return pictures


def _shows_face(pictures: Pictures, options: RenderOptions) -> np.ndarray:
    """Where a picture is not its channel's background, ``[views, height, width]``."""
    channel = next(name for name in TELLING if name in pictures)
    background = {"normals": NORMALS_BACKGROUND, "depth": DEPTH_BACKGROUND}.get(channel, options.background)
    differs = np.moveaxis(pictures[channel] != np.asarray(background), -1, 0)
    return functools.reduce(np.logical_or, differs)  # five times as fast as any() over three components


def _describe(job: SequenceJob, activity: np.ndarray) -> dict[str, Any]:
    """What the view manifest says of a shard."""
    return {
        "frames": [int(row["frame"]) for row in job.rows],
        "neutral": 0,
        "activity": [round(float(value), 6) for value in activity],
        "views": list(job.options.angles),
        "angles": list(job.options.angles.values()),
        "pitches": [job.options.pitch(view) for view in job.options.angles],
        "size": job.options.size,
        "stances": job.options.stances,
    }
