"""Free disk space, temporary names of unfinished entries, and removal of those whose writer is dead."""

import contextlib
import errno
import functools
import os
import re
import shutil
import socket
import tempfile
import time
from pathlib import Path

PREFIX = ".partial-"
FOREIGN_AGE = 24 * 3600.0
"""Seconds after which an unfinished entry of another host, whose processes cannot be looked up, counts as dead."""

_OWNER = re.compile(rf"{re.escape(PREFIX)}(?P<host>.+)~(?P<process>\d+)~[^~]+")


class StoreFullError(OSError):
    """The disk under a store is full; earlier entries are whole, and a run with more space resumes."""


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
    """As :func:`sweep`, once a process and folder."""
    sweep(folder)


def sweep(folder: Path) -> list[Path]:
    """Remove what dead writers left in a folder; return what was removed."""
    dead = [path for path in folder.glob(f"{PREFIX}*") if is_left_behind(path)]
    for path in dead:
        shutil.rmtree(path, ignore_errors=True)
    return dead


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
        return True
    return True
