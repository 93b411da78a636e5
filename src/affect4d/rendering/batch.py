"""A whole corpus rendered: one immutable shard a sequence, named by the content it was made from.

A shard is a safetensors file with ``texture`` and ``normals``, both uint8 ``[frames, views, height, width, 3]``; its
header says which frames they are and how much the face moves. A sequence that is there already is not rendered again; a
corpus that is there already costs the reading of one table.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float32, Float64, UInt8
from safetensors import safe_open
from safetensors.numpy import save_file

from affect4d.arrays import ViewStack
from affect4d.content import ContentStore, code_version, content_key, file_digest, table_digest
from affect4d.engine import map_chunks
from affect4d.rendering.cameras import RenderOptions
from affect4d.rendering.pictures import NORMALS_BACKGROUND, RenderError
from affect4d.scans.ingest import load_canonical_scan
from affect4d.scans.scan import FaceScan

if TYPE_CHECKING:
    from affect4d.rendering.rasteriser import Rasteriser

VIEW_MANIFEST_COLUMNS = (
    "sequence",
    "subject",
    "expression",
    "frames",
    "neutral",
    "activity",
    "shard",
    "checksum",
    "views",
    "angles",
    "size",
)
ACTIVITY_BLOCKS = 12
FRAMES_THAT_SHOW_NOISE = 4
LEAST_COVERAGE = 0.01


@dataclass(frozen=True, slots=True)
class SequenceJob:
    """One sequence to render: small enough to travel to another process.

    Attributes:
        sequence: Its name.
        rows: Its rows of the scan manifest, in order of frame.
        root: Folder of the raw corpus.
        store: Where the shard goes.
        shard: Name of the shard.
        options: What to draw.
    """

    sequence: str
    rows: tuple[dict[str, Any], ...]
    root: Path
    store: Path
    shard: str
    options: RenderOptions


def render_corpus(manifest: pd.DataFrame, root: Path, options: RenderOptions, store: ContentStore) -> pd.DataFrame:
    """Render every usable scan of a corpus from every side.

    Args:
        manifest: The scan manifest, one row a usable scan.
        root: Folder its paths are relative to.
        options: What to draw.
        store: Where shards are, and go.

    Returns:
        The view manifest, one row a sequence: ``sequence``, ``subject``, ``expression``, ``frames`` (list of frame
        numbers), ``neutral`` (position of the neutral frame in that list), ``activity`` (how far each frame's normals
        are from the neutral's, 0…1), ``shard``, ``checksum``, ``views``, ``angles`` (degrees), ``size`` (pixels).
        ``.attrs["failures"]`` maps the sequences that failed to the reason.

    Raises:
        ValueError: If there is nothing to render.
        RenderError: If nothing can be drawn, or more than ``options.max_failed_share`` of the sequences failed.
    """
    if manifest.empty:
        raise ValueError("The scan manifest has no rows: look at the ingest report for what was refused, and why.")
    whole = f"view_manifests/{_manifest_key(manifest, options)}.parquet"
    known = _known_manifest(store, whole)
    if known is not None:
        return known
    table = _render_jobs(_jobs(manifest, Path(root), options, store), manifest, options, store)
    if not table.attrs["failures"]:
        with store.write(whole) as path:
            table.to_parquet(path)
    return table


def _known_manifest(store: ContentStore, name: str) -> pd.DataFrame | None:
    """The view manifest of an earlier run, if it and every shard it names are still there."""
    if not store.has(name):
        return None
    table = pd.read_parquet(store.path(name))
    table.attrs["failures"] = {}
    return table if table["shard"].map(store.has).all() else None


def _manifest_key(manifest: pd.DataFrame, options: RenderOptions) -> str:
    """Digest of everything a view manifest depends on."""
    rows = table_digest(manifest[["sequence", "subject", "expression", "frame", "checksum", "pose", "crop_radius"]])
    return content_key(rows=rows, options=options.picture, code=rendering_version())


def rendering_version() -> str:
    """Digest of all code a picture depends on."""
    return code_version("arrays", "scans.scan", "scans.geometry", "scans.ingest", "scans.readers", "rendering")


def _jobs(manifest: pd.DataFrame, root: Path, options: RenderOptions, store: ContentStore) -> list[SequenceJob]:
    ordered = manifest.sort_values(["sequence", "frame"])
    jobs = []
    for sequence, rows in ordered.groupby("sequence", sort=True):
        scans = [_scan_identity(row) for row in rows.to_dict("records")]
        shard = f"views/{content_key(scans=scans, options=options.picture, code=rendering_version())}.safetensors"
        records = tuple(_record(row) for row in rows.to_dict("records"))
        jobs.append(SequenceJob(str(sequence), records, root, store.root, shard, options))
    return jobs


def _record(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def _scan_identity(row: Mapping[Any, Any]) -> list[Any]:
    """What a picture depends on of one scan: its frame number, its bytes, its pose and its crop."""
    pose = np.asarray(row["pose"], float).ravel().tolist()
    return [int(row["frame"]), str(row["checksum"]), pose, float(row["crop_radius"])]


def _render_jobs(
    jobs: list[SequenceJob], manifest: pd.DataFrame, options: RenderOptions, store: ContentStore
) -> pd.DataFrame:
    """Render what is missing, describe everything, count what failed."""
    checksums: dict[str, str] = {}
    failures: dict[str, str] = {}
    missing = [job for job in jobs if not store.has(job.shard)]
    for job, result in map_chunks(render_sequence, missing, "rendering views", options.workers):
        if isinstance(result, Exception):
            failures[job.sequence] = f"{type(result).__name__}: {result}"
        else:
            checksums[job.sequence] = result
    _check_failures(failures, len(jobs), options.max_failed_share)
    described = [_manifest_row(job, store, checksums) for job in jobs if job.sequence not in failures]
    subjects = manifest.groupby("sequence")[["subject", "expression"]].first()
    table = pd.DataFrame(described).join(subjects, on="sequence")[list(VIEW_MANIFEST_COLUMNS)]
    table.attrs["failures"] = failures
    return table


def _manifest_row(job: SequenceJob, store: ContentStore, checksums: Mapping[str, str]) -> dict[str, Any]:
    """What the shard says of itself; its checksum as its worker took it, or taken now."""
    path = store.path(job.shard)
    checksum = checksums.get(job.sequence) or file_digest(path)
    return {"sequence": job.sequence, "shard": job.shard, "checksum": checksum, **read_header(path)}


def _check_failures(failures: Mapping[str, str], total: int, allowed: float) -> None:
    if len(failures) == total or len(failures) > allowed * total:
        examples = "; ".join(f"{sequence}: {reason}" for sequence, reason in list(failures.items())[:3])
        raise RenderError(f"{len(failures)} of {total} sequences could not be rendered. {examples}")


def render_sequence(job: SequenceJob) -> str:
    """Render one sequence into its shard; return the shard's checksum.

    Raises:
        ScanError: If a scan cannot be read.
        RenderError: If a picture is empty, or the driver draws nonsense.
    """
    store = ContentStore(job.store)
    texture, normals = _draw(job)
    header = _describe([int(row["frame"]) for row in job.rows], normals, job.options)
    with store.write(job.shard, durable=False) as path:
        save_file({"texture": texture, "normals": normals}, path, metadata={"affect4d": json.dumps(header)})
    return file_digest(store.path(job.shard))


def _draw(job: SequenceJob) -> tuple[ViewStack, ViewStack]:
    rasteriser = checked_rasteriser(_as_text(job.options))
    pictures = [_draw_scan(rasteriser, job, row) for row in job.rows]
    return np.stack([each["texture"] for each in pictures]), np.stack([each["normals"] for each in pictures])


def _draw_scan(rasteriser: "Rasteriser", job: SequenceJob, row: Mapping[str, Any]) -> dict[str, np.ndarray]:
    pictures = rasteriser.render(load_canonical_scan(job.root, row))
    covered = (pictures["normals"] != NORMALS_BACKGROUND).any(axis=-1).mean(axis=(1, 2)).min()
    if covered < LEAST_COVERAGE:
        raise RenderError(
            f"{row['scan']}: a view shows no face ({covered:.1%} of its pixels). Its pose is probably wrong "
            f"(landmarks, or the unit): it stands outside the {job.options.window:g} mm window round the nose tip."
        )
    return pictures


def _describe(frames: list[int], normals: ViewStack, options: RenderOptions) -> dict[str, Any]:
    """The part of the view manifest that only the pictures know."""
    return {
        "frames": frames,
        "neutral": 0,
        "activity": [round(float(value), 6) for value in frame_activity(normals)],
        "views": list(options.angles),
        "angles": list(options.angles.values()),
        "size": options.size,
    }


def read_header(shard: Path) -> dict[str, Any]:
    """What a shard says of itself, without reading its pictures."""
    with safe_open(shard, framework="numpy") as file:
        return dict(json.loads(file.metadata()["affect4d"]))


def frame_activity(normals: UInt8[np.ndarray, "frames views height width 3"]) -> Float64[np.ndarray, " frames"]:
    """How far the face has moved since the first frame: root mean square difference of its normals, 0…1.

    [ours] Normals are averaged over blocks first, so that local noise goes and movement stays. What is left of the
    noise is what two successive frames differ by at least; its square is subtracted (from four frames on).
    """
    means = _block_means(normals)
    since_first = np.square(means - means[:1]).mean(axis=(1, 2, 3, 4))
    between = np.square(np.diff(means, axis=0)).mean(axis=(1, 2, 3, 4))
    noise = between.min() if len(means) >= FRAMES_THAT_SHOW_NOISE else 0.0
    return np.asarray(np.sqrt(np.maximum(since_first - noise, 0.0)) / 255.0, np.float64)


def _block_means(
    normals: UInt8[np.ndarray, "frames views height width 3"],
) -> Float32[np.ndarray, "frames views rows columns 3"]:
    """Averages over ``ACTIVITY_BLOCKS``² blocks; a remainder at the lower and right edge is left out."""
    frames, views, size = normals.shape[:3]
    block = size // ACTIVITY_BLOCKS
    inside = block * ACTIVITY_BLOCKS
    cut = normals[:, :, :inside, :inside].astype(np.float32)
    blocks = cut.reshape(frames, views, ACTIVITY_BLOCKS, block, ACTIVITY_BLOCKS, block, 3)
    return np.asarray(blocks.mean(axis=(3, 5)))


def _as_text(options: RenderOptions) -> str:
    return json.dumps(options.picture)


@functools.cache
def checked_rasteriser(options: str) -> "Rasteriser":
    """This process's rasteriser for these options (as JSON), tried on a square whose picture is known.

    Raises:
        RenderError: If the driver draws something else.
    """
    from affect4d.rendering.rasteriser import Rasteriser  # VTK costs a second

    rasteriser = Rasteriser(RenderOptions.model_validate_json(options))
    check_canary(rasteriser)
    return rasteriser


def check_canary(rasteriser: "Rasteriser") -> None:
    """Draw an untextured square that faces the front and fills every picture's middle; compare its middle pixel.

    Raises:
        RenderError: If the picture is not what it must be.
    """
    options = rasteriser.options
    half, depth = options.window / 2, -options.pivot_depth
    corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
    vertices = np.array([(x, y + options.centre_height, depth) for x, y in corners], np.float32)
    pictures = rasteriser.render(FaceScan(vertices, np.array([(0, 1, 2), (0, 2, 3)], np.int32)))
    middle = options.size // 2
    seen = [pictures[kind][:, middle, middle] for kind in ("texture", "normals")]
    expected = [(128, 128, 128), (128, 128, 255)]
    if any(np.abs(got.astype(int) - want).max() > 1 for got, want in zip(seen, expected, strict=True)):
        raise RenderError(
            f"The OpenGL driver draws a grey square as {seen[0].tolist()} and its normals as {seen[1].tolist()}. "
            "Choose another by VTK_DEFAULT_OPENGL_WINDOW: vtkEGLRenderWindow, vtkOSOpenGLRenderWindow."
        )
