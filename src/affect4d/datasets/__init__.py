"""Dataset classes of this project: between disk and domain objects."""

from affect4d.datasets.contact_sheet import ContactSheetDataset
from affect4d.datasets.optional_partitions import OptionalPartitionsDataset
from affect4d.datasets.renamed import RenamedDataset
from affect4d.datasets.served_model import ServedModelDataset
from affect4d.datasets.settings import SettingsDataset
from affect4d.datasets.store import StoreDataset
from affect4d.datasets.trained_model import TrainedModelDataset

__all__ = [
    "ContactSheetDataset",
    "OptionalPartitionsDataset",
    "RenamedDataset",
    "ServedModelDataset",
    "SettingsDataset",
    "StoreDataset",
    "TrainedModelDataset",
]
