"""Settings and trained models as versioned JSON records."""

from pathlib import Path
from typing import Any

from kedro_datasets.json import JSONDataset

from affect4d.experiments.settings import ExperimentSettings
from affect4d.store import ContentStore
from affect4d.store.mirror import Mirror


class SettingsDataset(JSONDataset):  # type: ignore[misc]
    """The complete recipe of one model: JSON on disk, validated on loading."""

    def load(self) -> ExperimentSettings:
        """The settings."""
        return ExperimentSettings.model_validate(super().load())

    def save(self, data: ExperimentSettings) -> None:
        """Write them as JSON."""
        super().save(data.model_dump(mode="json"))


class TrainedModelDataset(JSONDataset):  # type: ignore[misc]
    """A record that names a model folder in a store; on loading, ``folder`` is where the model lies now.

    Args:
        store: Folder of the store.
        url: Where the store lives, if not in that folder; see :class:`affect4d.datasets.StoreDataset`.
        record: Arguments of :class:`kedro_datasets.json.JSONDataset`.
    """

    def __init__(self, *, store: str, url: str | None = None, **record: Any) -> None:
        super().__init__(**record)
        self._store = ContentStore(Path(store), None if url is None else Mirror(url))

    def load(self) -> dict[str, Any]:
        """The record, with the present folder of the model: the project may have moved."""
        record = super().load()
        return {**record, "folder": str(self._store.path(record["entry"]))}
