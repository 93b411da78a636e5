"""Loops over bytes, triangles and pixels as machine code: what NumPy could do only by making arrays of everything."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])
Number = Any
"""A number of a type that the compiler chooses, or that an argument had."""


def compiled(function: Function) -> Function:
    """The function as machine code, made on first use and kept; divisions as NumPy's, the interpreter's lock let go."""
    return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
