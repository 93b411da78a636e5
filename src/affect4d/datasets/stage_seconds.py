"""The seconds each stage of this run has taken, as a catalog entry."""

from typing import Any

from kedro.io import AbstractDataset, DatasetError

from affect4d import tracking


class StageSecondsDataset(AbstractDataset[None, dict[str, float]]):
    """Loads as ``{stage: seconds}``, counted by :class:`affect4d.hooks.StageClockHooks` up to this moment."""

    def __init__(self, *, metadata: dict[str, Any] | None = None) -> None:
        self.metadata = metadata

    def load(self) -> dict[str, float]:
        """Seconds per stage so far."""
        return tracking.stage_seconds()

    def save(self, data: None) -> None:
        """Never: the clock writes it."""
        raise DatasetError("Stage seconds are counted by the stage clock, not saved.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {}
