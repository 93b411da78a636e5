"""A whole corpus rendered: one immutable shard a sequence, named by the content it was made from.

A sequence that is there already is not rendered again; a corpus that is there already costs the reading of one table.
A scan that cannot be drawn, or that its process does not survive, costs itself, and is named in the report.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from affect4d.engine import IN_PROCESS, CodeMismatchError, EngineOptions, LostChunkError, map_chunks
from affect4d.rendering.cameras import RenderOptions
from affect4d.rendering.canary import CanaryError
from affect4d.rendering.pictures import RenderError
from affect4d.rendering.sequences import (
    Dropped,
    NothingDrawnError,
    RenderedSequence,
    SequenceJob,
    dropped_scan,
    render_sequence,
    rendering_version,
    try_scan,
)
from affect4d.scans.source import ScanSource
from affect4d.store import ContentStore, StoreFullError, content_key, file_digest, table_digest
from affect4d.store.disk import format_size
from affect4d.store.shards import drop_broken, read_header

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
    "stances",
)
Outcomes = dict[str, RenderedSequence | Exception]


def render_corpus(
    manifest: pd.DataFrame,
    where: Path | ScanSource,
    options: RenderOptions,
    store: ContentStore,
    engine: EngineOptions = IN_PROCESS,
) -> pd.DataFrame:
    """Render every usable scan of a corpus from every side.

    Args:
        manifest: The scan manifest, one row a usable scan.
        where: Folder its paths are relative to, or another source of raw scans.
        options: What to draw.
        store: Where shards are, and go.
        engine: Where the work is done.

    Returns:
        The view manifest, one row a sequence: ``sequence``, ``subject``, ``expression``, ``frames`` (list of frame
        numbers), ``neutral`` (position of the neutral frame in that list: the first that could be drawn), ``activity``
        (how far each frame's normals are from the neutral's, 0…1), ``shard``, ``checksum``, ``views``, ``angles``
        (degrees), ``size`` (pixels), ``stances`` (how many further ones there are).
        What was left out, and why: :func:`render_report`.

    Raises:
        ValueError: If there is nothing to render.
        CanaryError: If a graphics driver draws nonsense, or there is none.
        CodeMismatchError: If a worker has other code than the driver.
        RenderError: If nothing can be drawn, or more than ``options.max_failed_share`` of the scans failed.
        StoreFullError: If the disk is full.
    """
    if manifest.empty:
        raise ValueError("The scan manifest has no rows: look at the ingest report for what was refused, and why.")
    whole = f"view_manifests/{_manifest_key(manifest, options)}.parquet"
    known = _known_manifest(store, whole)
    if known is not None:
        dropped = [Dropped(*note) for note in known.attrs.get("dropped", [])]
        _check_dropped(dropped, len(manifest), options.max_failed_share)
        return known
    jobs = _jobs(manifest, where, options, store)
    outcomes = _render_jobs(jobs, store, engine)
    dropped = _dropped(jobs, outcomes)
    _check_dropped(dropped, len(manifest), options.max_failed_share)
    table = _view_manifest(jobs, outcomes, manifest, store)
    table.attrs["dropped"] = [list(note) for note in dropped]
    if all(note.lasting for note in dropped):
        with store.write(whole) as path:
            table.to_parquet(path)
    return table


def render_report(view_manifest: pd.DataFrame) -> pd.DataFrame:
    """Scans that a rendered corpus had to do without: ``sequence``, ``frame``, ``scan``, ``reason``, ``lasting``."""
    return pd.DataFrame(view_manifest.attrs.get("dropped", []), columns=list(Dropped._fields)).astype(
        {"sequence": "str", "frame": "int64", "scan": "str", "reason": "str", "lasting": "bool"}
    )


def _known_manifest(store: ContentStore, name: str) -> pd.DataFrame | None:
    """The view manifest of an earlier run, if it and every shard it names are still there."""
    if not store.has(name):
        return None
    table = pd.read_parquet(store.path(name))
    return table if all(_is_there(shard, store) for shard in table["shard"]) else None


def _is_there(shard: str, store: ContentStore) -> bool:
    """Whether a shard is there, whole; what a power cut left of one is removed, so that it is rendered again."""
    drop_broken(store.root / shard)
    return store.has(shard)


def _manifest_key(manifest: pd.DataFrame, options: RenderOptions) -> str:
    """Digest of everything a view manifest depends on."""
    rows = table_digest(manifest[["sequence", "subject", "expression", "frame", "checksum", "pose", "crop_radius"]])
    return content_key(rows=rows, options=options.drawn, views=list(options.angles), code=rendering_version())


def _jobs(
    manifest: pd.DataFrame, where: Path | ScanSource, options: RenderOptions, store: ContentStore
) -> list[SequenceJob]:
    ordered = manifest.sort_values(["sequence", "frame"])
    return [
        SequenceJob(str(sequence), tuple(map(_record, rows.to_dict("records"))), where, store, options)
        for sequence, rows in ordered.groupby("sequence", sort=True)
    ]


def _record(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def _render_jobs(jobs: Sequence[SequenceJob], store: ContentStore, engine: EngineOptions) -> Outcomes:
    """Find what is there, render what is not; look into what was lost scan by scan."""
    outcomes: Outcomes = {job.sequence: _found(job, store) for job in jobs if _is_there(job.shard, store)}
    missing = [job for job in jobs if job.sequence not in outcomes]
    outcomes.update(_render(missing, "rendering views", engine))
    lost = [job for job in missing if isinstance(outcomes[job.sequence], LostChunkError)]
    if lost:
        outcomes.update(_render_without_culprits(lost, engine))
    return outcomes


def _found(job: SequenceJob, store: ContentStore) -> RenderedSequence:
    """What a shard of an earlier run says of itself."""
    path = store.path(job.shard)
    header = {name: value for name, value in read_header(path).items() if name in VIEW_MANIFEST_COLUMNS}
    return RenderedSequence(job.shard, file_digest(path), path.stat().st_size, header, ())


def _render(jobs: Sequence[SequenceJob], description: str, engine: EngineOptions) -> Outcomes:
    """Render sequences; a driver that draws nonsense, other code, or a full disk, ends all of it at once.

    Raises:
        CanaryError: If a graphics driver draws nonsense.
        CodeMismatchError: If a worker has other code than the driver.
        StoreFullError: If the disk is full.
    """
    outcomes: Outcomes = {}
    with contextlib.closing(map_chunks(render_sequence, jobs, description, engine, scans=_scans)) as results:
        for job, result in results:
            if isinstance(result, CanaryError | CodeMismatchError):
                raise result
            if isinstance(result, StoreFullError):
                raise StoreFullError(f"{result} {_still_needed(jobs, outcomes)}") from result
            outcomes[job.sequence] = result
    return outcomes


def _render_without_culprits(lost: Sequence[SequenceJob], engine: EngineOptions) -> Outcomes:
    """Try every scan of the lost sequences alone; render each sequence without those that were lost again."""
    culprits: dict[str, list[Dropped]] = {job.sequence: [] for job in lost}
    singles = [single for job in lost for single in job.singly()]
    for single, result in map_chunks(try_scan, singles, "looking for the bad scan", engine, scans=_scans):
        if isinstance(result, LostChunkError):
            culprits[single.sequence].append(dropped_scan(single, single.rows[0], result))
    rest = [job.without(note.frame for note in culprits[job.sequence]) for job in lost]
    outcomes = _render([job for job in rest if job.rows], "rendering views again", engine)
    for sequence, outcome in outcomes.items():
        if isinstance(outcome, RenderedSequence):
            outcomes[sequence] = outcome._replace(dropped=(*culprits[sequence], *outcome.dropped))
        elif isinstance(outcome, NothingDrawnError):
            outcomes[sequence] = NothingDrawnError((*culprits[sequence], *outcome.dropped))
    alone = {job.sequence: NothingDrawnError(tuple(culprits[job.sequence])) for job in rest if not job.rows}
    return {**outcomes, **alone}


def _scans(job: SequenceJob) -> int:
    return len(job.rows)


def _still_needed(jobs: Sequence[SequenceJob], outcomes: Outcomes) -> str:
    """How much more room a batch needs, by what was written so far."""
    done = [outcome for outcome in outcomes.values() if isinstance(outcome, RenderedSequence)]
    left = sum(_scans(job) for job in jobs if job.sequence not in outcomes)
    if not done:
        return f"{left} scans are still to be rendered."
    need = left * sum(one.size for one in done) / sum(len(one.header["frames"]) for one in done)
    return f"The {left} scans still to be rendered need about {format_size(need)}."


def _dropped(jobs: Iterable[SequenceJob], outcomes: Outcomes) -> list[Dropped]:
    """Every scan that is in no picture: alone, or with its whole sequence."""
    notes: list[Dropped] = []
    for job in jobs:
        result = outcomes[job.sequence]
        if isinstance(result, RenderedSequence):
            notes += [_with_successor(note, result.header["frames"][0]) for note in result.dropped]
        elif isinstance(result, NothingDrawnError):
            notes += result.dropped
        else:
            notes += [dropped_scan(job, row, result) for row in job.rows]
    return notes


def _with_successor(note: Dropped, first: int) -> Dropped:
    """The note of a lost neutral frame says which one stands for it: motion is the difference to the first one left."""
    if note.frame > first:
        return note
    return note._replace(reason=f"{note.reason.rstrip('.')}. Frame {first} is taken for the neutral one.")


def _check_dropped(dropped: Sequence[Dropped], scans: int, allowed: float) -> None:
    if len(dropped) == scans or len(dropped) > allowed * scans:
        examples = "; ".join(f"{note.sequence}, frame {note.frame}: {note.reason}" for note in dropped[:3])
        rest = f" What could be is kept; if it is enough, raise render.max_failed_share (now {allowed:g})."
        raise RenderError(
            f"{len(dropped)} of {scans} scans could not be rendered. {examples}."
            + (rest if len(dropped) < scans else "")
        )


def _view_manifest(
    jobs: Iterable[SequenceJob], outcomes: Outcomes, manifest: pd.DataFrame, store: ContentStore
) -> pd.DataFrame:
    rows = [
        {"sequence": job.sequence, "shard": made.shard, "checksum": made.checksum, **made.header}
        for job in jobs
        if isinstance(made := outcomes[job.sequence], RenderedSequence)
    ]
    subjects = manifest.groupby("sequence")[["subject", "expression"]].first()
    return pd.DataFrame(rows).join(subjects, on="sequence")[list(VIEW_MANIFEST_COLUMNS)]
