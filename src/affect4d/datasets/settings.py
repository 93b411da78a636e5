"""The settings of a model as a catalog entry."""

from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractVersionedDataset, Version

from affect4d.experiments.settings import ExperimentSettings


class SettingsDataset(AbstractVersionedDataset[ExperimentSettings, ExperimentSettings]):
    """The complete recipe of one model: a validated object in a run, versioned JSON on disk."""

    def __init__(
        self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(filepath=PurePosixPath(filepath), version=version)
        self.metadata = metadata

    def load(self) -> ExperimentSettings:
        """The settings, validated."""
        return ExperimentSettings.model_validate_json(Path(str(self._get_load_path())).read_text(encoding="utf-8"))

    def save(self, data: ExperimentSettings) -> None:
        """Write them as JSON."""
        path = Path(str(self._get_save_path()))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data.model_dump_json(indent=2), encoding="utf-8")

    def _exists(self) -> bool:
        return Path(str(self._get_load_path())).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
