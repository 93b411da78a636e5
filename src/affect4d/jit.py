"""Numba: loops over bytes, triangles and pixels compiled to machine code on first use, and kept on disk."""

import functools
import hashlib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
Array = Any
"""An array whose type and shape the compiler infers."""
Number = Any
"""A number whose type the compiler infers, or that has the type of an argument."""


def compiled(function: Function) -> Function:
    """The function as machine code, compiled on its first call and kept; divisions as NumPy's, without the GIL.

    It is kept beside its source or in the user's cache; where neither can be written, every process compiles it,
    unless ``NUMBA_CACHE_DIR`` names a folder. It may call compiled functions of its own folder, and of no other: Numba
    alone would keep the machine code when the called function's file changes.
    """
    return cast(Function, CompiledFunction(function))


class CompiledFunction:
    """A function that Numba compiles on its first call: Numba itself takes a second to import."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        """Call the machine code."""
        return self.dispatcher(*arguments)

    @functools.cached_property
    def dispatcher(self) -> Any:
        """Numba's function."""
        import numba

        function = _with_dispatchers(self.function)
        try:
            made = numba.njit(cache=True, **OPTIONS)(function)
        except RuntimeError:  # "no locator available"
            return numba.njit(**OPTIONS)(function)
        kept = getattr(getattr(made, "_cache", None), "_cache_file", None)
        if kept is not None:
            kept._source_stamp = (kept._source_stamp, _compiled_beside(Path(function.__code__.co_filename).parent))
        return made


def _with_dispatchers(function: Any) -> Any:
    """The function with the dispatchers of the compiled functions that it calls as its globals."""
    named = {name: function.__globals__.get(name) for name in function.__code__.co_names}
    called = {name: value.dispatcher for name, value in named.items() if isinstance(value, CompiledFunction)}
    if not called:
        return function
    same = types.FunctionType(function.__code__, {**function.__globals__, **called}, function.__name__)
    same.__module__, same.__qualname__ = function.__module__, function.__qualname__
    return same


@functools.cache
def _compiled_beside(folder: Path) -> str:
    """Digest of a folder's modules that have compiled functions."""
    digest = hashlib.blake2b()
    for file in sorted(folder.glob("*.py")):
        source = file.read_bytes()
        if b"affect4d.jit" in source:
            digest.update(source)
    return digest.hexdigest()
