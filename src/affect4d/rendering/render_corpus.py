"""Rendering of a corpus: one immutable shard per sequence, named by its content; scans that fail are dropped alone."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pandas as pd

from affect4d.parallel import IN_PROCESS, EngineOptions, LostChunkError, map_excluding_failures
from affect4d.rendering.cameras_and_render_backends import OpenGLError, RenderError
from affect4d.rendering.options import RenderOptions
from affect4d.rendering.render_sequence import (
    DroppedScan,
    EmptySequenceError,
    RenderedSequence,
    RenderJob,
    dropped_scan,
    render_sequence,
    rendering_version,
    try_scan,
)
from affect4d.rendering.shards import drop_broken, read_header
from affect4d.scans.scan_source_and_corpus_folder import ScanSource
from affect4d.store import ContentStore, StoreFullError, content_key, file_digest, table_digest
from affect4d.store.content_store import format_size

VIEW_MANIFEST_COLUMNS = (
    *("sequence", "subject", "expression", "frames", "neutral", "activity"),
    *("shard", "checksum", "views", "angles", "size", "head_poses"),
)
RenderOutcomes = dict[str, RenderedSequence | Exception]


def render_corpus(
    manifest: pd.DataFrame,
    source: ScanSource,
    options: RenderOptions,
    store: ContentStore,
    engine: EngineOptions = IN_PROCESS,
) -> pd.DataFrame:
    """Render every usable scan of a corpus from every view.

    Returns:
        The view manifest, one row a sequence: ``sequence``, ``subject``, ``expression``, ``frames`` (list of frame
        numbers), ``neutral`` (position in that list of the neutral frame: the first that could be rendered),
        ``activity`` (how far each frame is from the neutral, 0…1), ``shard``, ``checksum``, ``views``, ``angles``
        (degrees), ``size`` (pixels), ``head_poses`` (how many further ones). Dropped scans: :func:`render_report`.

    Raises:
        ValueError: If there is nothing to render.
        OpenGLError: If OpenGL is missing or broken.
        CodeMismatchError: If a worker's code differs from the driver's.
        RenderError: If nothing can be rendered, or more than ``options.max_failed_share`` of the scans failed.
        StoreFullError: If the disk is full.
    """
    if manifest.empty:
        raise ValueError("The scan manifest has no rows: the ingest report lists the refused scans and their reasons.")
    name = f"view_manifests/{_manifest_key(manifest, options)}.parquet"
    known = _known_manifest(store, name)
    if known is not None:
        dropped = [DroppedScan(*scan) for scan in known.attrs.get("dropped", [])]
        _check_dropped(dropped, len(manifest), options.max_failed_share)
        return known
    jobs = _jobs(manifest, source, options, store)
    outcomes = _render_jobs(jobs, store, engine)
    dropped = _dropped(jobs, outcomes)
    _check_dropped(dropped, len(manifest), options.max_failed_share)
    table = _view_manifest(jobs, outcomes, manifest, store)
    table.attrs["dropped"] = [list(scan) for scan in dropped]
    if all(scan.lasting for scan in dropped):
        with store.write(name) as path:
            table.to_parquet(path)
    return table


def render_report(view_manifest: pd.DataFrame) -> pd.DataFrame:
    """Dropped scans of a rendered corpus: ``sequence``, ``frame``, ``scan``, ``reason``, ``lasting``."""
    return pd.DataFrame(view_manifest.attrs.get("dropped", []), columns=list(DroppedScan._fields)).astype(
        {"sequence": "str", "frame": "int64", "scan": "str", "reason": "str", "lasting": "bool"}
    )


def _known_manifest(store: ContentStore, name: str) -> pd.DataFrame | None:
    """The view manifest of an earlier run, if it and all its shards still exist."""
    if not store.has(name):
        return None
    table = pd.read_parquet(store.path(name))
    return table if all(_is_there(shard, store) for shard in table["shard"]) else None


def _is_there(shard: str, store: ContentStore) -> bool:
    """Whether a shard exists; one that a power cut truncated is removed, so that it is rendered again."""
    drop_broken(store.root / shard)
    return store.has(shard)


def _manifest_key(manifest: pd.DataFrame, options: RenderOptions) -> str:
    rows = table_digest(manifest[["sequence", "subject", "expression", "frame", "checksum", "pose", "crop_radius"]])
    return content_key(rows=rows, options=options.cache_options, views=list(options.angles), code=rendering_version())


def _jobs(manifest: pd.DataFrame, source: ScanSource, options: RenderOptions, store: ContentStore) -> list[RenderJob]:
    ordered = manifest.sort_values(["sequence", "frame"])
    return [
        RenderJob(str(sequence), tuple(rows.to_dict("records")), source, store, options)  # type: ignore[arg-type]  # str keys
        for sequence, rows in ordered.groupby("sequence", sort=True)
    ]


def _render_jobs(jobs: Sequence[RenderJob], store: ContentStore, engine: EngineOptions) -> RenderOutcomes:
    """Find existing shards and render missing ones, less the scans that crash their process."""
    outcomes: RenderOutcomes = {job.sequence: _found(job, store) for job in jobs if _is_there(job.shard, store)}
    missing = [job for job in jobs if job.sequence not in outcomes]
    rendered = map_excluding_failures(
        render_sequence,
        missing,
        "rendering views",
        engine,
        split=RenderJob.per_scan,
        join=lambda job, parts: replace(job, rows=tuple(part.rows[0] for part in parts)),
        probe=try_scan,
        retried=LostChunkError,
        fatal=(OpenGLError,),
        scans=lambda job: len(job.rows),
    )
    with contextlib.closing(rendered):
        for job, result, excluded in rendered:
            if isinstance(result, StoreFullError):
                raise StoreFullError(f"{result} {_still_needed(missing, outcomes)}") from result
            crashing = tuple(dropped_scan(part, part.rows[0], error) for part, error in excluded)
            outcomes[job.sequence] = _with_crashing(result, crashing)
    return outcomes


def _with_crashing(
    result: RenderedSequence | Exception | None, crashing: tuple[DroppedScan, ...]
) -> RenderedSequence | Exception:
    if result is None:
        return EmptySequenceError(crashing)
    if isinstance(result, RenderedSequence):
        return result._replace(dropped=(*crashing, *result.dropped))
    return EmptySequenceError((*crashing, *result.dropped)) if isinstance(result, EmptySequenceError) else result


def _found(job: RenderJob, store: ContentStore) -> RenderedSequence:
    path = store.path(job.shard)
    header = {name: value for name, value in read_header(path).items() if name in VIEW_MANIFEST_COLUMNS}
    return RenderedSequence(job.shard, file_digest(path), path.stat().st_size, header, ())


def _still_needed(jobs: Sequence[RenderJob], outcomes: RenderOutcomes) -> str:
    """Remaining scans and the disk space they need, estimated from the shards written so far."""
    done = [outcome for outcome in outcomes.values() if isinstance(outcome, RenderedSequence)]
    left = sum(len(job.rows) for job in jobs if job.sequence not in outcomes)
    if not done:
        return f"{left} scans are still to be rendered."
    need = left * sum(one.size for one in done) / sum(len(one.header["frames"]) for one in done)
    return f"The {left} scans still to be rendered need about {format_size(need)}."


def _dropped(jobs: Iterable[RenderJob], outcomes: RenderOutcomes) -> list[DroppedScan]:
    """Every scan that was not rendered, alone or with its whole sequence."""
    dropped: list[DroppedScan] = []
    for job in jobs:
        result = outcomes[job.sequence]
        if isinstance(result, RenderedSequence):
            dropped += [_with_successor(scan, result.header["frames"][0]) for scan in result.dropped]
        elif isinstance(result, EmptySequenceError):
            dropped += result.dropped
        else:
            dropped += [dropped_scan(job, row, result) for row in job.rows]
    return dropped


def _with_successor(scan: DroppedScan, first: int) -> DroppedScan:
    """The reason of a dropped neutral frame names its replacement: the first rendered frame."""
    if scan.frame > first:
        return scan
    return scan._replace(reason=f"{scan.reason.rstrip('.')}. Frame {first} is taken for the neutral one.")


def _check_dropped(dropped: Sequence[DroppedScan], scans: int, allowed: float) -> None:
    if len(dropped) == scans or len(dropped) > allowed * scans:
        examples = "; ".join(f"{scan.sequence}, frame {scan.frame}: {scan.reason}" for scan in dropped[:3])
        rest = f" The rendered ones are kept; if they are enough, raise render.max_failed_share (now {allowed:g})."
        raise RenderError(
            f"{len(dropped)} of {scans} scans could not be rendered. {examples}."
            + (rest if len(dropped) < scans else "")
        )


def _view_manifest(
    jobs: Iterable[RenderJob], outcomes: RenderOutcomes, manifest: pd.DataFrame, store: ContentStore
) -> pd.DataFrame:
    rows = [
        {"sequence": job.sequence, "shard": made.shard, "checksum": made.checksum, **made.header}
        for job in jobs
        if isinstance(made := outcomes[job.sequence], RenderedSequence)
    ]
    subjects = manifest.groupby("sequence")[["subject", "expression"]].first()
    return pd.DataFrame(rows).join(subjects, on="sequence")[list(VIEW_MANIFEST_COLUMNS)]
