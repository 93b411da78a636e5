"""From a raw corpus folder to a validated manifest and a report of what was mended or refused, and why.

Nothing is copied: a canonical scan is its raw bytes plus the recorded pose and crop (:func:`load_canonical_scan`).
"""

import functools
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from affect4d.content import ContentStore, code_version, content_key
from affect4d.engine import map_chunks
from affect4d.scans.corpora import corpus_named
from affect4d.scans.corpora.listing import ListedFile, list_files
from affect4d.scans.geometry import align, crop, transform, turn_outward
from affect4d.scans.manifest import SCAN_MANIFEST, landmarks_in, pose_in
from affect4d.scans.readers import READERS, read_scan
from affect4d.scans.scan import FaceScan, ScanError

REPORT_COLUMNS = ("scan", "sequence", "status", "code", "reason")
LOW_CONFIDENCE = 0.5
Row = dict[str, Any]


class IngestOptions(BaseModel):
    """How a corpus is taken in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    crop_radius: float = Field(default=95.0, gt=20, le=400, description="What is kept around the nose tip, in mm.")
    max_refused_share: float = Field(default=0.2, ge=0, le=1, description="Above it, the corpus itself is refused.")
    workers: int = Field(default=0, ge=0, le=1024, description="Processes; 0 means one a core.")


@dataclass(frozen=True, slots=True)
class Ingest:
    """What a corpus gave.

    Attributes:
        manifest: Usable scans, as :data:`~affect4d.scans.manifest.SCAN_MANIFEST`.
        report: One row a repaired or refused scan: ``scan, sequence, status, code, reason``.
    """

    manifest: pd.DataFrame
    report: pd.DataFrame


class CorpusRefusedError(ValueError):
    """A corpus with no, or too few, usable scans; names the folder, the top reasons and the remedy."""


def ingest_corpus(root: Path, layout: str, options: IngestOptions, store: ContentStore) -> Ingest:
    """Read, check and align every scan of a corpus; at once, if that was done before and nothing changed.

    Args:
        root: The corpus folder.
        layout: Name of one of :data:`~affect4d.scans.corpora.CORPORA`.
        options: Crop, tolerance, processes.
        store: Where the result is kept.

    Raises:
        FileNotFoundError: If the folder is missing or empty.
        ValueError: If the layout is unknown.
        CorpusRefusedError: If no scan is found or usable, or more than ``max_refused_share`` are refused.
    """
    corpus = corpus_named(layout)
    key = "ingest-" + _key(list_files(root), layout, options)
    if not store.has(key):
        scans = corpus.find_scans(root)
        if scans.empty:
            raise CorpusRefusedError(_nothing_found(root, corpus.description))
        rows = _read_all(root, scans, options)
        ingest = Ingest(_manifest(rows), _report(rows))
        _check_refused(root, ingest, options)
        _save(ingest, store, key)
    return _load(store, key)


def load_canonical_scan(root: Path, row: Any) -> FaceScan:
    """Read the raw bytes of a manifest row again; apply its pose and the crop.

    Args:
        root: The corpus folder.
        row: A manifest row (mapping, Series or named tuple as a dict).

    Returns:
        The face in the canonical frame, triangles counter-clockwise seen from outside, with texture and landmarks.

    Raises:
        ScanError: If the file is not, or is no longer, the scan that was taken in.
    """
    path = root / row["scan"]
    try:
        scan = crop(transform(read_scan(path, _below(root, row["texture"])), pose_in(row)), float(row["crop_radius"]))
    except ValueError as error:
        raise error if isinstance(error, ScanError) else ScanError("empty-crop", path, str(error)) from error
    return with_changes(turn_outward(scan), landmarks=landmarks_in(row))


def _key(files: Sequence[ListedFile], layout: str, options: IngestOptions) -> str:
    listing = hashlib.blake2b()
    for file in files:
        listing.update(f"{file.path}\0{file.size}\0{file.modified}\n".encode())
    settings = options.model_dump(exclude={"workers"})
    return content_key(files=listing.hexdigest(), layout=layout, options=settings, code=code_version("scans"))


def _read_all(root: Path, scans: pd.DataFrame, options: IngestOptions) -> list[Row]:
    """Every scan's outcome; a chunk that ends badly is tried again scan by scan."""
    chunks: dict[str, list[Row]] = {}
    for values in scans.itertuples(index=False, name=None):
        scan = dict(zip(scans.columns, values, strict=True))
        chunks.setdefault(scan["sequence"], []).append(_plain(scan))
    task = functools.partial(ingest_sequence, str(root), options.crop_radius)
    outcomes, lost = _gather(map_chunks(task, list(chunks.values()), "reading scans", options.workers))
    if lost:
        singles = [[scan] for chunk, _ in lost for scan in chunk]
        again, lost = _gather(map_chunks(task, singles, "reading scans again", options.workers))
        outcomes += again
        outcomes += [_refused(chunk[0], "worker-lost", f"{type(error).__name__}: {error}") for chunk, error in lost]
    return sorted(outcomes, key=lambda row: (row["sequence"], row["frame"]))


def _gather(
    results: Iterable[tuple[list[Row], list[Row] | Exception]],
) -> tuple[list[Row], list[tuple[list[Row], Exception]]]:
    done: list[Row] = []
    lost: list[tuple[list[Row], Exception]] = []
    for chunk, result in results:
        if isinstance(result, Exception):
            lost.append((chunk, result))
        else:
            done.extend(result)
    return done, lost


def _plain(scan: Row) -> Row:
    """The row with None for every missing value."""
    return {name: None if pd.isna(value) else value for name, value in scan.items()}


def ingest_sequence(root: str, crop_radius: float, scans: list[Row]) -> list[Row]:
    """Read, check and align the scans of one sequence; the unit of work of a process.

    Args:
        root: The corpus folder.
        crop_radius: In mm.
        scans: Rows of the corpus table.

    Returns:
        The rows with ``status, code, reason`` and, where usable, counts, checksum, pose, landmarks and confidence.
    """
    return [_ingest_scan(Path(root), crop_radius, scan) for scan in scans]


def _ingest_scan(root: Path, crop_radius: float, scan: Row) -> Row:
    path, texture, landmarks = root / scan["scan"], _below(root, scan["texture"]), _below(root, scan["landmark_file"])
    try:
        raw = read_scan(path, texture, landmarks)
        alignment = align(raw)
        face = turn_outward(crop(transform(raw, alignment.pose), crop_radius))
    except ScanError as error:
        return _refused(scan, error.code, error.detail + (f" ({error.where})" if error.where else ""))
    except ValueError as error:
        return _refused(scan, "not-a-face", str(error))
    notes = (*face.repairs, *alignment.notes)
    low = alignment.confidence < LOW_CONFIDENCE
    return {
        **scan,
        "status": "repaired" if notes else "ok",
        "code": "" if not notes else "low-confidence" if low else "repaired",
        "reason": "; ".join(notes),
        "vertices": len(face.vertices),
        "faces": len(face.faces),
        "checksum": _checksum(path, texture, landmarks),
        "pose": alignment.pose.ravel().tolist(),
        "landmarks": None if face.landmarks is None else face.landmarks.ravel().tolist(),
        "confidence": alignment.confidence,
        "crop_radius": crop_radius,
    }


def _refused(scan: Row, code: str, reason: str) -> Row:
    return {**scan, "status": "refused", "code": code, "reason": reason}


def _below(root: Path, name: Any) -> Path | None:
    return None if name is None or pd.isna(name) else root / name


def _checksum(*files: Path | None) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for file in files:
        digest.update(file.read_bytes() if file is not None and file.is_file() else b"\0missing")
    return digest.hexdigest()


def _manifest(rows: list[Row]) -> pd.DataFrame:
    columns = list(SCAN_MANIFEST.columns)
    usable = [row for row in rows if row["status"] != "refused"]
    table = pd.DataFrame(usable, columns=columns)
    types: dict[str, Any] = {name: column.dtype.type for name, column in SCAN_MANIFEST.columns.items()}
    return SCAN_MANIFEST.validate(table.astype(types))


def _report(rows: list[Row]) -> pd.DataFrame:
    notable = [row for row in rows if row["status"] != "ok"]
    return pd.DataFrame(notable, columns=list(REPORT_COLUMNS), dtype="str")


def _check_refused(root: Path, ingest: Ingest, options: IngestOptions) -> None:
    refused = ingest.report[ingest.report["status"] == "refused"]
    total = len(ingest.manifest) + len(refused)
    if len(ingest.manifest) and len(refused) <= options.max_refused_share * total:
        return
    top = refused.groupby("code")["reason"].agg(["size", "first"]).sort_values("size", ascending=False).head(3)
    reasons = "; ".join(f"{row['size']} × {code} (e.g. {row['first']})" for code, row in top.iterrows())
    raise CorpusRefusedError(
        f"{len(refused)} of {total} scans in {root} are refused: {reasons}. First: {refused['scan'].iloc[0]}. "
        "Mend or remove these files, check the corpus layout, or raise max_refused_share "
        f"(now {options.max_refused_share:g}) if the rest is enough."
    )


def _nothing_found(root: Path, description: str) -> str:
    names = [file.path for file in list_files(root)]
    scans = [name for name in names if Path(name).suffix.lower() in READERS]
    seen = f"it holds {len(names)} files, e.g. {(scans or names)[0]}"
    return (
        f"No scan in {root} is laid out as {description}; {seen}. Point the corpus folder at the folder that holds the "
        "subjects, or use the layout 'folder', which takes any names."
    )


def _save(ingest: Ingest, store: ContentStore, key: str) -> None:
    with store.write(key) as partial:
        partial.mkdir()
        ingest.manifest.to_parquet(partial / "manifest.parquet", index=False, compression=None, use_dictionary=False)
        ingest.report.to_parquet(partial / "report.parquet", index=False)


def _load(store: ContentStore, key: str) -> Ingest:
    folder = store.path(key)
    manifest = pd.read_parquet(folder / "manifest.parquet")
    return Ingest(manifest, pd.read_parquet(folder / "report.parquet"))
