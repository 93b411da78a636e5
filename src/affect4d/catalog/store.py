"""A content-addressed store as a catalog entry."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from affect4d.content import ContentStore


class StoreDataset(AbstractDataset[None, ContentStore]):
    """Loads as a :class:`~affect4d.content.ContentStore`: a folder of immutable, content-addressed entries.

    The entries are named by versioned manifests; the store itself has no version and is never saved.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> ContentStore:
        """The store; its folder is made on the first write."""
        return ContentStore(self._filepath)

    def save(self, data: None) -> None:
        """Never: entries are written through ``ContentStore.write``."""
        raise DatasetError(f"The store {self._filepath} is written entry by entry, not saved.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
