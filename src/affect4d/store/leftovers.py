"""Temporary names of unfinished entries, and the removal of those whose writer is dead."""

import contextlib
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
"""Seconds after which an unfinished entry of another host, whose processes cannot be asked for, is taken for dead."""

_OWNED = re.compile(rf"{re.escape(PREFIX)}(?P<host>.+)~(?P<process>\d+)~[^~]+")


def make_scratch(folder: Path) -> Path:
    """A fresh folder beside the entries, whose name says which process of which host writes there."""
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{_host()}~{os.getpid()}~", dir=folder))


@functools.lru_cache(maxsize=1024)
def sweep_once(folder: Path) -> None:
    """Remove what dead writers left in a folder; once a process and folder."""
    sweep(folder)


def sweep(folder: Path) -> list[Path]:
    """Remove what dead writers left in a folder; return what was removed."""
    dead = [path for path in folder.glob(f"{PREFIX}*") if is_left_behind(path)]
    for path in dead:
        shutil.rmtree(path, ignore_errors=True)
    return dead


def is_left_behind(path: Path) -> bool:
    """Whether the writer of an unfinished entry is gone: its process, or, of another host, its time."""
    owner = _OWNED.fullmatch(path.name)
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
