"""Every run in MLflow; why by hooks of our own: docs/decisions/0002-mlflow-hook.md."""

import atexit
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.io.core import AbstractVersionedDataset
from kedro.pipeline import Pipeline
from pydantic import BaseModel, ConfigDict

from affect4d import tracking
from affect4d.hooks.abandoned import PROCESS, end_abandoned, this_process
from affect4d.hooks.started import code_state, used_parameters

LOGGER = logging.getLogger(__name__)
PARAMETER_LENGTH = 500
SEQUENTIAL = "SequentialRunner"
SQLITE = "sqlite:///"
LOCK_SECONDS = 600.0
"""How long a run waits for another one to make MLflow's tables, which takes seconds."""
TRAINING_EXPERIMENT = {"mlflow.experimentKind": "custom_model_development"}
"""Tells the MLflow page to open on runs and metrics."""


class MlflowOptions(BaseModel):
    """``conf/base/mlflow.yml``.

    Attributes:
        tracking_uri: Where runs are recorded; a relative sqlite path lies in the project.
        experiment: Name of the experiment.
        artifacts: Folder for the artefacts, relative to the project.
        enabled: False records nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tracking_uri: str = "sqlite:///mlflow.db"
    experiment: str = "affect4d"
    artifacts: str = "mlartifacts"
    enabled: bool = True


class TrackingHooks:
    """Open an MLflow run around every Kedro run and write into it what makes the run comparable and repeatable.

    Parameters are logged raw and flattened; curves come from the training loop through
    :func:`affect4d.tracking.reporter`; catalog entries say with ``metadata: {mlflow: metrics | file | model | bundle}``
    what becomes of them; with ``show_faces: false`` there, nothing. The tag ``run_id`` equals Kedro's save version.
    """

    def __init__(self) -> None:
        self._options = MlflowOptions(enabled=False)
        self._project = Path()
        self._parameters: Mapping[str, Any] = {}
        self._catalog: DataCatalog | None = None
        self._upstream: dict[str, str] = {}
        self._run_id = ""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read ``mlflow.yml``."""
        self._options = MlflowOptions(**context.config_loader.get("mlflow", {}))
        self._project = Path(context.project_path)

    @hook_impl
    def after_catalog_created(self, catalog: DataCatalog, parameters: dict[str, Any]) -> None:
        """Keep the catalog and the parameters of the run."""
        self._catalog, self._parameters = catalog, parameters.get("parameters", {})

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Open the run; log its parameters, the code's version and what it was started with."""
        self._upstream = {}
        if not self._options.enabled:
            return
        import mlflow

        self._open_records()
        _warn_of_others(str(run_params.get("runner", "")))
        end_as_killed(self._run_id)  # of a notebook, where a run was interrupted and the next one begins
        name = "+".join(run_params.get("pipeline_names") or ["__default__"]).replace("__default__", "everything")
        parameters = self._raw_parameters()
        run = mlflow.start_run(run_name=f"seed {parameters['seed']} · {parameters['raw_corpus.name']} · {name}")
        atexit.unregister(end_as_killed)
        self._run_id = run.info.run_id
        atexit.register(end_as_killed, self._run_id)  # goes before MLflow's own, which would call it finished
        mlflow.set_tags(self._tags(run_params))
        mlflow.log_params(_short(used_parameters(parameters, pipeline)))

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str) -> None:
        """Note which version of an artefact this run is built on."""
        dataset = self._versioned(dataset_name)
        if dataset is not None:
            self._upstream[f"upstream.{dataset_name}"] = str(dataset.resolve_load_version())

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log what the catalog marks: metrics as numbers, files and model folders as artefacts."""
        if self._is_open() and self._catalog is not None:
            _log_artefact(dataset_name, self._catalog[dataset_name], data)

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self) -> None:
        """Log what the run was built on and the seconds per stage; close it."""
        if self._is_open():
            import mlflow

            mlflow.set_tags(self._upstream)
            mlflow.log_metrics({f"seconds/{stage}": s for stage, s in tracking.stage_seconds().items()})
            mlflow.end_run()

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Close the run as failed, with the reason."""
        if self._is_open():
            import mlflow

            mlflow.set_tags({**self._upstream, "error": f"{type(error).__name__}: {error}"[:PARAMETER_LENGTH]})
            mlflow.end_run("FAILED")

    def _open_records(self) -> None:
        """Open the experiment, one run at a time where it is a file: two that make its tables at once fail."""
        uri = self._options.tracking_uri
        if not uri.startswith(SQLITE):
            self._open_experiment(uri)
            return
        file = self._project / uri.removeprefix(SQLITE)
        with FileLock(f"{file}.lock", timeout=LOCK_SECONDS):
            self._open_experiment(f"{SQLITE}{file}")

    def _open_experiment(self, uri: str) -> None:
        import mlflow

        mlflow.set_tracking_uri(uri)
        if mlflow.get_experiment_by_name(self._options.experiment) is None:
            location = (self._project / self._options.artifacts).as_uri()
            mlflow.create_experiment(self._options.experiment, location, tags=TRAINING_EXPERIMENT)
        end_abandoned(mlflow.set_experiment(self._options.experiment).experiment_id)

    def _tags(self, run_params: Mapping[str, Any]) -> dict[str, str]:
        given = {key: str(value) for key, value in run_params.items() if value}
        return {
            "run_id": str(run_params.get("run_id") or run_params.get("session_id") or ""),
            "command": "kedro " + " ".join(sys.argv[1:]),
            PROCESS: this_process(),
            "kedro.env": given.get("env", "local"),
            **{f"kedro.{key}": given[key] for key in ("load_versions", "runtime_params") if key in given},
            **code_state(self._project),
        }

    def _raw_parameters(self) -> dict[str, Any]:
        return tracking.flatten(_plain(self._parameters))

    def _versioned(self, dataset_name: str) -> AbstractVersionedDataset[Any, Any] | None:
        dataset = self._catalog[dataset_name] if self._catalog and dataset_name in self._catalog else None
        if isinstance(dataset, AbstractVersionedDataset) and dataset._version is not None:
            return dataset
        return None

    def _is_open(self) -> bool:
        if not self._options.enabled:
            return False
        import mlflow

        return mlflow.active_run() is not None


def end_as_killed(run_id: str) -> None:
    """Close a run that is open when the process ends or the next run begins: Kedro tells of errors, not of Ctrl-C."""
    import mlflow

    run = mlflow.active_run()
    if run is not None and run.info.run_id == run_id:
        mlflow.end_run("KILLED")


def _warn_of_others(runner: str) -> None:
    """Other runners save in threads or processes of their own, where the run that was opened here is not seen."""
    if runner and SEQUENTIAL not in runner:
        LOGGER.warning(
            "MLflow gets this run's parameters, but no curves, metrics or files: only Kedro's %s is heard. The stages "
            "spread their work over processes themselves (engine.workers): leave --runner out.",
            SEQUENTIAL,
        )


def _plain(value: Any) -> Any:
    """Parameters as the configuration gave them, also where Kedro has made a validated type of them."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return value


def _short(parameters: Mapping[str, Any]) -> dict[str, str]:
    return {path: str(value)[:PARAMETER_LENGTH] for path, value in parameters.items()}


def _log_artefact(name: str, dataset: Any, data: Any) -> None:
    """Send one saved artefact where its catalog entry's ``metadata.mlflow`` says, unless its faces may not be shown."""
    import mlflow

    told = getattr(dataset, "metadata", None) or {}
    if told.get("show_faces") is False:
        return
    kind = told.get("mlflow")
    if kind == "metrics":
        model = name.removesuffix("_metrics")
        numbers = {f"{model}/{key}".replace(".", "/"): value for key, value in tracking.flatten(data).items()}
        mlflow.log_metrics({path: float(value) for path, value in numbers.items() if _is_number(value)})
        if name.endswith("_metrics"):
            mlflow.log_metrics(tracking.headline(model, data))
    elif kind == "file":
        path = _saved_path(dataset)
        mlflow.log_artifact(str(path), artifact_path=None if path.stem == name else name)
    elif kind == "model":
        _log_model(data)
    elif kind == "bundle":
        tracking.register_bundle(data)
        mlflow.set_tag(tracking.tag_of_bundle(data["model"]), data["key"])


def _log_model(record: Mapping[str, Any]) -> None:
    """Log a trained model's files, unless an earlier run holds them: then name that one.

    The tag ``model.NAME`` is the model's key; ``model.NAME.files`` says where its files are, if not in this run.
    """
    import mlflow

    tag = f"model.{record['model']}"
    run = mlflow.active_run()
    holder = None if run is None else _holder(tag, record["key"], run.info.experiment_id)
    if holder is None:
        mlflow.log_artifacts(record["folder"], artifact_path=f"{record['model']}/model")
    else:
        mlflow.set_tag(f"{tag}.files", f"runs:/{holder}/{record['model']}/model")
    mlflow.set_tag(tag, record["key"])


def _holder(tag: str, key: str, experiment: str) -> str | None:
    """The run of an experiment that has logged the files of a model; None where it was deleted, or there is none."""
    from mlflow import MlflowClient

    runs = MlflowClient().search_runs([experiment], f"tags.`{tag}` = '{key}'")
    return next((run.info.run_id for run in runs if f"{tag}.files" not in run.data.tags), None)


def _saved_path(dataset: Any) -> Path:
    """Where an artefact was just written."""
    if isinstance(dataset, AbstractVersionedDataset) and dataset._version is not None:
        return Path(str(dataset._get_versioned_path(str(dataset.resolve_save_version()))))
    return Path(str(dataset._filepath))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
