"""The same entries at a URL: any place that fsspec can write to (``s3://``, ``gs://``, ``file://``, ``memory://`` …).

Object stores rename nothing, so an entry is whole when its list is there: ``NAME.files.json``, written last, with the
digest of every file. What is fetched is checked against it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affect4d.store.keys import file_digest

LIST_SUFFIX = ".files.json"


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
        """Copy an entry there: its files, then their list.

        Raises:
            OSError: If it could not be written there.
        """
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
        """Copy an entry from there to a path that does not exist yet.

        Raises:
            DamagedEntryError: If a file's bytes are not those that were sent.
        """
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
