"""A content store: immutable entries (files or folders), each named by its content key, each whole if it exists.

:func:`cached` and :func:`cached_folder` compute a result once and keep it in a store.

With a mirror, the entries live at a URL: any place that fsspec can write to (``s3://``, ``gs://``, ``file://``,
``memory://`` …). Object stores rename nothing, so an entry is whole there when its list is: ``NAME.files.json``, with
the digest of every file, is written last. What is fetched is checked against it.
"""

import contextlib
import errno
import functools
import json
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from PIL import Image

from affect4d.store.content_and_code_digests import code_version, content_key, file_digest

_Result = TypeVar("_Result")
RESULT_FILE = "result.json"
LIST_SUFFIX = ".files.json"
PREFIX = ".partial-"
FOREIGN_AGE = 24 * 3600.0
"""Seconds after which an unfinished entry of another host, whose processes cannot be looked up, counts as dead."""

_OWNER = re.compile(rf"{re.escape(PREFIX)}(?P<host>.+)~(?P<process>\d+)~[^~]+")


class StoreFullError(OSError):
    """The disk under a store is full; earlier entries are whole, and a run with more space resumes."""


class DamagedEntryError(OSError):
    """Fetched bytes are not those that were sent."""


@dataclass(frozen=True)
class Mirror:
    """Entries at a URL; credentials and endpoints are fsspec's own (its files, or ``FSSPEC_…`` variables)."""

    url: str

    def has(self, name: str) -> bool:
        """Whether the entry is there, whole."""
        place, root = self._open()
        return bool(place.exists(f"{root}/{name}{LIST_SUFFIX}"))

    def send(self, local: Path, name: str) -> None:
        """Copy an entry there: its files, then their list; an error of fsspec becomes an :class:`OSError`."""
        place, root = self._open()
        files = sorted(file for file in local.rglob("*") if file.is_file()) if local.is_dir() else [local]
        digests = {"" if file == local else file.relative_to(local).as_posix(): file_digest(file) for file in files}
        try:
            for inner, file in zip(digests, files, strict=True):
                target = _inside(f"{root}/{name}", inner)
                place.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
                place.put_file(str(file), target)
            place.pipe_file(f"{root}/{name}{LIST_SUFFIX}", json.dumps(digests).encode())
        except Exception as error:  # every protocol has its own
            raise OSError(f"The entry {name} could not be written to {self.url}: {error or type(error)}") from error

    def fetch(self, name: str, local: Path) -> None:
        """Copy an entry from there to a new path; a DamagedEntryError if its bytes are not those that were sent."""
        place, root = self._open()
        digests = json.loads(place.cat_file(f"{root}/{name}{LIST_SUFFIX}"))
        if "" not in digests:
            local.mkdir(parents=True)
        for inner, digest in digests.items():
            target = local / inner if inner else local
            target.parent.mkdir(parents=True, exist_ok=True)
            place.get_file(_inside(f"{root}/{name}", inner), str(target))
            if file_digest(target) != digest:
                raise DamagedEntryError(
                    f"{self.url}/{name} {inner}: its bytes are not those that were sent. Try again; if it stays so, "
                    f"delete {name}{LIST_SUFFIX} there, and the entry is made anew."
                )

    def _open(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        place, root = url_to_fs(self.url)
        return place, str(root).rstrip("/")


def _inside(entry: str, inner: str) -> str:
    return f"{entry}/{inner}" if inner else entry


@dataclass(frozen=True)
class ContentStore:
    """A folder of entries; with a mirror, the entries live at a URL and the folder is their cache."""

    root: Path
    mirror: Mirror | None = None

    def path(self, name: str) -> Path:
        """Where the entry of that name is, fetched from the mirror if need be; or where it would be."""
        target = self.root / name
        if self.mirror is not None and not target.exists() and self.mirror.has(name):
            self._fetch(self.mirror, name)
        return target

    def has(self, name: str) -> bool:
        """Whether the entry is there, and therefore whole; a look-up counts as use, for a prune."""
        try:
            os.utime(self.root / name)
        except FileNotFoundError:
            return self.mirror is not None and self.mirror.has(name)
        except OSError:  # a store that may be read only
            return (self.root / name).exists()
        return True

    @contextlib.contextmanager
    def write(self, name: str, durable: bool = True) -> Iterator[Path]:
        """Give a temporary path to write a file or a folder to; rename it into place when the block ends well.

        An exception inside the block leaves no entry. If another process finished the same entry first, its stays.

        Args:
            durable: Force the bytes to disk first; without, a power cut (not a crash) may leave a broken entry.

        Raises:
            StoreFullError: If the disk is full.
        """
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep_once(target.parent)
        scratch = make_scratch(target.parent)
        partial = scratch / target.name
        try:
            yield partial
            if durable:
                _sync(partial)
            if self.mirror is not None:
                self.mirror.send(partial, name)
            _put_in_place(partial, target)
        except Exception as error:
            if is_full(error):
                raise describe_full(target.parent, name, partial) from error
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _fetch(self, mirror: Mirror, name: str) -> None:
        with ContentStore(self.root).write(name, durable=False) as partial:
            mirror.fetch(name, partial)


def _put_in_place(partial: Path, target: Path) -> None:
    """Rename, unless somebody else finished first: theirs is as good, and may be open (a file would be replaced)."""
    if target.exists():
        return
    with contextlib.suppress(OSError):  # a folder that somebody put there just now
        partial.rename(target)
    if not target.exists():
        raise OSError(f"The entry {target} could not be put in place.")


def _sync(path: Path) -> None:
    """Force a file, or every file of a folder, to disk."""
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


def cached(store: ContentStore, name: str, make: Callable[[], _Result], /, **given: Any) -> _Result:
    """What a function returns, computed once and then read from the store.

    The entry is ``NAME/KEY``; its key depends on ``given``, on the code of the module that defines ``make`` with all
    that it imports (:func:`affect4d.store.content_and_code_digests.code_version`), and on library versions.

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
    """The name of a folder that ``fill``, called with it empty, fills; as :func:`cached`, for files of their own."""
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


def describe_full(folder: Path, name: str, partial: Path) -> StoreFullError:
    """The error for an entry that did not fit into a folder; ``partial`` is what was written of it."""
    free = shutil.disk_usage(folder).free
    return StoreFullError(
        f"No room left in {folder}: {name} had grown to {format_size(size_of(partial))}, and {format_size(free)} are "
        "free. Everything made before it is whole. Make room (`make prune` lists what no manifest names), or move the "
        "store (conf/base/catalog), and run again: it goes on from here."
    )


def is_full(error: BaseException) -> bool:
    """Whether an error means that a disk or a quota is exhausted, also where a library has reworded it."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    return "No space left on device" in str(error) or "Disk quota exceeded" in str(error)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; 0 where there is nothing."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.exists() else 0


def format_size(size: float) -> str:
    """A number of bytes in words.

    >>> format_size(0), format_size(1536), format_size(2.5e9)
    ('0 B', '1.54 kB', '2.5 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def make_scratch(folder: Path) -> Path:
    """A fresh folder beside the entries, whose name holds the host and process that write there."""
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{_host()}~{os.getpid()}~", dir=folder))


@functools.lru_cache(maxsize=1024)
def sweep_once(folder: Path) -> None:
    """Remove what dead writers left in a folder, once a process."""
    for path in folder.glob(f"{PREFIX}*"):
        if is_left_behind(path):
            shutil.rmtree(path, ignore_errors=True)


def is_left_behind(path: Path) -> bool:
    """Whether the writer of an unfinished entry is gone: its process or, of another host, its time."""
    owner = _OWNER.fullmatch(path.name)
    if owner is not None and owner["host"] == _host():
        return not _runs(int(owner["process"]))
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime > FOREIGN_AGE
    return False


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
