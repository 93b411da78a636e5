"""What happens beside the pipelines: the stage clock, a word on settings not read, and every run in MLflow."""

import atexit
import gc
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from kedro.config import AbstractConfigLoader, OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.io.core import AbstractVersionedDataset
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import BaseModel, ConfigDict

from affect4d import tracking
from affect4d.memory import keep_freed_memory

LOGGER = logging.getLogger(__name__)
PARAMETER_LENGTH = 500
PLACES = ("ict_folder", "root")
"""Parameters that say where something lies on one machine."""
SQLITE = "sqlite:///"
LOCK_SECONDS = 600.0
"""How long a run waits for another one to make MLflow's tables, which takes seconds."""
BESIDE_LOCAL = ("local", "ci")
"""Environments that are nobody's to be told about: the user's own, and the tests', which leave it out on purpose."""
TRAINING_EXPERIMENT = {"mlflow.experimentKind": "custom_model_development"}
"""Tells the MLflow page to open on runs and metrics."""


class StageClockHooks:
    """Count each node's loading, computing and saving towards its stage (its tag); not MLflow's bookkeeping."""

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Start from zero, and spare the garbage collector the objects that imports left behind.

        Walking them took 0.1 to 0.2 seconds a time, several times a run.
        """
        gc.freeze()
        keep_freed_memory()
        tracking.start_run()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Let everything be collected again: libraries that count their objects at exit would report leaks."""
        gc.unfreeze()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Likewise."""
        gc.unfreeze()

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """The first input of a node starts its clock."""
        tracking.start_clock(node.name)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """The computation has ended."""
        tracking.mark_clock(node.name, stage_of(node))

    @hook_impl
    def before_dataset_saved(self, node: Node) -> None:
        """An output is about to be saved."""
        tracking.resume_clock(node.name)

    @hook_impl(tryfirst=True)
    def after_dataset_saved(self, node: Node) -> None:
        """An output is on disk."""
        tracking.mark_clock(node.name, stage_of(node))


class AccountHooks:
    """Be ready to tell what a run was started with, for whoever gives an account of a result."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep where configuration and code lie."""
        self._context = context

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Nothing is read before somebody asks."""
        context = self._context
        if context is not None:
            loader, project = context.config_loader, Path(context.project_path)
            tracking.tell_start(
                lambda: {"changes": changed_parameters(loader, pipeline), "commit": short_commit(project)}
            )


class UnreadSettingsHooks:
    """Say which of the user's own settings a run leaves out: Kedro reads ``conf/base`` and one other environment."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Warn before anything is computed."""
        environment = context.config_loader.env
        unread = unread_settings(Path(context.config_loader.conf_source), environment)
        if unread:
            LOGGER.warning(
                "NOT READ under --env=%s: %s. To have both, run without --env after: cp conf/%s/parameters.yml "
                "conf/local/parameters_%s.yml; or say with --params what those files say.",
                environment,
                ", ".join(unread),
                environment,
                environment,
            )


class WritableHooks:
    """Say before anything is computed that a folder may not be written."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Look at every folder of this machine that the run writes its artefacts to.

        Raises:
            PermissionError: If this user may not write there, or nobody: a file system mounted for reading.
        """
        for name in sorted(pipeline.all_outputs()):
            dataset = catalog.get(name)
            path = getattr(dataset, "_filepath", None)
            if path is None or getattr(dataset, "_protocol", "file") != "file":
                continue
            folder = next(place for place in Path(path).absolute().parents if place.exists())
            if not os.access(folder, os.W_OK):
                raise PermissionError(
                    f"The folder {folder} may not be written, and {name} belongs there. Make it writable "
                    f"(chmod -R u+w, as its owner), or run in a project folder of your own; nothing was computed."
                )


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
    what becomes of them. The tag ``run_id`` equals Kedro's save version.
    """

    def __init__(self) -> None:
        self._options = MlflowOptions(enabled=False)
        self._project = Path()
        self._parameters: Mapping[str, Any] = {}
        self._catalog: DataCatalog | None = None
        self._upstream: dict[str, str] = {}

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
        name = "+".join(run_params.get("pipeline_names") or ["__default__"]).replace("__default__", "everything")
        parameters = self._raw_parameters()
        run = mlflow.start_run(run_name=f"seed {parameters['seed']} · {parameters['raw_corpus.name']} · {name}")
        atexit.unregister(end_as_killed)
        atexit.register(end_as_killed, run.info.run_id)  # goes before MLflow's own, which would call it finished
        mlflow.set_tags(self._tags(run_params))
        mlflow.log_params(_short(_used(parameters, pipeline)))

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
        mlflow.set_experiment(self._options.experiment)

    def _tags(self, run_params: Mapping[str, Any]) -> dict[str, str]:
        given = {key: str(value) for key, value in run_params.items() if value}
        return {
            "run_id": str(run_params.get("run_id") or run_params.get("session_id") or ""),
            "command": "kedro " + " ".join(sys.argv[1:]),
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


def unread_settings(conf: Path, environment: str | None) -> list[str]:
    """The files of ``conf/local`` that a run in another environment leaves out, with their folders' names."""
    if environment in (None, "", *BESIDE_LOCAL):
        return []
    found = sorted(file for kind in ("*.yml", "*.yaml", "*.json") for file in (conf / "local").rglob(kind))
    return [file.relative_to(conf.parent).as_posix() for file in found]


def changed_parameters(loader: AbstractConfigLoader, pipeline: Pipeline) -> dict[str, Any]:
    """The parameters that a run reads and that are not as in ``conf/base``, by dotted name.

    Left out are which corpus it is, what other corpora are, where things lie and how many processes work on it: a
    result tells the first itself, and does not depend on the others.
    """
    given = tracking.flatten(loader["parameters"])
    base = OmegaConfigLoader(str(loader.conf_source), base_env="base", default_run_env="base")["parameters"]
    known = tracking.flatten(base)
    changed = {path: value for path, value in _used(given, pipeline).items() if known.get(path, value) != value}
    added = {path: value for path, value in _used(given, pipeline).items() if path not in known}
    own = f"raw_corpus.known.{given.get('raw_corpus.name')}."
    return {
        path: value
        for path, value in {**changed, **added}.items()
        if path != "raw_corpus.name"
        and not path.startswith("engine.")
        and path.rpartition(".")[2] not in PLACES
        and (path.startswith(own) or not path.startswith("raw_corpus.known."))
    }


def short_commit(project: Path) -> str:
    """Git commit of the project, with a ``+`` where its files differ; "" where git cannot tell."""
    state = code_state(project)
    return f"{state['git.commit']}{'+' if state['git.dirty'] == 'true' else ''}" if state else ""


def end_as_killed(run_id: str) -> None:
    """Close a run that is still open when the process ends: Kedro tells of errors, not of Ctrl-C."""
    import mlflow

    run = mlflow.active_run()
    if run is not None and run.info.run_id == run_id:
        mlflow.end_run("KILLED")


def stage_of(node: Node) -> str:
    """The stage a node belongs to: the tag its pipeline gives it."""
    return min(node.tags, default="other")


def code_state(project: Path) -> dict[str, str]:
    """Git commit of the project and whether the tree differs from it; empty where git cannot tell."""
    try:
        commit = _git(project, "rev-parse", "HEAD")
        dirty = bool(_git(project, "status", "--porcelain"))
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"git.commit": commit, "git.dirty": str(dirty).lower()}


def _git(project: Path, *words: str) -> str:
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(["git", *words], cwd=project, env=quiet, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _plain(value: Any) -> Any:
    """Parameters as the configuration gave them, also where Kedro has made a validated type of them."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return value


def _used(parameters: Mapping[str, Any], pipeline: Pipeline) -> dict[str, Any]:
    """The parameters some node of this run reads."""
    names = {name.removeprefix("params:") for name in pipeline.inputs() if name.startswith("params:")}
    return {
        path: value
        for path, value in parameters.items()
        if any(path == name or path.startswith(f"{name}.") for name in names)
    }


def _short(parameters: Mapping[str, Any]) -> dict[str, str]:
    return {path: str(value)[:PARAMETER_LENGTH] for path, value in parameters.items()}


def _log_artefact(name: str, dataset: Any, data: Any) -> None:
    """Send one saved artefact where its catalog entry's ``metadata.mlflow`` says."""
    import mlflow

    kind = (getattr(dataset, "metadata", None) or {}).get("mlflow")
    if kind == "metrics":
        model = name.removesuffix("_metrics")
        numbers = {f"{model}/{key}".replace(".", "/"): value for key, value in tracking.flatten(data).items()}
        mlflow.log_metrics({path: float(value) for path, value in numbers.items() if _is_number(value)})
        if name.endswith("_metrics"):
            mlflow.log_metrics(tracking.headline(model, data))
    elif kind == "file":
        mlflow.log_artifact(str(_saved_path(dataset)))
    elif kind == "model":
        mlflow.log_artifacts(data["folder"], artifact_path=f"{data['model']}/model")
        mlflow.set_tag(f"model.{data['model']}", data["key"])
    elif kind == "bundle":
        tracking.register_bundle(data)


def _saved_path(dataset: Any) -> Path:
    """Where an artefact was just written."""
    if isinstance(dataset, AbstractVersionedDataset) and dataset._version is not None:
        return Path(str(dataset._get_versioned_path(str(dataset.resolve_save_version()))))
    return Path(str(dataset._filepath))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
