"""Packaged model as MLflow's python function: MLflow calls ``_load_pyfunc`` with its folder. No pickle.

``mlflow.pyfunc.load_model("models:/affect_vlm@newest").predict(["face.ply"])`` gives a row for each recording.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from affect4d.inference.batch import predict_recordings
from affect4d.inference.find_recordings import find_recordings
from affect4d.inference.packaged_model import read_description
from affect4d.inference.results import ResultTables

PATH = "path"
"""Column of a table of paths."""


class MlflowModel:
    """Predictions for paths: a scan, a folder of scans, or a folder of sequence folders each."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._description = folder, read_description(folder)

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """One row a recording, in order, with the columns of ``docs/predict.md``; failed scans have their reason.

        Args:
            model_input: Paths: a list, or a table with the column ``path``.

        Raises:
            FileNotFoundError: If there is nothing at a path.
        """
        tables = ResultTables(self._description.expressions, self._description.views)
        for path in _paths(model_input):
            for prediction, _ in predict_recordings(find_recordings(path), self._folder):
                tables.add(prediction)
        return tables.tables(by_name=False)[0]


def _paths(given: Any) -> Iterator[Path]:
    """Paths in MLflow's input: a list, an array, a table, or one string."""
    if isinstance(given, str | Path):
        yield Path(given)
        return
    if isinstance(given, pd.DataFrame):
        given = given[PATH] if PATH in given else given.iloc[:, 0]
    for path in given:
        yield Path(str(path[PATH]) if isinstance(path, Mapping) else str(path))


def _load_pyfunc(data_path: str) -> MlflowModel:
    """MLflow's entry point."""
    return MlflowModel(Path(data_path))
