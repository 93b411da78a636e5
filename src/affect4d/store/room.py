"""Room on the disk: how much there is, and a clear word where there is none."""

import errno
import shutil
from pathlib import Path


class StoreFullError(OSError):
    """The disk under a store is full; what was made before is whole, and a run with more room goes on from there."""


def describe_full(folder: Path, name: str, partial: Path) -> StoreFullError:
    """The error to raise where an entry did not fit.

    Args:
        folder: Where it was being written.
        name: Of the entry.
        partial: What of it is there so far.
    """
    free = shutil.disk_usage(folder).free
    return StoreFullError(
        f"No room left in {folder}: {name} had grown to {in_words(size_of(partial))}, and {in_words(free)} are free. "
        "Everything made before it is whole. Make room (`make prune` lists what no manifest names), or move the store "
        "(conf/base/catalog), and run again: it goes on from here."
    )


def is_full(error: BaseException) -> bool:
    """Whether an error means that a disk or a quota is exhausted, also where a library has put it into words."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    return "No space left on device" in str(error) or "Disk quota exceeded" in str(error)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; 0 where there is nothing."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.exists() else 0


def in_words(size: float) -> str:
    """A number of bytes for people.

    >>> in_words(0), in_words(1536), in_words(2.5e9)
    ('0 B', '1.54 kB', '2.5 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
