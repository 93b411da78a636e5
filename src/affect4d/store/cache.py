"""Results that are computed once: the same inputs, code and libraries give what the store holds already."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from PIL import Image

from affect4d.store.content_store import ContentStore
from affect4d.store.keys import code_version, content_key

_Result = TypeVar("_Result")
RESULT_FILE = "result.json"


def cached(store: ContentStore, name: str, make: Callable[[], _Result], /, **given: Any) -> _Result:
    """What a function returns, computed once and then read from the store.

    The entry is ``NAME/KEY``; its key depends on ``given``, on the code of the module that defines ``make`` with all
    that it imports (:func:`affect4d.store.keys.code_version`), and on library versions.

    Args:
        store: Where results are kept.
        make: A function or a ``functools.partial`` of one, with all that it depends on named in ``given``. It returns
            a table, an image, a JSON value, or a tuple of these.

    Returns:
        The result as it was written: a tuple stays one, a table loses its index.
    """
    entry = f"{name}/{cache_key(make, **given)}"
    if not store.has(entry):
        with store.write(entry) as folder:
            folder.mkdir()
            _write(make(), folder)
    result: _Result = _read(store.path(entry))
    if isinstance(result, pd.DataFrame):
        result.attrs["entry"] = entry  # a versioned table names it to a prune
    return result


def cached_folder(store: ContentStore, name: str, fill: Callable[[Path], None], /, **given: Any) -> str:
    """The name of a folder that a function fills; as :func:`cached`, for results with files of their own.

    Args:
        store: Where results are kept.
        fill: Called with an empty folder to write into.
    """
    entry = f"{name}/{cache_key(fill, **given)}"
    if not store.has(entry):
        with store.write(entry) as folder:
            folder.mkdir()
            fill(folder)
    return entry


def cache_key(make: Callable[..., Any], /, **given: Any) -> str:
    """Digest of what a result is made from: named values, and the code that makes it."""
    while isinstance(make, functools.partial):
        make = make.func
    return content_key(given=given, code=code_version(make.__module__))


def _write(result: Any, folder: Path) -> None:
    parts = result if isinstance(result, tuple) else (result,)
    index = [_write_part(part, folder, place) for place, part in enumerate(parts)]
    document = {"tuple": isinstance(result, tuple), "parts": index}
    (folder / RESULT_FILE).write_text(json.dumps(document))


def _write_part(part: Any, folder: Path, place: int) -> dict[str, Any]:
    """Write a table or an image to a file of its own; return what the index says of it."""
    if isinstance(part, pd.DataFrame):
        part.to_parquet(folder / f"{place}.parquet")
        return {"table": f"{place}.parquet"}
    if isinstance(part, Image.Image):
        part.save(folder / f"{place}.png")
        return {"image": f"{place}.png"}
    return {"json": part}


def _read(folder: Path) -> Any:
    document = json.loads((folder / RESULT_FILE).read_text())
    parts = tuple(_read_part(part, folder) for part in document["parts"])
    return parts if document["tuple"] else parts[0]


def _read_part(part: dict[str, Any], folder: Path) -> Any:
    if "table" in part:
        return pd.read_parquet(folder / part["table"])
    if "image" in part:
        with Image.open(folder / part["image"], formats=["PNG"]) as image:
            image.load()
            return image
    return part["json"]
