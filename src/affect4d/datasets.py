"""Kedro datasets of this project: stores, settings, models, contact sheets, optional and renamed catalog entries."""

import base64
import logging
import re
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractDataset, AbstractVersionedDataset, DatasetError, Version
from kedro_datasets._typing import ImagePreview
from kedro_datasets.json import JSONDataset
from kedro_datasets.partitions import PartitionedDataset
from PIL import Image

from affect4d.experiments.settings import ExperimentSettings
from affect4d.inference.packaged_model_description import (
    DESCRIPTION_FILE,
    FORMER_DESCRIPTION_FILE,
    PackagedModelError,
    description_file,
    find_packaged_model,
    find_project_model,
    packaged_models,
    project_models,
    read_description,
)
from affect4d.store import ContentStore, Mirror
from affect4d.tracking import tagged_models

LOGGER = logging.getLogger(__name__)
MLFLOW = re.compile(r"(runs|models):/.+|[0-9a-f]{32}")
LISTED_VERSIONS = 5  # versions listed in the error for an unknown one
PREVIEW_RATIO = 458 / 300  # width to height of Kedro-Viz's preview, which stretches an image to it


class StoreDataset(AbstractDataset[None, ContentStore]):
    """Loads as a :class:`~affect4d.store.ContentStore`, whose entries versioned manifests name; is never saved.

    With ``url`` (any that fsspec knows) entries live there, and the folder keeps what was read or made here.
    """

    def __init__(self, *, filepath: str, url: str | None = None, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._mirror = None if url is None else Mirror(url)
        self.metadata = metadata

    def load(self) -> ContentStore:
        """The store; its folder is made on the first write."""
        return ContentStore(self._filepath, self._mirror)

    def save(self, data: None) -> None:
        """Never: entries are written through ``ContentStore.write``."""
        raise DatasetError(f"The store {self._filepath} is written entry by entry, not saved.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "url": None if self._mirror is None else self._mirror.url}


class SettingsDataset(JSONDataset):  # type: ignore[misc]
    """All settings of one model: JSON on disk, validated on loading."""

    def load(self) -> ExperimentSettings:
        """The settings."""
        return ExperimentSettings.model_validate(super().load())

    def save(self, data: ExperimentSettings) -> None:
        """Write them as JSON."""
        super().save(data.model_dump(mode="json"))


class TrainedModelDataset(JSONDataset):  # type: ignore[misc]
    """A JSON ``record`` (as JSONDataset's) of a folder in a ``store``; on loading, ``folder`` is where it lies now."""

    def __init__(self, *, store: dict[str, Any], **record: Any) -> None:
        super().__init__(**record)
        self._store = StoreDataset(**store).load()

    def load(self) -> dict[str, Any]:
        """The record, with the present folder of the model: the project may have moved."""
        record = super().load()
        return {**record, "folder": str(self._store.path(record["entry"]))}


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


class RenamedDataset(AbstractDataset[Any, Any]):
    """An entry under its former name: loads as before, with a warning that gives the new name."""

    def __init__(self, *, name: str, dataset: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        self._name = name
        self._dataset = AbstractDataset.from_config(name, dataset)
        self.metadata = metadata

    def load(self) -> Any:
        """The newest version of the entry."""
        warnings.warn(f"This catalog entry is called {self._name} now; the old name goes.", FutureWarning, stacklevel=2)
        return self._dataset.load()

    def save(self, data: Any) -> None:
        """Never: pipelines write under the new name."""
        raise DatasetError(f"Save under the new name, {self._name}.")

    def _exists(self) -> bool:
        return bool(self._dataset.exists())

    def _describe(self) -> dict[str, Any]:
        return {"name": self._name}


class ContactSheetDataset(AbstractVersionedDataset[Image.Image, Image.Image]):
    """A contact sheet as a versioned PNG; ``preview: true``, in Kedro-Viz, is for corpora of synthetic faces only."""

    def __init__(
        self,
        *,
        filepath: str,
        preview: bool = False,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=PurePosixPath(filepath), version=version)
        self._preview = preview
        self.metadata = metadata

    def load(self) -> Image.Image:
        """The image, fully read."""
        with Image.open(str(self._get_load_path()), formats=["PNG"]) as image:
            image.load()
            return image

    def save(self, data: Image.Image) -> None:
        """Write it as PNG."""
        path = Path(str(self._get_save_path()))
        path.parent.mkdir(parents=True, exist_ok=True)
        data.save(path, format="PNG", compress_level=1)

    def preview(self) -> ImagePreview:
        """The newest sheet, base64-encoded; an empty image for faces of real people."""
        image = self.load() if self._preview else Image.new("RGB", (1, 1), "white")
        buffer = BytesIO()
        _pad_to_preview(image).save(buffer, format="PNG")
        return ImagePreview(base64.b64encode(buffer.getvalue()).decode())

    def _exists(self) -> bool:
        return Path(str(self._get_load_path())).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}


def _pad_to_preview(image: Image.Image) -> Image.Image:
    """The image on white of the preview's proportions, so that faces keep theirs."""
    width = max(image.width, round(image.height * PREVIEW_RATIO))
    height = max(image.height, round(image.width / PREVIEW_RATIO))
    padded = Image.new("RGB", (width, height), "white")
    padded.paste(image.convert("RGB"), ((width - image.width) // 2, (height - image.height) // 2))
    return padded


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
        """The folder; a DatasetError lists the known models if none has that name, or several have."""
        folder, kind = self.find()
        LOGGER.info("Predicting with %s (%s%s): %s", self._model, kind, _training_data(folder), folder)
        return folder

    def save(self, data: None) -> None:
        """Never."""
        raise DatasetError("A model is trained, not saved: kedro run --pipeline=package")

    def find(self) -> tuple[Path, str]:
        """The folder and where it was found; a DatasetError as on loading."""
        if description_file(Path(self._model)).is_file():
            return Path(self._model), "a folder"
        try:
            own = find_project_model(self._model, self._filepath)
            if own is not None:
                return own.folder, f"of this project, {own.version}"
            if MLFLOW.fullmatch(self._model):
                return fetch_from_mlflow(self._model), "from MLflow"
            return find_packaged_model(self._model), "of the package"
        except PackagedModelError as error:
            raise DatasetError(f"{error} {self._known()}") from error

    def _known(self) -> str:
        models = project_models(self._filepath)
        own = sorted({model.name for model in models} - set(packaged_models()))
        known = f"Of this project: {', '.join(own)}. " if own else ""
        name = self._model.partition("@")[0]
        versions = [model.version for model in models if model.name == name][:LISTED_VERSIONS]
        known += f"Newest versions of {name}: {', '.join(versions)}. " if versions else ""
        return f"{known}Or give an MLflow run's id or a model there: models:/affect_vlm@newest."

    def _exists(self) -> bool:
        try:
            self.find()
        except DatasetError:
            return False
        return True

    def _describe(self) -> dict[str, Any]:
        return {"model": self._model, "filepath": str(self._filepath)}


class ModelFinderDataset(AbstractDataset[None, Callable[[str], Path]]):
    """Loads as a function from a name, as :class:`ServedModelDataset` takes it, to the folder of the packaged model.

    A name of the package's is the package's, however many models the project has trained under it: the newest of those
    would be another one in every run.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Callable[[str], Path]:
        """The function; it raises a DatasetError that lists the known models."""
        return self._find

    def save(self, data: None) -> None:
        """Never."""
        raise DatasetError("Models are found, not saved.")

    def _find(self, model: str) -> Path:
        if model in packaged_models():
            return find_packaged_model(model)
        return ServedModelDataset(model=model, filepath=str(self._filepath)).find()[0]

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


def fetch_from_mlflow(model: str) -> Path:
    """Fetch the artefacts of an MLflow run or registered model; return the folder of the packaged model among them."""
    from mlflow.artifacts import download_artifacts

    uri = model if ":/" in model else _model_of_run(model)
    try:
        fetched = Path(download_artifacts(artifact_uri=uri))
    except Exception as error:  # MLflow has an error of its own for every store
        raise DatasetError(f"MLflow has nothing at {uri}: {error}") from error
    found = sorted([*fetched.rglob(DESCRIPTION_FILE), *fetched.rglob(FORMER_DESCRIPTION_FILE)])
    if not found:
        raise DatasetError(f"No packaged model among the files of MLflow at {uri}: was a model trained in that run?")
    return found[0].parent


def _model_of_run(run_id: str) -> str:
    """MLflow's URI of the packaged model that a run made, or found made."""
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


def _training_data(folder: Path) -> str:
    """What the model was trained on, where known: the newest of a project may be a trial on a few subjects."""
    try:
        origin = read_description(folder).origin
    except PackagedModelError:  # raised again by whatever opens the folder
        return ""
    known = {"trained_on", "corpus"} <= set(origin)
    return f", trained on {origin['trained_on']} of {origin['corpus']}" if known else ""
