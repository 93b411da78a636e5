"""A bundle as MLflow serves models: it calls ``_load_pyfunc`` with the bundle's folder. No pickle, and no mlflow here.

``mlflow.pyfunc.load_model("models:/affect_vlm@newest").predict(["face.ply"])`` gives a row of answers for each scan.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from affect4d.inference.batch import predict_recordings
from affect4d.inference.bundle import read_description
from affect4d.inference.recordings import find_recordings
from affect4d.inference.tables import AnswerTables

PATH = "path"
"""Column of a table of paths."""


class BundleModel:
    """Answers for paths: a scan, a folder of scans, or a folder of sequence folders each.

    Args:
        folder: Of the bundle.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._told = folder, read_description(folder)

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """One row a recording, in order, the columns of ``docs/predict.md``; a bad scan is a row that says why.

        Args:
            model_input: Paths: a list, or a table with the column ``path``.
            params: MLflow's; there are none.

        Raises:
            FileNotFoundError: If there is nothing at a path.
        """
        tables = AnswerTables(self._told.expressions, self._told.views)
        for path in _paths(model_input):
            for answer, _ in predict_recordings(find_recordings(path), self._folder):
                tables.add(answer)
        return tables.tables(by_name=False)[0]


def _paths(given: Any) -> Iterator[Path]:
    """Paths in whatever MLflow hands over: a list, an array, a table, a single text."""
    if isinstance(given, str | Path):
        yield Path(given)
        return
    if isinstance(given, pd.DataFrame):
        given = given[PATH] if PATH in given else given.iloc[:, 0]
    for path in given:
        yield Path(str(path[PATH]) if isinstance(path, Mapping) else str(path))


def _load_pyfunc(data_path: str) -> BundleModel:
    """What MLflow calls to open the model."""
    return BundleModel(Path(data_path))
