"""From a raw corpus folder to a validated manifest and a report of what was mended or refused, and why.

Nothing is copied: a canonical scan is its raw bytes plus the recorded pose and crop (:func:`load_canonical_scan`).
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import replace as with_changes
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from affect4d.parallel import IN_PROCESS, EngineOptions, LostChunkError, map_splitting_failures
from affect4d.scans.corpora import corpus_named
from affect4d.scans.corpora.completeness import COLUMNS as COMPLETENESS_COLUMNS
from affect4d.scans.corpora.completeness import completeness
from affect4d.scans.corpora.folder import named_after_expressions
from affect4d.scans.ingest_cache import OutcomeRow, Portion, divide, find_outcomes, keep_outcomes, outcome_table
from affect4d.scans.ingest_report import BETWEEN_NOTES, REPORT_COLUMNS, ingest_report
from affect4d.scans.manifest import SCAN_MANIFEST, landmarks_in, pose_in
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.scans.scan_source import FileSource, ScanSource, as_source
from affect4d.store import ContentStore, code_version, content_key, file_digest

if TYPE_CHECKING:
    from affect4d.scans.alignment import Alignment, RepairedScan

TEXELS = 16
"""Of a texture, in ingest: it is decoded to its last byte, so that a damaged one is found, and not looked at."""
ACCIDENTS = LOST, FAILED = "worker-lost", "failed"
"""What became of a scan that was not judged: its process died, or it ended in an error nobody foresaw."""
JUDGING = ("max_refused_share",)
"""Options that change no scan's outcome."""


class IngestOptions(BaseModel):
    """How a corpus is taken in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    crop_radius: float = Field(default=95.0, gt=20, le=400, description="What is kept around the nose tip, in mm.")
    max_refused_share: float = Field(default=0.2, ge=0, le=1, description="Above it, the corpus itself is refused.")


@dataclass(frozen=True, slots=True)
class Ingest:
    """What a corpus gave.

    Attributes:
        manifest: Usable scans, as :data:`~affect4d.scans.manifest.SCAN_MANIFEST`.
        report: One row a scan, usable or not, as :data:`~affect4d.scans.ingest_report.REPORT_COLUMNS`.
        completeness: What of the corpus is there, as :func:`~affect4d.scans.corpora.completeness.completeness` says;
            no rows for a corpus that is not made of files.
    """

    manifest: pd.DataFrame
    report: pd.DataFrame
    completeness: pd.DataFrame


class CorpusRefusedError(ValueError):
    """A corpus with no, or too few, usable scans; names the folder, the top reasons and the remedy."""


def ingest_corpus(
    root: Path, layout: str, options: IngestOptions, store: ContentStore, engine: EngineOptions = IN_PROCESS
) -> Ingest:
    """Take in a corpus folder: :func:`ingest_source` of its files.

    Args:
        root: The corpus folder.
        layout: Name of one of :data:`~affect4d.scans.corpora.CORPORA`.
        store: Where the result is kept.
        engine: Where scans are read.

    Raises:
        FileNotFoundError: If the folder is missing or empty.
        ValueError: If the layout is unknown.
        CorpusRefusedError: If no scan is found or usable, or more than ``max_refused_share`` are refused.
    """
    return ingest_source(FileSource(root, layout), options, store, engine)


def ingest_source(
    source: ScanSource, options: IngestOptions, store: ContentStore, engine: EngineOptions = IN_PROCESS
) -> Ingest:
    """Read, check and align every scan of a source that no earlier run has; what is read is kept as it comes.

    Args:
        store: Where the result is kept, and its portions.
        engine: Where scans are read.

    Raises:
        CorpusRefusedError: If no scan is found or usable, more than ``max_refused_share`` are refused, folders of
            expressions are taken for people, or nothing says whose face numbered scans show.
        CodeMismatchError: If a worker has other code than the driver.
    """
    key = "ingest-" + _key(source, options)
    if store.has(key):
        ingest = _load(store, key)
        _check_refused(source, ingest, options)
        return ingest
    scans = source.table()
    if scans.empty:
        raise CorpusRefusedError(source.explain_absence())
    if len(mistaken := named_after_expressions(scans["subject"])) > 1:
        raise CorpusRefusedError(
            f"The outermost folders are taken for people, and some are named after expressions: {', '.join(mistaken)}. "
            "Say who is who in scans.csv, or by a pattern in conf/local/globals.yml: "
            "corpus_patterns: {folder: '{expression}/{subject}/{frame}.obj'}"
        )
    if numbered := scans.attrs.get("numbered"):
        raise CorpusRefusedError(
            f"{len(numbered)} scans lie at the top of the folder and differ by a number only ({numbered[0]} … "
            f"{numbered[-1]}): frames of one person, or as many people? Put each person's scans into a folder of "
            "their own, named after the person (anna/happy/0001.obj), or say who is who in scans.csv."
        )
    ingest = _take_in(source, scans, options, store, engine)
    _check_refused(source, ingest, options)
    if ingest.report["code"].isin(ACCIDENTS).any():  # the next run reads these again
        return ingest
    _save(ingest, store, key)
    return _load(store, key)


def load_canonical_scan(where: Path | ScanSource, row: Any, texels: int = 0) -> FaceScan:
    """Read the raw scan of a manifest row again; move, crop and mend it as ingest did.

    Args:
        where: The corpus folder, or another source of raw scans.
        row: A manifest row (mapping, Series or named tuple as a dict).
        texels: How many suffice along the shorter side of the texture; 0 for all.

    Returns:
        The face in the canonical frame, triangles counter-clockwise seen from outside, with texture and landmarks.

    Raises:
        ScanError: If the file is no usable scan any more, or nothing of it is left after the crop.
    """
    from affect4d.scans.alignment import canonical_face  # scipy costs half a second

    source = as_source(where)
    try:
        raw = source.read(row, landmarks=False, texels=texels)
        face = canonical_face(raw, pose_in(row), float(row["crop_radius"]))
    except ValueError as error:
        if isinstance(error, ScanError):
            raise
        raise ScanError("empty-crop", source.locate(row), str(error)) from error
    return with_changes(face.scan, landmarks=landmarks_in(row))


def _key(source: ScanSource, options: IngestOptions) -> str:
    settings = options.model_dump(exclude=set(JUDGING))
    return content_key(source=source.fingerprint(), options=settings, code=code_version(__name__))


def _take_in(
    source: ScanSource, scans: pd.DataFrame, options: IngestOptions, store: ContentStore, engine: EngineOptions
) -> Ingest:
    """Read what no earlier run has read; the report names the portions it is made of, so that a prune spares them."""
    portions = divide(source, scans, options.crop_radius)
    found = {portion.name: find_outcomes(portion, store) for portion in portions}
    missing = [portion for portion in portions if found[portion.name] is None]
    read = _read_portions(source, missing, options.crop_radius, store, engine)
    outcomes = pa.concat_tables(read.get(portion.name, found[portion.name]) for portion in portions)
    report = ingest_report(outcomes.select(list(REPORT_COLUMNS)).to_pandas())
    report.attrs["portions"] = [portion.name for portion in portions]
    return Ingest(_manifest(outcomes), report, _completeness(source, scans))


def _read_portions(
    source: ScanSource, portions: list[Portion], crop_radius: float, store: ContentStore, engine: EngineOptions
) -> dict[str, pa.Table]:
    """Outcomes of every scan, by portion; a sequence that fails is read again scan by scan."""
    task = functools.partial(ingest_sequence, source, crop_radius)
    collection = _Collection(portions, store)
    chunks = [chunk for portion in portions for chunk in portion.chunks()]
    results = map_splitting_failures(task, chunks, "reading scans", engine, split=_single_scans, scans=len)
    for chunk, result in results:
        collection.add([_unread(scan, result) for scan in chunk] if isinstance(result, Exception) else result)
    return collection.complete


def _single_scans(chunk: list[OutcomeRow]) -> list[list[OutcomeRow]]:
    return [[scan] for scan in chunk]


class _Collection:
    """Outcomes in order of arrival; a portion is stored once all of its scans are there, unless one crashed."""

    def __init__(self, portions: Iterable[Portion], store: ContentStore) -> None:
        self._portions = {sequence: portion for portion in portions for sequence in portion.scans["sequence"].unique()}
        self._store = store
        self._rows: dict[str, list[OutcomeRow]] = {}
        self.complete: dict[str, pa.Table] = {}

    def add(self, outcomes: list[OutcomeRow]) -> None:
        """Add outcomes of one sequence."""
        portion = self._portions[outcomes[0]["sequence"]]
        rows = self._rows.setdefault(portion.name, [])
        rows += outcomes
        if len(rows) == len(portion.scans):
            self.complete[portion.name] = outcome_table(self._rows.pop(portion.name))
            if not any(row["code"] in ACCIDENTS for row in rows):
                keep_outcomes(portion, self.complete[portion.name], self._store)


def ingest_sequence(source: ScanSource, crop_radius: float, scans: list[OutcomeRow]) -> list[OutcomeRow]:
    """Read, check and align the scans of one sequence; the unit of work of a process.

    Args:
        source: Where the raw scans come from.
        crop_radius: In mm.

    Returns:
        The rows with ``status, code, reason`` and, where usable, counts, checksum, pose, landmarks and every step.
    """
    return [_ingest_scan(source, crop_radius, scan) for scan in scans]


def _ingest_scan(source: ScanSource, crop_radius: float, scan: OutcomeRow) -> OutcomeRow:
    from affect4d.scans.alignment import align, canonical_face

    try:
        raw = source.read(scan, texels=TEXELS)
        alignment = align(raw)
    except ScanError as error:
        return _refused(scan, error.code, error.detail + (f" ({error.where})" if error.where else ""))
    except ValueError as error:
        return _refused(scan, "not-a-face", str(error))
    try:
        face = canonical_face(raw, alignment.pose, crop_radius)
    except ValueError as error:
        return _refused(scan, "empty-crop", str(error))
    return {
        **scan,
        **judged(alignment, face),
        "raw_vertices": len(raw.vertices),
        "vertices": len(face.scan.vertices),
        "faces": len(face.scan.faces),
        "texture_size": _texture_size(raw),
        "checksum": _checksum(source, scan, raw),
        "crop_radius": crop_radius,
    }


def _checksum(source: ScanSource, scan: OutcomeRow, raw: FaceScan) -> str:
    """Digest of a row's raw bytes, and of the picture where only the scan itself names it."""
    told = source.checksum(scan)
    if raw.texture_file is None or scan["texture"] is not None:
        return told
    return content_key(told=told, picture=file_digest(raw.texture_file))


def _texture_size(raw: FaceScan) -> str:
    if raw.texture is None:
        return ""
    width, height = raw.texture_size or (raw.texture.shape[1], raw.texture.shape[0])
    return f"{width} × {height}"


def judged(alignment: "Alignment", face: "RepairedScan") -> OutcomeRow:
    """What was found and done on the way to the canonical face: the columns of the ingest report that say it."""
    notes = (*alignment.findings.values(), *face.scan.repairs, *face.notes)
    return {
        "status": "repaired" if notes else "ok",
        "code": next(iter(alignment.findings), "repaired" if notes else ""),
        "reason": BETWEEN_NOTES.join(notes),
        "pose": alignment.pose.ravel().tolist(),
        "landmarks": None if alignment.landmarks is None else alignment.landmarks.ravel().tolist(),
        "confidence": alignment.confidence,
        "method": alignment.method,
        "residual": alignment.residual,
        "seen": alignment.seen,
        "unit": alignment.unit,
        "turned": alignment.turned,
        "spikes": face.spikes,
        "bridges": face.bridges,
        "debris": face.debris,
    }


def _refused(scan: OutcomeRow, code: str, reason: str) -> OutcomeRow:
    return {**scan, "status": "refused", "code": code, "reason": reason}


def _unread(scan: OutcomeRow, error: Exception) -> OutcomeRow:
    return _refused(scan, LOST if isinstance(error, LostChunkError) else FAILED, f"{type(error).__name__}: {error}")


def _manifest(outcomes: pa.Table) -> pd.DataFrame:
    usable = outcomes.filter(pc.field("status") != "refused")
    types: dict[str, Any] = {name: column.dtype.type for name, column in SCAN_MANIFEST.columns.items()}
    return SCAN_MANIFEST.validate(usable.select(list(types)).to_pandas().astype(types))


def _completeness(source: ScanSource, scans: pd.DataFrame) -> pd.DataFrame:
    if isinstance(source, FileSource):
        return completeness(corpus_named(source.layout), scans)
    return pd.DataFrame(columns=list(COMPLETENESS_COLUMNS), dtype="str")


def _check_refused(source: ScanSource, ingest: Ingest, options: IngestOptions) -> None:
    refused = ingest.report[ingest.report["status"] == "refused"]
    total = len(ingest.manifest) + len(refused)
    if len(ingest.manifest) and len(refused) <= options.max_refused_share * total:
        return
    top = refused.groupby("code")["reason"].agg(["size", "first"]).sort_values("size", ascending=False).head(3)
    reasons = "; ".join(f"{row['size']} × {code} (e.g. {row['first']})" for code, row in top.iterrows())
    remedy = "Mend or remove these files, or check the corpus layout."
    if len(ingest.manifest):
        remedy += f" If the rest is enough, raise max_refused_share (now {options.max_refused_share:g})."
    raise CorpusRefusedError(
        f"{len(refused)} of {total} scans in {source} are refused: {reasons}. "
        f"First: {refused['scan'].iloc[0]}. {remedy}"
    )


def _save(ingest: Ingest, store: ContentStore, key: str) -> None:
    with store.write(key) as partial:
        partial.mkdir()
        ingest.manifest.to_parquet(partial / "manifest.parquet", index=False, compression=None, use_dictionary=False)
        ingest.report.to_parquet(partial / "report.parquet", index=False)
        ingest.completeness.to_parquet(partial / "completeness.parquet", index=False)


def _load(store: ContentStore, key: str) -> Ingest:
    folder = store.path(key)
    ingest = Ingest(*(pd.read_parquet(folder / f"{name}.parquet") for name in ("manifest", "report", "completeness")))
    ingest.manifest.attrs["entry"] = key  # so that a prune knows it is used
    return ingest
