"""Content-addressed storage: what is already made for the same inputs, parameters and code is not made again.

A *key* is a digest of everything a result depends on. A *store* is a folder of immutable entries named by key. An entry
is written under a temporary name and renamed into place, so that an entry that exists is whole.
"""

import contextlib
import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

KEY_LENGTH = 24
PACKAGE = Path(__file__).parent


def content_key(**parts: Any) -> str:
    """Digest of named parts (JSON-able values, paths, or anything whose ``repr`` is its value).

    Returns:
        ``KEY_LENGTH`` hexadecimal characters; the order of the parts does not matter.
    """
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=KEY_LENGTH // 2).hexdigest()


def _plain(value: Any) -> Any:
    """JSON form of what ``json`` does not know: pydantic models, sets, paths."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value)
    return repr(value)


def file_digest(path: Path) -> str:
    """Digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=KEY_LENGTH // 2)).hexdigest()


def table_digest(table: pd.DataFrame) -> str:
    """Digest of a table's column names and values, its index left out; cells may be lists or arrays of numbers."""
    digest = hashlib.blake2b(json.dumps(list(table.columns)).encode(), digest_size=KEY_LENGTH // 2)
    for name in table.columns:
        column = table[name]
        if any(np.ndim(cell) for cell in column.dropna().head(1)):
            for cell in column:
                digest.update(np.asarray(cell).tobytes() + b"\0")
        else:
            digest.update(pd.util.hash_pandas_object(column, index=False).to_numpy().tobytes())
    return digest.hexdigest()


@functools.cache
def code_version(*rooms: str) -> str:
    """Digest of the source of some rooms of this package (``"rendering"``, ``"views.channels"``).

    A result whose key holds this is made again when the code that made it changes, and only then.

    Raises:
        ValueError: If a room does not exist.
    """
    digest = hashlib.blake2b(digest_size=KEY_LENGTH // 2)
    for room in sorted(rooms):
        place = PACKAGE.joinpath(*room.split("."))
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        if not files or not files[0].exists():
            raise ValueError(f"There is no room {room!r} in {PACKAGE}.")
        for file in files:
            digest.update(file.relative_to(PACKAGE).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class ContentStore:
    """A folder of immutable entries (files or folders), each named by its content key."""

    root: Path

    def path(self, name: str) -> Path:
        """Where the entry of that name is, or would be."""
        return self.root / name

    def has(self, name: str) -> bool:
        """Whether the entry is there, and therefore whole."""
        return self.path(name).exists()

    def table(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """The table of that name, made and kept if it is not there."""
        if not self.has(name):
            with self.write(name) as partial:
                make().to_parquet(partial)
        return pd.read_parquet(self.path(name))

    @contextlib.contextmanager
    def write(self, name: str, durable: bool = True) -> Iterator[Path]:
        """Give a temporary path to write a file or a folder to; rename it into place when the block ends well.

        An exception inside the block leaves no entry behind. If another process finished the same entry first, its
        entry stays.

        Args:
            name: Name of the entry.
            durable: Force the bytes to disk first; without, a power cut (not a crash) may leave a broken entry.
        """
        target = self.path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
        try:
            partial = scratch / target.name
            yield partial
            if durable:
                _sync(partial)
            with contextlib.suppress(OSError):  # somebody else finished first: theirs is as good
                partial.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if not target.exists():
            raise OSError(f"The entry {target} could not be put in place.")


def _sync(path: Path) -> None:
    """Force a file, or every file of a folder, to disk."""
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
