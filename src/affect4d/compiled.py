"""Loops over bytes, triangles and pixels as machine code: what NumPy could do only by making arrays of everything."""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
Number = Any
"""A number of a type that the compiler chooses, or that an argument had."""


def compiled(function: Function) -> Function:
    """The function as machine code, made on first use and kept; divisions as NumPy's, the interpreter's lock let go.

    It is kept beside its source or in the user's cache; where neither can be written, every process makes it anew,
    unless ``NUMBA_CACHE_DIR`` names a folder. It may call compiled functions of its own folder, and of no other:
    Numba by itself would keep what it made of them when their file changes.
    """
    try:
        made = numba.njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # "no locator available"
        return cast(Function, numba.njit(**OPTIONS)(function))
    kept = getattr(getattr(made, "_cache", None), "_cache_file", None)
    if kept is not None:
        kept._source_stamp = (kept._source_stamp, _compiled_beside(Path(function.__code__.co_filename).parent))
    return cast(Function, made)


@functools.cache
def _compiled_beside(folder: Path) -> str:
    """Digest of a folder's modules that have compiled functions."""
    digest = hashlib.blake2b()
    for file in sorted(folder.glob("*.py")):
        source = file.read_bytes()
        if b"affect4d.compiled" in source:
            digest.update(source)
    return digest.hexdigest()
