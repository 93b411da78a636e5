"""What came of every scan, kept portion by portion as it comes: an ingest that ends early goes on from there.

A portion is some whole sequences, a few hundred scans. Where one ends depends on the name and the length of its last
sequence alone, so that a sequence that comes or goes changes its own portion and leaves the others as they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from affect4d.scans.ingest_report import REPORT_COLUMNS
from affect4d.scans.manifest import SCAN_MANIFEST
from affect4d.scans.scan_source import ScanSource
from affect4d.store import ContentStore, code_version, content_key

OutcomeRow = dict[str, Any]
SCANS = 300
"""Of a portion, on average: few enough to lose or to read again, enough that a large corpus is few files."""
_KINDS: Mapping[str, pa.DataType] = {
    **dict.fromkeys(("int64", "Int64"), pa.int64()),
    "float64": pa.float64(),
    "object": pa.list_(pa.float64()),
}
_COLUMNS = {**REPORT_COLUMNS, **{name: str(column.dtype) for name, column in SCAN_MANIFEST.columns.items()}}
OUTCOMES = pa.schema([(name, _KINDS.get(kind, pa.string())) for name, kind in _COLUMNS.items()])
"""All that the manifest and the report say of a scan; what a refused scan never reached is null."""


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


def divide(source: ScanSource, scans: pd.DataFrame, crop_radius: float) -> list[Portion]:
    """The portions of a corpus, in the order of their sequences; no scan is read.

    Args:
        source: Where the raw scans come from.
        crop_radius: In mm.
    """
    table = scans.assign(identity=source.identities(scans)).sort_values(["sequence", "frame"], ignore_index=True)
    lengths = table.groupby("sequence", sort=True).size()
    ends = pd.Series([_ends_portion(str(name), length) for name, length in lengths.items()], lengths.index, dtype=int)
    place = table["sequence"].map(ends.cumsum() - ends)
    return [
        Portion(_name(rows, crop_radius), rows.drop(columns="identity")) for _, rows in table.groupby(place, sort=True)
    ]


def find_outcomes(portion: Portion, store: ContentStore) -> pa.Table | None:
    """What an earlier run kept of a portion; a file that is damaged is removed, so that its scans are read again."""
    if not store.has(portion.name):
        return None
    path = store.path(portion.name)
    held = path.read_bytes()
    try:
        return pq.read_table(pa.BufferReader(held), page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        path.unlink(missing_ok=True)
        return None


def keep_outcomes(portion: Portion, outcomes: pa.Table, store: ContentStore) -> None:
    """Keep what came of all scans of a portion.

    Raises:
        StoreFullError: If the disk is full.
    """
    with store.write(portion.name) as partial:
        pq.write_table(outcomes, partial, compression="zstd", use_dictionary=False, write_page_checksum=True)


def outcome_table(rows: Iterable[OutcomeRow]) -> pa.Table:
    """Rows as a table of :data:`OUTCOMES`, by sequence and frame."""
    ordered = sorted(rows, key=lambda row: (row["sequence"], row["frame"]))
    return pa.Table.from_pylist(ordered, schema=OUTCOMES)


def _ends_portion(sequence: str, scans: int) -> bool:
    """Whether a portion ends with this sequence: by lot, which falls on every ``SCANS``-th scan."""
    lot = int(content_key(sequence=sequence)[:8], 16) / 16**8
    return lot * SCANS < scans


def _name(rows: pd.DataFrame, crop_radius: float) -> str:
    told = [list(rows), *rows.itertuples(index=False, name=None)]
    key = content_key(scans=told, crop_radius=crop_radius, code=code_version("affect4d.scans.ingest"))
    return f"outcomes/{key}.parquet"
