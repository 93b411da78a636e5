"""The record of a trained model as a catalog entry."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractVersionedDataset, Version

from affect4d.store import ContentStore
from affect4d.store.mirror import Mirror


class TrainedModelDataset(AbstractVersionedDataset[dict[str, Any], dict[str, Any]]):
    """A versioned JSON record that names a model folder in a store.

    On loading, ``folder`` is where the model lies now: the project may have moved, or the store may live at a URL.

    Args:
        filepath: The record.
        store: Folder of the store.
        url: Where the store lives, if not in that folder; see :class:`affect4d.datasets.StoreDataset`.
        version: Kedro's.
        metadata: Kedro's.
    """

    def __init__(
        self,
        *,
        filepath: str,
        store: str,
        url: str | None = None,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=PurePosixPath(filepath), version=version)
        self._store = ContentStore(Path(store), None if url is None else Mirror(url))
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """The record, with the present folder of the model."""
        record: dict[str, Any] = json.loads(Path(str(self._get_load_path())).read_text(encoding="utf-8"))
        return {**record, "folder": str(self._store.path(record["entry"]))}

    def save(self, data: dict[str, Any]) -> None:
        """Write the record."""
        path = Path(str(self._get_save_path()))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=2), encoding="utf-8")

    def _exists(self) -> bool:
        return Path(str(self._get_load_path())).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "store": str(self._store.root), "version": self._version}
