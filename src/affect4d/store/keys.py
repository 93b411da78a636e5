"""Content keys: a digest of everything a result depends on."""

import functools
import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from affect4d.store.code_digest import closure_digest

KEY_LENGTH = 24
LIBRARIES = ("numba", "numpy", "open_clip_torch", "pandas", "pillow", "scikit-learn", "scipy", "torch", "vtk")
"""Whose arithmetic results rest on."""


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
        return hashlib.file_digest(file, "sha256").hexdigest()[:KEY_LENGTH]


def table_digest(table: pd.DataFrame) -> str:
    """Digest of a table's column names and values, its index left out; cells may be lists or arrays of numbers."""
    digest = hashlib.blake2b(json.dumps(list(table.columns)).encode(), digest_size=KEY_LENGTH // 2)
    for name in table.columns:
        column = table[name]
        if any(np.ndim(cell) for cell in column.dropna().head(1)):
            for cell in column:
                digest.update(_cell_bytes(cell))
        else:
            digest.update(pd.util.hash_pandas_object(column, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def _cell_bytes(cell: Any) -> bytes:
    """A cell of a column of lists: whether it is null, its type, its shape and its values; a list is as its array."""
    values = np.asarray(cell)
    if not values.ndim and pd.isna(cell):
        return b"null;"
    if values.dtype.kind in "OU":  # the bytes of objects are addresses, other ones in every process
        text = json.dumps(values.tolist(), default=_listed).encode()
        return b"plain%d;" % len(text) + text
    return f"{values.dtype.str}{values.shape};".encode() + values.tobytes()


def _listed(value: Any) -> Any:
    """JSON form of an array, or of a number of numpy's, within a list.

    Raises:
        TypeError: If it is something else: it may look otherwise in another process.
    """
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"A table's digest needs plain values in its lists; {value!r} is none.")


@functools.cache
def code_version(module: str) -> str:
    """Digest of the code that runs when a module does, and of the libraries.

    A result whose key holds this is made again when that code changes, or a library's version does. Docstrings,
    comments, annotations and layout do not count, nor does infrastructure that changes no result.

    Args:
        module: Full name, usually ``__name__``: it and all modules of this package that it imports, directly or not.

    Raises:
        ValueError: If the module does not exist.
    """
    return content_key(code=closure_digest(module), libraries=library_versions())


@functools.cache
def library_versions() -> dict[str, str]:
    """Installed version of each of :data:`LIBRARIES`; "" of one that is not, as beside a bare training process."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = ""
    return versions


def local_digest(*names: str | None) -> list[str]:
    """Digests of the files behind names that may be local weights: a file may change under its name.

    Args:
        names: A file, a folder (with open_clip's ``local-dir:`` in front or without), or a name of something else.

    Returns:
        One digest a file; none for what is no file of this machine.
    """
    places = [Path(name.removeprefix("local-dir:")) for name in names if name]
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*")))]
    return [file_digest(file) for file in files if file.is_file()]
