"""From a raw corpus to a validated manifest and a report of what was repaired or refused, and why.

Nothing is copied: a canonical scan is its raw bytes plus the recorded pose and crop (:func:`load_canonical_scan`).

Outcomes are stored in portions of a few hundred scans as they come, so that an ingest that ends early goes on from
there. Where a portion of whole sequences ends depends on the name and length of its last sequence alone: a sequence
that comes or goes changes its own portion and no other.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import replace as with_changes
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, Field

from affect4d.parallel import IN_PROCESS, EngineOptions, LostChunkError, map_splitting_failures
from affect4d.scans.corpora import corpus_named
from affect4d.scans.corpora.corpus_class_and_scan_table import COMPLETENESS_COLUMNS, completeness
from affect4d.scans.corpora.folder import named_after_expressions
from affect4d.scans.ingest_tables import (
    BETWEEN_NOTES,
    REPORT_COLUMNS,
    SCAN_MANIFEST,
    ingest_report,
    landmarks_in,
    pose_in,
)
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.scans.scan_source_and_corpus_folder import FileSource, MixedSource, ScanSource, as_source
from affect4d.store import ContentStore, code_version, content_key, file_digest

if TYPE_CHECKING:
    from affect4d.scans.alignment import Alignment, RepairedScan, TakeAligner

OutcomeRow = dict[str, Any]
TEXELS = 16  # of a texture, in ingest: it is decoded to its last byte, so that a damaged one is found, but not used
UNREAD = LOST, FAILED = "worker-lost", "failed"
"""Codes of scans without an outcome: the process died, or ended in an unforeseen error. The next run reads them."""
ALIGNMENT_COLUMNS = (
    *("confidence", "method", "residual", "seen", "unit", "turned"),
    *("landmark_source", "landmark_uncertainty"),
)
"""Columns of manifest and report that an :class:`~affect4d.scans.alignment.Alignment` has as attributes."""
SCANS_PER_PORTION = 300  # on average: few enough to lose or to read again, enough that a large corpus is few files
_ARROW_TYPES: Mapping[str, pa.DataType] = {
    **dict.fromkeys(("int64", "Int64"), pa.int64()),
    "float64": pa.float64(),
    "object": pa.list_(pa.float64()),
}
_COLUMNS = {**REPORT_COLUMNS, **{name: str(column.dtype) for name, column in SCAN_MANIFEST.columns.items()}}
OUTCOMES = pa.schema([(name, _ARROW_TYPES.get(kind, pa.string())) for name, kind in _COLUMNS.items()])
"""Columns of manifest and report; those that a refused scan never reached are null."""


class IngestOptions(BaseModel, frozen=True, extra="forbid"):
    """Options of an ingest."""

    crop_radius: float = Field(default=95.0, gt=20, le=400, description="What is kept around the nose tip, in mm.")
    max_refused_share: float = Field(default=0.2, ge=0, le=1, description="Above it, the corpus itself is refused.")


@dataclass(frozen=True, slots=True)
class Ingest:
    """Usable scans, one report row a scan, and the corpus's completeness (of files only)."""

    manifest: pd.DataFrame
    report: pd.DataFrame
    completeness: pd.DataFrame


class CorpusRefusedError(ValueError):
    """A corpus with no, or too few, usable scans; names the folder, the top reasons and the remedy."""


def ingest_source(
    source: ScanSource, options: IngestOptions, store: ContentStore, engine: EngineOptions = IN_PROCESS
) -> Ingest:
    """Read, check and align every scan of a source that no earlier run has, and store the outcomes.

    Raises:
        CorpusRefusedError: If no scan is found or usable, more than ``max_refused_share`` are refused, folders of
            expressions are taken for subjects, or it is unknown whose face numbered scans show.
        CodeMismatchError: If a worker has other code than the driver.
    """
    settings = options.model_dump(exclude={"max_refused_share"})  # it changes no scan's outcome
    key = "ingest-" + content_key(source=source.fingerprint(), options=settings, code=_code())
    if store.has(key):
        ingest = _load(store, key)
        _check_refused(source, ingest, options)
        return ingest
    scans = source.table()
    _check_subjects(source, scans)
    ingest = _ingest(source, scans, options, store, engine)
    _check_refused(source, ingest, options)
    if ingest.report["code"].isin(UNREAD).any():
        return ingest
    _save(ingest, store, key)
    return _load(store, key)


def load_canonical_scan(where: Path | ScanSource, row: Any, texels: int = 0) -> FaceScan:
    """The face of a manifest row in the canonical frame, read again and moved, cropped and repaired as ingest did.

    Args:
        row: A manifest row (mapping, Series or named tuple as a dict).
        texels: How many suffice along the shorter side of the texture; 0 for all.

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


def _check_subjects(source: ScanSource, scans: pd.DataFrame) -> None:
    if isinstance(source, MixedSource):
        tables = source.tables()
        for name, part in source.parts:
            _check_subjects(part, tables[name])
        return
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


def _ingest(
    source: ScanSource, scans: pd.DataFrame, options: IngestOptions, store: ContentStore, engine: EngineOptions
) -> Ingest:
    """Read what no earlier run has read; the report names the portions it is made of, so that a prune spares them."""
    portions = divide_into_portions(source, scans, options.crop_radius)
    found = {portion.name: _stored_outcomes(portion, store) for portion in portions}
    missing = [portion for portion in portions if found[portion.name] is None]
    read = _read_portions(source, missing, options.crop_radius, store, engine)
    outcomes = pa.concat_tables(read.get(portion.name, found[portion.name]) for portion in portions)
    report = ingest_report(outcomes.select(list(REPORT_COLUMNS)).to_pandas())
    report.attrs["portions"] = [portion.name for portion in portions]
    return Ingest(_manifest(outcomes), report, _completeness(source, scans))


@dataclass(frozen=True, slots=True)
class Portion:
    """Some whole sequences of a corpus."""

    name: str
    scans: pd.DataFrame

    def chunks(self) -> list[list[OutcomeRow]]:
        """The rows of each sequence, with None for every missing value; small enough to travel."""
        names, chunks = [str(name) for name in self.scans], dict[str, list[OutcomeRow]]()
        for values in self.scans.itertuples(index=False, name=None):
            row: OutcomeRow = {
                name: None if pd.isna(value) else value for name, value in zip(names, values, strict=True)
            }
            chunks.setdefault(row["sequence"], []).append(row)
        return list(chunks.values())


def divide_into_portions(source: ScanSource, scans: pd.DataFrame, crop_radius: float) -> list[Portion]:
    """The portions of a corpus, in the order of their sequences; no scan is read."""
    table = scans.assign(identity=source.identities(scans)).sort_values(["sequence", "frame"], ignore_index=True)
    lengths = table.groupby("sequence", sort=True).size()
    ends = pd.Series([_ends_portion(str(name), length) for name, length in lengths.items()], lengths.index, dtype=int)
    place = table["sequence"].map(ends.cumsum() - ends)
    return [
        Portion(_portion_name(rows, crop_radius), rows.drop(columns="identity"))
        for _, rows in table.groupby(place, sort=True)
    ]


def _ends_portion(sequence: str, scans: int) -> bool:
    """Whether a portion ends with this sequence: by lot, which falls on every ``SCANS_PER_PORTION``-th scan."""
    lot = int(content_key(sequence=sequence)[:8], 16) / 16**8
    return lot * SCANS_PER_PORTION < scans


def _code() -> list[str]:
    """What outcomes depend on beside scans and options: code, the landmark detector and its table, the network."""
    from affect4d.scans.alignment.face_landmarker import detector_version
    from affect4d.scans.alignment.landmark_network import MODEL_FILE
    from affect4d.scans.alignment.pose_by_landmark_detection import MEAN_LANDMARKS_FILE

    return [code_version(__name__), detector_version(), file_digest(MEAN_LANDMARKS_FILE), file_digest(MODEL_FILE)]


def _portion_name(rows: pd.DataFrame, crop_radius: float) -> str:
    given = [list(rows), *rows.itertuples(index=False, name=None)]
    return f"outcomes/{content_key(scans=given, crop_radius=crop_radius, code=_code())}.parquet"


def _stored_outcomes(portion: Portion, store: ContentStore) -> pa.Table | None:
    """What an earlier run stored of a portion; a damaged file is removed, so that its scans are read again."""
    if not store.has(portion.name):
        return None
    path = store.path(portion.name)
    held = path.read_bytes()
    try:
        return pq.read_table(pa.BufferReader(held), page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        path.unlink(missing_ok=True)
        return None


def _read_portions(
    source: ScanSource, portions: list[Portion], crop_radius: float, store: ContentStore, engine: EngineOptions
) -> dict[str, pa.Table]:
    """Outcomes of every scan, by portion; a sequence that fails is read again scan by scan."""
    task = functools.partial(ingest_sequence, source, crop_radius)
    collection = _Collection(portions, store)
    chunks = [chunk for portion in portions for chunk in portion.chunks()]
    results = map_splitting_failures(
        task, chunks, "reading scans", engine, split=lambda chunk: [[scan] for scan in chunk], scans=len
    )
    for chunk, result in results:
        collection.add([_unread(scan, result) for scan in chunk] if isinstance(result, Exception) else result)
    return collection.complete


class _Collection:
    """Outcomes in order of arrival; a portion is stored once all of its scans are there, unless one is unread."""

    def __init__(self, portions: Iterable[Portion], store: ContentStore) -> None:
        self._portions = {sequence: portion for portion in portions for sequence in portion.scans["sequence"].unique()}
        self._store = store
        self._rows: dict[str, list[OutcomeRow]] = {}
        self.complete: dict[str, pa.Table] = {}

    def add(self, outcomes: list[OutcomeRow]) -> None:
        portion = self._portions[outcomes[0]["sequence"]]
        rows = self._rows.setdefault(portion.name, [])
        rows += outcomes
        if len(rows) < len(portion.scans):
            return
        ordered = sorted(self._rows.pop(portion.name), key=lambda row: (row["sequence"], row["frame"]))
        table = self.complete[portion.name] = pa.Table.from_pylist(ordered, schema=OUTCOMES)
        if not any(row["code"] in UNREAD for row in rows):
            with self._store.write(portion.name) as partial:
                pq.write_table(table, partial, compression="zstd", use_dictionary=False, write_page_checksum=True)


def ingest_sequence(source: ScanSource, crop_radius: float, scans: list[OutcomeRow]) -> list[OutcomeRow]:
    """The rows of one sequence with the outcome of each scan; the unit of work of a process."""
    from affect4d.scans.alignment import TakeAligner

    aligner = TakeAligner()
    return [_ingest_scan(source, crop_radius, scan, aligner) for scan in scans]


def _ingest_scan(source: ScanSource, crop_radius: float, scan: OutcomeRow, aligner: "TakeAligner") -> OutcomeRow:
    from affect4d.scans.alignment import canonical_face

    try:
        raw = source.read(scan, texels=TEXELS)
        alignment = aligner.align(raw)
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
        **outcome_columns(alignment, face),
        "raw_vertices": len(raw.vertices),
        "vertices": len(face.scan.vertices),
        "faces": len(face.scan.faces),
        "texture_size": _texture_size(raw),
        "checksum": _checksum(source, scan, raw),
        "crop_radius": crop_radius,
    }


def _checksum(source: ScanSource, scan: OutcomeRow, raw: FaceScan) -> str:
    checksum = source.checksum(scan)
    if raw.texture_file is None or scan["texture"] is not None:
        return checksum
    return content_key(told=checksum, picture=file_digest(raw.texture_file))


def _texture_size(raw: FaceScan) -> str:
    if raw.texture is None:
        return ""
    width, height = raw.texture_size or (raw.texture.shape[1], raw.texture.shape[0])
    return f"{width} × {height}"


def outcome_columns(alignment: "Alignment", face: "RepairedScan") -> OutcomeRow:
    """Columns of the ingest report that say what was found and repaired on the way to the canonical face."""
    notes = (*alignment.findings.values(), *face.scan.repairs, *face.notes)
    return {
        "status": "repaired" if notes else "ok",
        "code": next(iter(alignment.findings), "repaired" if notes else ""),
        "reason": BETWEEN_NOTES.join(notes),
        "pose": alignment.pose.ravel().tolist(),
        "landmarks": None if alignment.landmarks is None else alignment.landmarks.ravel().tolist(),
        **{name: getattr(alignment, name) for name in ALIGNMENT_COLUMNS},
        **{name: getattr(face, name) for name in ("spikes", "bridges", "debris")},
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
    if isinstance(source, MixedSource):
        tables = source.tables()
        parts = [(name, _completeness(part, tables[name])) for name, part in source.parts]
        return pd.concat([rows.assign(item=f"{name}: " + rows["item"]) for name, rows in parts], ignore_index=True)
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
