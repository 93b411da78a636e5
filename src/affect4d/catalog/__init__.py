"""The only dataset classes of ours: between disk and domain objects."""

from affect4d.catalog.contact_sheet import ContactSheetDataset
from affect4d.catalog.evidence import EvidenceDataset
from affect4d.catalog.served_model import ServedModelDataset
from affect4d.catalog.stage_seconds import StageSecondsDataset
from affect4d.catalog.store import StoreDataset

__all__ = ["ContactSheetDataset", "EvidenceDataset", "ServedModelDataset", "StageSecondsDataset", "StoreDataset"]
