"""Dropping what no manifest names.

Every path below the data folder whose name holds a content key is an *entry*; every other file is a *manifest*, read in
all its versions. Among raw scans, where people may keep their own under any name, only what the generator made is an
entry. An entry stays

- if a manifest holds its key,
- if it was made or used within the last hours (a run in progress has not written its manifest yet), or
- if it names other entries, and all of those stay (a bank of images stays with the shards it was derived from).

An entry is first renamed and then removed, so that no run meets half of one.
"""

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from affect4d.store.content_and_code_digests import KEY_LENGTH
from affect4d.store.content_store import PREFIX, is_left_behind, make_scratch, size_of

KEY = re.compile(rf"(?<![0-9a-f])[0-9a-f]{{{KEY_LENGTH}}}(?![0-9a-f])")
KEEP_HOURS = 168.0
LARGEST_TEXT = 256 * 2**20
RAW, GENERATED = "01_raw", "counts.json"
"""The layer of raw scans, and the file in every corpus that was generated there."""


class UnreadableManifestError(ValueError):
    """A manifest cannot be read, so nothing may be dropped: it may name anything."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a store; ``key`` is empty for what a killed writer left, ``used`` is in seconds since 1970."""

    path: Path
    key: str
    size: int
    used: float


@dataclass(frozen=True, slots=True)
class Prune:
    """Entries that a prune would drop and keep, and the number of manifests read for names."""

    dropped: tuple[Entry, ...]
    kept: tuple[Entry, ...]
    manifests: int


def plan_prune(data: Path, keep_hours: float = KEEP_HOURS) -> Prune:
    """Find what no manifest names; drops nothing. UnreadableManifestError if a manifest cannot be read."""
    if not data.is_dir():
        raise FileNotFoundError(f"There is no folder {data} to prune.")
    entries, manifests = _survey(data)
    named = frozenset().union(*(keys_in(manifest) for manifest in manifests)) if manifests else frozenset()
    live = _live(entries, named, time.time() - 3600 * keep_hours)
    dropped = tuple(entry for entry in entries if entry.key not in live)
    return Prune(dropped, tuple(entry for entry in entries if entry.key in live), len(manifests))


def carry_out(prune: Prune) -> int:
    """Drop what was planned, less what was used since; return how many bytes that freed."""
    freed = 0
    for entry in prune.dropped:
        with contextlib.suppress(FileNotFoundError):
            if _used(entry.path) > entry.used:
                continue
            scratch = entry.path if entry.path.name.startswith(PREFIX) else make_scratch(entry.path.parent)
            if scratch != entry.path:
                entry.path.rename(scratch / entry.path.name)
            shutil.rmtree(scratch, ignore_errors=True)
            freed += entry.size
    return freed


def keys_in(file: Path) -> frozenset[str]:
    """Content keys in a table's text columns, a tensor file's header, or any text; else an UnreadableManifestError."""
    try:
        if file.suffix == ".parquet":
            return _keys_in_table(file)
        if file.suffix == ".safetensors":
            with file.open("rb") as tensors:
                return _keys_in_text(tensors.read(int.from_bytes(tensors.read(8), "little")))
        if file.stat().st_size > LARGEST_TEXT:
            return frozenset()
        return _keys_in_text(file.read_bytes())
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UnreadableManifestError(
            f"{file} cannot be read ({error}), and may name anything: nothing is dropped. Mend or remove it first."
        ) from error


def _survey(folder: Path) -> tuple[list[Entry], list[Path]]:
    """Entries and manifests below a folder, links followed; what is inside an entry is neither."""
    entries: list[Entry] = []
    manifests: list[Path] = []
    for path in _walk(folder, set()):
        key = _key_of(path)
        if path.name.startswith(PREFIX):
            if is_left_behind(path):
                entries.append(Entry(path, "", size_of(path), _used(path)))
        elif key is not None:
            entries.append(Entry(path, key, size_of(path), _used(path)))
        else:
            manifests.append(path)
    return entries, manifests


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Entries, leftovers and files below a folder; each real folder once."""
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    for path in sorted(folder.iterdir()):
        if _key_of(path) is not None or path.name.startswith(PREFIX) or path.is_file():
            yield path
        elif path.is_dir():
            yield from _walk(path, seen)


def _key_of(path: Path) -> str | None:
    found = KEY.search(path.name)
    if found is None or (RAW in path.parts and not (path / GENERATED).is_file()):
        return None
    return found[0]


def _live(entries: list[Entry], named: frozenset[str], since: float) -> frozenset[str]:
    known = {entry.key for entry in entries if entry.key}
    live = {entry.key for entry in entries if entry.key in named or (entry.key and entry.used >= since)}
    for entry in entries:
        if entry.key and entry.key not in live and entry.path.is_file():
            sources = keys_in(entry.path) & known - {entry.key}
            if sources and sources <= live:
                live.add(entry.key)
    return frozenset(live)


def _used(path: Path) -> float:
    return path.stat().st_mtime


def _keys_in_text(text: bytes) -> frozenset[str]:
    return frozenset(KEY.findall(text.decode("utf-8", "replace")))


def _keys_in_table(file: Path) -> frozenset[str]:
    table = pq.ParquetFile(file)
    metadata = dict(table.schema_arrow.metadata or {})
    keys = set(_keys_in_text(b" ".join(part for pair in metadata.items() for part in pair)))
    texts = [field.name for field in table.schema_arrow if _holds_text(field.type)]
    for batch in table.iter_batches(columns=texts):
        for column in batch.columns:
            values = column.flatten() if pa.types.is_list(column.type) else column
            keys.update(key for value in pc.unique(values).to_pylist() for key in KEY.findall(str(value)))
    return frozenset(keys)


def _holds_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_dictionary(inner))
