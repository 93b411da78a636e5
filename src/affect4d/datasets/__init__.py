"""Dataset classes of this project: between disk and domain objects."""

from affect4d.datasets.contact_sheet import ContactSheetDataset
from affect4d.datasets.model_by_name import ServedModelDataset
from affect4d.datasets.records import SettingsDataset, TrainedModelDataset
from affect4d.datasets.store import StoreDataset
from affect4d.datasets.wrappers import OptionalPartitionsDataset, RenamedDataset

__all__ = [
    "ContactSheetDataset",
    "OptionalPartitionsDataset",
    "RenamedDataset",
    "ServedModelDataset",
    "SettingsDataset",
    "StoreDataset",
    "TrainedModelDataset",
]
