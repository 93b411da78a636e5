"""Loops over bytes, triangles and pixels as machine code: what NumPy could do only by making arrays of everything."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
Number = Any
"""A number of a type that the compiler chooses, or that an argument had."""


def compiled(function: Function) -> Function:
    """The function as machine code, made on first use and kept; divisions as NumPy's, the interpreter's lock let go.

    It is kept beside its source or in the user's cache; where neither can be written, every process makes it anew,
    unless ``NUMBA_CACHE_DIR`` names a folder.
    """
    try:
        return cast(Function, numba.njit(cache=True, **OPTIONS)(function))
    except RuntimeError:  # "no locator available"
        return cast(Function, numba.njit(**OPTIONS)(function))
