"""Results of studies, cross-validations and other optional pipelines as a catalog entry."""

from collections.abc import Callable
from typing import Any

from kedro.io import DatasetError
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
