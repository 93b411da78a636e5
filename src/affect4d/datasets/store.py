"""A content-addressed store as a catalog entry."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from affect4d.store import ContentStore
from affect4d.store.mirror import Mirror


class StoreDataset(AbstractDataset[None, ContentStore]):
    """Loads as a :class:`~affect4d.store.ContentStore`: immutable, content-addressed entries.

    The entries are named by versioned manifests; the store itself has no version and is never saved.

    Args:
        filepath: The folder.
        url: Where the entries live, if not in that folder: any URL that fsspec knows (``s3://bucket/views``). The
            folder then keeps what was read or made here.
    """

    def __init__(self, *, filepath: str, url: str | None = None, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._mirror = None if url is None else Mirror(url)
        self.metadata = metadata

    def load(self) -> ContentStore:
        """The store; its folder is made on the first write."""
        return ContentStore(self._filepath, self._mirror)

    def save(self, data: None) -> None:
        """Never: entries are written through ``ContentStore.write``."""
        raise DatasetError(f"The store {self._filepath} is written entry by entry, not saved.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "url": None if self._mirror is None else self._mirror.url}
