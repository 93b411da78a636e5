"""The model that predicts, by any of the names a user may give."""

import logging
import re
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from affect4d.inference.packaged_model import (
    DESCRIPTION_FILE,
    PackagedModelError,
    find_packaged_model,
    find_project_model,
    packaged_models,
    project_models,
    read_description,
)
from affect4d.tracking import tagged_models

LOGGER = logging.getLogger(__name__)
MLFLOW = re.compile(r"(runs|models):/.+|[0-9a-f]{32}")
NEWEST = 5
"""Versions listed in the error for an unknown one."""


class ServedModelDataset(AbstractDataset[None, Path]):
    """Loads as the folder of a packaged model; is never saved.

    Args:
        model: Name, tried in this order: the folder of a packaged model; one of the project's as
            ``NAME@VERSION``, as ``NAME``, whose newest is taken, or as a version that only one has; an MLflow
            run or model; the name of a packaged model.
        filepath: Folder of the records of the project's packaged models.
    """

    def __init__(self, *, model: str, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._model, self._filepath = str(model), Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        """The folder.

        Raises:
            DatasetError: If no model has that name, or several do; lists the known ones.
        """
        folder, kind = self._find()
        LOGGER.info("Answering with %s (%s%s): %s", self._model, kind, _taught(folder), folder)
        return folder

    def save(self, data: None) -> None:
        """Never.

        Raises:
            DatasetError: Always.
        """
        raise DatasetError("A model is trained, not saved: kedro run --pipeline=package")

    def _find(self) -> tuple[Path, str]:
        if (Path(self._model) / DESCRIPTION_FILE).is_file():
            return Path(self._model), "a folder"
        try:
            own = find_project_model(self._model, self._filepath)
            if own is not None:
                return own.folder, f"of this project, {own.version}"
            if MLFLOW.fullmatch(self._model):
                return self._from_mlflow(), "from MLflow"
            return find_packaged_model(self._model), "of the package"
        except PackagedModelError as error:
            raise DatasetError(f"{error} {self._known()}") from error

    def _from_mlflow(self) -> Path:
        """Fetch the artefacts of a run, or of a registered model, and find the packaged model among them.

        Raises:
            DatasetError: If there is none.
        """
        from mlflow.artifacts import download_artifacts

        uri = self._model if ":/" in self._model else self._of_run(self._model)
        try:
            fetched = Path(download_artifacts(artifact_uri=uri))
        except Exception as error:  # MLflow has an error of its own for every store
            raise DatasetError(f"MLflow has nothing at {uri}: {error}") from error
        found = sorted(fetched.rglob(DESCRIPTION_FILE))
        if not found:
            raise DatasetError(f"No packaged model among what MLflow keeps at {uri}: was a model trained in that run?")
        return found[0].parent

    def _of_run(self, run_id: str) -> str:
        """Where MLflow keeps the packaged model that a run made, or made again.

        Raises:
            DatasetError: If there is no such run, or it made none, or several.
        """
        from mlflow import MlflowClient, MlflowException

        client = MlflowClient()
        try:
            made = tagged_models(client.get_run(run_id).data.tags)
        except MlflowException as error:
            raise DatasetError(f"MLflow has nothing at runs:/{run_id}: {error}") from error
        found = [
            f"models:/{name}/{version.version}"
            for name, key in sorted(made.items())
            for version in client.search_model_versions(f"name='{name}'")
            if version.tags.get("key") == key
        ]
        if len(found) != 1:
            which = f"it made {len(found)}: model={' or model='.join(found)}" if found else "it made none"
            raise DatasetError(f"Which packaged model of the MLflow run {run_id}? {which}.")
        return found[0]

    def _known(self) -> str:
        models = project_models(self._filepath)
        own = sorted({model.name for model in models} - set(packaged_models()))
        named = f"Of this project: {', '.join(own)}. " if own else ""
        asked = self._model.partition("@")[0]
        versions = [model.version for model in models if model.name == asked][:NEWEST]
        named += f"Newest versions of {asked}: {', '.join(versions)}. " if versions else ""
        return f"{named}Or give an MLflow run's id or a model there: models:/affect_vlm@newest."

    def _exists(self) -> bool:
        try:
            self._find()
        except DatasetError:
            return False
        return True

    def _describe(self) -> dict[str, Any]:
        return {"model": self._model, "filepath": str(self._filepath)}


def _taught(folder: Path) -> str:
    """The subjects it was trained on, where known: the newest of a project may be a trial on a few."""
    try:
        origin = read_description(folder).origin
    except PackagedModelError:  # said by whoever opens it, for good
        return ""
    known = {"trained_on", "corpus"} <= set(origin)
    return f", trained on {origin['trained_on']} of {origin['corpus']}" if known else ""
