"""Catalog entries that may be empty, and entries under their former names."""

import warnings
from collections.abc import Callable
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets.partitions import PartitionedDataset


class OptionalPartitionsDataset(PartitionedDataset):  # type: ignore[misc]
    """A partitioned dataset that may be empty: none of the pipelines that write its partitions need have run."""

    def load(self) -> dict[str, Callable[[], Any]]:
        """Name of a partition → function that loads it."""
        try:
            return dict(super().load())
        except DatasetError as error:
            if "No partitions found" in str(error):
                return {}
            raise


class RenamedDataset(AbstractDataset[Any, Any]):
    """An entry under its former name: loads as before, with a warning that gives the new name."""

    def __init__(self, *, name: str, dataset: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        self._name = name
        self._dataset = AbstractDataset.from_config(name, dataset)
        self.metadata = metadata

    def load(self) -> Any:
        """The newest version of the entry."""
        warnings.warn(f"This catalog entry is called {self._name} now; the old name goes.", FutureWarning, stacklevel=2)
        return self._dataset.load()

    def save(self, data: Any) -> None:
        """Never: pipelines write under the new name."""
        raise DatasetError(f"Save under the new name, {self._name}.")

    def _exists(self) -> bool:
        return bool(self._dataset.exists())

    def _describe(self) -> dict[str, Any]:
        return {"name": self._name}
