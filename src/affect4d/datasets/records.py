"""Settings and trained models as versioned JSON records."""

from typing import Any

from kedro_datasets.json import JSONDataset

from affect4d.datasets.store import StoreDataset
from affect4d.experiments.settings import ExperimentSettings


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
        store: Arguments of :class:`affect4d.datasets.StoreDataset`; Kedro makes a ``filepath`` within absolute.
        record: Arguments of :class:`kedro_datasets.json.JSONDataset`.
    """

    def __init__(self, *, store: dict[str, Any], **record: Any) -> None:
        super().__init__(**record)
        self._store = StoreDataset(**store).load()

    def load(self) -> dict[str, Any]:
        """The record, with the present folder of the model: the project may have moved."""
        record = super().load()
        return {**record, "folder": str(self._store.path(record["entry"]))}
