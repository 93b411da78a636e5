"""The only dataset classes of ours: between disk and domain objects."""

from affect4d.datasets.contact_sheet import ContactSheetDataset
from affect4d.datasets.evidence import EvidenceDataset
from affect4d.datasets.served_model import ServedModelDataset
from affect4d.datasets.stage_seconds import StageSecondsDataset
from affect4d.datasets.store import StoreDataset

__all__ = ["ContactSheetDataset", "EvidenceDataset", "ServedModelDataset", "StageSecondsDataset", "StoreDataset"]
