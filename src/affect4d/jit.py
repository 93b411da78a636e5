"""Numba: loops over bytes, triangles and pixels compiled to machine code, and kept on disk."""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
Number = Any
"""A number whose type the compiler infers, or that has the type of an argument."""


def compiled(function: Function) -> Function:
    """The function as machine code, compiled on first use and kept; divisions as NumPy's, without the GIL.

    It is kept beside its source or in the user's cache; where neither can be written, every process compiles it,
    unless ``NUMBA_CACHE_DIR`` names a folder. It may call compiled functions of its own folder, and of no other: Numba
    alone would keep the machine code when the called function's file changes.
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
        if b"affect4d.jit" in source:
            digest.update(source)
    return digest.hexdigest()
