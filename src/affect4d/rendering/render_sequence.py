"""Rendering of one sequence into one shard: the task of a worker process.

A scan that cannot be rendered is dropped and reported; the rest of the sequence gets a key of its own, so that a later
run renders the missing scan if it can.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from affect4d.rendering.cameras_and_render_backends import (
    OpenGLError,
    RenderedImages,
    Renderer,
    RenderError,
    shared_renderer,
)
from affect4d.rendering.channels import most_geometric, shows_face
from affect4d.rendering.options import RenderOptions
from affect4d.rendering.shards import ShardWriter, drop_broken, pose_channel
from affect4d.scans.ingest import load_canonical_scan
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.scans.scan_source_and_corpus_folder import ScanSource
from affect4d.store import ContentStore, code_version, content_key, file_digest

LEAST_COVERAGE = 0.01
ACTIVITY_BLOCKS = 12
FRAMES_TO_ESTIMATE_NOISE = 4


@dataclass(frozen=True, slots=True)
class RenderJob:
    """One sequence to render: its rows of the scan manifest in order of frame."""

    sequence: str
    rows: tuple[dict[str, Any], ...]
    source: ScanSource
    store: ContentStore
    options: RenderOptions

    @property
    def shard(self) -> str:
        """Name of the shard: a digest of everything its images depend on."""
        scans = [scan_identity(row) for row in self.rows]
        views = list(self.options.angles)  # a key sorts names; images are stored in the order of the angles
        key = content_key(scans=scans, options=self.options.cache_options, views=views, code=rendering_version())
        return f"views/{key}.safetensors"

    def per_scan(self) -> "list[RenderJob]":
        """A job for each scan, to find those that crash their process."""
        return [replace(self, rows=(row,)) for row in self.rows]


class DroppedScan(NamedTuple):
    """A scan that was not rendered; ``lasting`` if it will fail every time (an empty image), not by accident."""

    sequence: str
    frame: int
    scan: str
    reason: str
    lasting: bool


class EmptySequenceError(RenderError):
    """No scan of a sequence can be rendered; ``dropped`` lists them."""

    def __init__(self, dropped: tuple[DroppedScan, ...]) -> None:
        self.dropped = dropped
        super().__init__(f"none of its {len(dropped)} scans can be rendered; {dropped[0].scan}: {dropped[0].reason}")

    def __reduce__(self) -> tuple[type["EmptySequenceError"], tuple[tuple[DroppedScan, ...]]]:
        return type(self), (self.dropped,)


class RenderedSequence(NamedTuple):
    """A worker's result: the shard (name, digest, bytes), its columns of the view manifest, and dropped scans."""

    shard: str
    checksum: str
    size: int
    header: dict[str, Any]
    dropped: tuple[DroppedScan, ...]


def rendering_version() -> str:
    """Digest of all code a shard depends on."""
    return code_version(__name__)


def scan_identity(row: Mapping[str, Any]) -> list[Any]:
    """Everything that a scan's images depend on: its frame number, its bytes, its pose and its crop."""
    pose = np.asarray(row["pose"], float).ravel().tolist()
    return [int(row["frame"]), str(row["checksum"]), pose, float(row["crop_radius"])]


def dropped_scan(job: RenderJob, row: Mapping[str, Any], error: Exception) -> DroppedScan:
    """The record of a scan that ended in an error."""
    known = isinstance(error, ScanError | RenderError)
    reason = str(error) if known else f"{type(error).__name__}: {error}"
    return DroppedScan(job.sequence, int(row["frame"]), str(row["scan"]), reason, isinstance(error, RenderError))


def render_sequence(job: RenderJob) -> RenderedSequence:
    """Render one sequence into its shard, less the scans that cannot be rendered.

    Raises:
        OpenGLError: If OpenGL is missing or broken.
        EmptySequenceError: If no scan of it can be rendered.
        StoreFullError: If the shard does not fit on the disk.
    """
    writer, rendered, means, dropped = ShardWriter(), [], [], []
    for row in job.rows:
        try:
            images = render_scan(job, row)
        except OpenGLError:
            raise
        except (ScanError, RenderError) as error:
            dropped.append(dropped_scan(job, row, error))
            continue
        writer.add(images)
        rendered.append(row)
        means.append(block_means(images))
    if not means:
        raise EmptySequenceError(tuple(dropped))
    kept = replace(job, rows=tuple(rendered))
    header = _manifest_columns(kept, frame_activity(means))
    drop_broken(job.store.root / kept.shard)
    with job.store.write(kept.shard, durable=False) as path:
        writer.save(path, header)
        checksum, size = file_digest(path), path.stat().st_size
    return RenderedSequence(kept.shard, checksum, size, header, tuple(dropped))


def try_scan(job: RenderJob) -> None:
    """Render the only scan of a job and discard it, to see whether its process survives."""
    render_scan(job, job.rows[0])


def render_scan(job: RenderJob, row: Mapping[str, Any]) -> RenderedImages:
    """All images of a scan; those of further head poses as ``channel~1``. Raises ``ScanError`` or ``RenderError``."""
    renderer, seed = shared_renderer(job.options), str(job.rows[0]["checksum"])
    face = load_canonical_scan(job.source, row, renderer.texels)
    images = render_face(renderer, face, str(row["scan"]))
    for number in range(1, job.options.head_poses + 1):
        posed = renderer.render(set_head_pose(face, seed, number, job.options))
        images.update({pose_channel(channel, number): stack for channel, stack in posed.items()})
    return images


def pose_rotation(seed: str, number: int, degrees: float) -> Float64[np.ndarray, "3 3"]:
    """Rotation of head pose ``number`` (0: canonical): normal yaw and pitch, the same for a sequence's seed [ours]."""
    if not number:
        return np.eye(3)
    yaw, pitch = np.radians(np.random.default_rng([number, zlib.crc32(seed.encode())]).normal(0.0, degrees, 2))
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    return np.asarray(about_x @ about_y)


def set_head_pose(face: FaceScan, seed: str, number: int, options: RenderOptions) -> FaceScan:
    """A canonical face in a head pose, rotated about the cameras' target."""
    pivot = np.array([0.0, options.centre_height, -options.pivot_depth])
    rotation = pose_rotation(seed, number, options.head_pose_degrees)
    vertices = (face.vertices - pivot) @ rotation.T + pivot
    return replace(face, vertices=vertices.astype(np.float32), landmarks=None)


def render_face(renderer: Renderer, face: FaceScan, name: str) -> RenderedImages:
    """All images of a canonical face; ``name`` is for messages. RenderError if a view shows no face."""
    images = renderer.render(face)
    covered = float(shows_face(images, renderer.options).mean(axis=(1, 2)).min())
    if covered < LEAST_COVERAGE:
        raise RenderError(
            f"{name}: a view shows no face ({covered:.1%} of its pixels). Its pose is probably wrong (landmarks, or "
            f"the unit): it is outside the {renderer.options.window:g} mm window round the nose tip."
        )
    return images


def _manifest_columns(job: RenderJob, activity: np.ndarray) -> dict[str, Any]:
    return {
        "frames": [int(row["frame"]) for row in job.rows],
        "neutral": 0,
        "activity": [round(float(value), 6) for value in activity],
        "views": list(job.options.angles),
        "angles": list(job.options.angles.values()),
        "pitches": [job.options.pitch(view) for view in job.options.angles],
        "size": job.options.size,
        "head_poses": job.options.head_poses,
    }


def block_means(images: Mapping[str, np.ndarray]) -> Float32[np.ndarray, "views rows columns components"]:
    """One frame's most geometric channel, 0…1, averaged over a square grid of blocks (remaining edges are cut off)."""
    stack = images[most_geometric(images)]
    views, size = stack.shape[:2]
    block = size // ACTIVITY_BLOCKS
    inside = block * ACTIVITY_BLOCKS
    rows = stack[:, :inside, :inside].reshape(views, ACTIVITY_BLOCKS, block, -1)
    sums = rows.sum(axis=2, dtype=np.uint32).reshape(views, ACTIVITY_BLOCKS, ACTIVITY_BLOCKS, block, -1).sum(axis=3)
    return np.asarray(sums / (block**2 * np.iinfo(stack.dtype).max), np.float32)


def frame_activity(
    means: Sequence[Float32[np.ndarray, "views rows columns components"]],
) -> Float64[np.ndarray, " frames"]:
    """Movement since the first frame: root mean square difference of :func:`block_means`, 0…1.

    [ours] Averages over blocks suppress local noise. The remaining noise is the smallest difference of two successive
    frames; its square is subtracted (from four frames on).
    """
    frames = np.stack(list(means))
    since_first = np.square(frames - frames[:1]).mean(axis=(1, 2, 3, 4))
    between = np.square(np.diff(frames, axis=0)).mean(axis=(1, 2, 3, 4))
    noise = between.min() if len(frames) >= FRAMES_TO_ESTIMATE_NOISE else 0.0
    return np.asarray(np.sqrt(np.maximum(since_first - noise, 0.0)), np.float64)
