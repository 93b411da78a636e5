"""A store: immutable entries (files or folders), each named by its content key, each whole if it exists."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from affect4d.store.disk import describe_full, is_full, make_scratch, sweep_once
from affect4d.store.mirror import Mirror


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
        """Copy an entry from its mirror into the folder."""
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
