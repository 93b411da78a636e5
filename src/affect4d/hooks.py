"""Kedro hooks: checks before a run, artefacts beside those of the nodes, and a record of every run in MLflow."""

import atexit
import contextlib
import datetime
import importlib.metadata
import logging
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock
from kedro.config import AbstractConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import AbstractVersionedDataset, Version
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import BaseModel

from affect4d import configuration_layers_and_checks as configuration
from affect4d import tracking
from affect4d.left_out import LeftOut
from affect4d.malloc_and_peak_memory import keep_freed_memory

LOGGER = logging.getLogger(__name__)
TRAINED_METHODS = ("params:affect_vlm", "params:smile_vlm")
LIBRARIES = (
    "affect4d", "kedro", "torch", "open_clip_torch", "pyvista", "vtk", "numpy", "pandas", "scikit-learn",
)  # fmt: skip
PARAMETER_LENGTH = 500
NAME_LENGTH = 120
EXPERIMENTS: Mapping[str, tuple[str, ...]] = {
    "studies": ("study_", "cross_validate", "robustness"),
    "predictions": ("predict", "landmarks", "export"),
}
"""Ending of an MLflow experiment's name → beginnings of the names of its pipelines."""
SQLITE = "sqlite:///"
LOCK_SECONDS = 600.0  # how long a run waits for another one to create MLflow's tables, which takes seconds


class PreflightHooks:
    """Refuse misspelt parameters and absent GPUs before anything is computed; warn of former names."""

    def __init__(self) -> None:
        self._loader: AbstractConfigLoader | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep the configuration; warn of settings that nothing reads."""
        self._loader = context.config_loader
        configuration.check_settings(context.config_loader)

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: Mapping[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Check names of parameters and devices; ValueError if one is unknown or absent."""
        given = run_params.get("runtime_params") or {}
        warn_of_former_names(run_params.get("pipeline_names") or (), configuration.FORMER_PIPELINES)
        warn_of_former_names(given, configuration.FORMER_PARAMETERS)
        if self._loader is not None:
            configuration.check_parameters(self._loader, given, pipelines.values())
        check_devices(pipeline, catalog)


def warn_of_former_names(given: Iterable[str], former: Mapping[str, str]) -> None:
    """Warn of every given name that is a former one."""
    for name in given:
        if name in former:
            LOGGER.warning("%s is called %s now; the old name goes.", name, former[name])


def check_devices(pipeline: Pipeline, catalog: DataCatalog) -> None:
    """Find the devices that trainings name (ValueError if there is no such GPU); torch is loaded for those alone."""
    options = (catalog[name].load() for name in pipeline.inputs() if name in TRAINED_METHODS)
    for device in sorted({method.train.device for method in options} - {"auto", "cpu"}):
        from affect4d.training.device import choose_device

        choose_device(device)


class ArtefactHooks:
    """Artefacts beside those of the nodes.

    ``run_info`` and ``stage_seconds`` are filled in for the nodes that take them. A catalog entry may say
    ``metadata: {latest: PATH}``, where a copy of its newest version lies, and ``metadata: {console: {title: …, columns:
    […]}}``, to be shown on the terminal. A run reads the versions that it wrote itself.
    """

    def __init__(self) -> None:
        self._context: KedroContext | None = None
        self._catalog: DataCatalog | None = None
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._marks: dict[str, float] = {}
        self._left_out: defaultdict[str, list[str]] = defaultdict(list)

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep the project's place and configuration."""
        self._context = context

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Describe the run for its nodes; pin the versions that it will write."""
        keep_freed_memory()
        self._catalog = catalog
        self._seconds.clear()
        self._marks.clear()
        self._left_out.clear()
        if "run_info" in pipeline.inputs():
            catalog["run_info"].save(self._describe_run(pipeline))
        pin_versions(pipeline, catalog)

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        """Start the clock of a node with its first input."""
        self._marks.setdefault(node.name, time.perf_counter())
        if dataset_name == "stage_seconds" and self._catalog is not None:
            seconds = {stage: round(value, 3) for stage, value in self._seconds.items()}
            self._catalog["stage_seconds"].save(seconds)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Count loading and computing."""
        self._count(node)

    @hook_impl
    def before_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Leave out of the count what other hooks did since; keep a left-out result in memory, and not on disk."""
        self._marks[node.name] = time.perf_counter()
        if isinstance(data, LeftOut) and self._catalog is not None:
            self._left_out[data.reason].append(dataset_name)
            self._catalog[dataset_name] = MemoryDataset()

    @hook_impl(tryfirst=True)
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Count saving; keep the latest copy and show the artefact, where its catalog entry says so."""
        self._count(node)
        dataset = None if self._catalog is None else self._catalog.get(dataset_name)
        metadata = getattr(dataset, "metadata", None) or {}
        if "latest" in metadata and self._context is not None:
            keep_latest(data, tracking.saved_path(dataset), Path(self._context.project_path) / metadata["latest"])
        if "console" in metadata:
            show(data, **metadata["console"])

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Say what was left out."""
        for reason, names in self._left_out.items():
            LOGGER.warning("Left out: %s. %s", ", ".join(names), reason)

    def _count(self, node: Node) -> None:
        now = time.perf_counter()
        self._seconds[stage_of(node)] += now - self._marks.get(node.name, now)
        self._marks[node.name] = now

    def _describe_run(self, pipeline: Pipeline) -> dict[str, Any]:
        """What a run started with: time (UTC), commit, parameters that differ from the base, library versions."""
        context = self._context
        state = {} if context is None else code_state(Path(context.project_path))
        commit = f"{state['git.commit']}{'+' if state['git.dirty'] == 'true' else ''}" if state else ""
        changes = None if context is None else configuration.changed_parameters(context.config_loader, pipeline)
        return {
            "made": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
            "commit": commit,
            "changes": changes,
            "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
        }


def code_state(project: Path) -> dict[str, str]:
    """Git commit of the project and whether the tree differs from it; empty where git cannot tell."""

    def git(*arguments: str) -> str:
        quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
        done = subprocess.run(["git", *arguments], cwd=project, env=quiet, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return {
            "git.commit": git("rev-parse", "HEAD"),
            "git.dirty": str(bool(git("status", "--porcelain"))).lower(),
        }
    except (OSError, subprocess.CalledProcessError):
        return {}


def stage_of(node: Node) -> str:
    """The stage a node belongs to: the tag that its pipeline gives it."""
    return min(node.tags, default="other")


def pin_versions(pipeline: Pipeline, catalog: DataCatalog) -> None:
    """Let a run load its own version of everything it saves, not the newest, which may be another run's."""
    for name in pipeline.all_outputs():
        dataset = catalog.get(name)
        if isinstance(dataset, AbstractVersionedDataset) and dataset._version is not None:
            own = dataset._version.save
            if own is not None and dataset._version.load is None:
                dataset._version = Version(own, own)


def keep_latest(data: Any, saved: Path, latest: Path) -> None:
    """Copy the version just saved to a fixed path; a table to ``.csv`` where the path ends so."""
    latest.parent.mkdir(parents=True, exist_ok=True)
    partial = latest.with_name(f".{latest.name}.{os.getpid()}")
    if latest.suffix == ".csv" and isinstance(data, pd.DataFrame):
        data.to_csv(partial, index=False)
    else:
        shutil.copyfile(saved, partial)
    partial.replace(latest)


def show(data: Any, title: str = "", columns: list[str] | None = None) -> None:
    """Print an artefact: a table as a table, text as Markdown, anything else as JSON."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.table import Table

    console = Console()
    if isinstance(data, str):
        console.print(Markdown(data))
    elif not isinstance(data, pd.DataFrame):
        console.print_json(data=data)
    elif len(data):
        table = Table(title=title, title_justify="left")
        chosen = data if columns is None else data[columns]
        for name, column in chosen.items():
            table.add_column(str(name), justify="right" if pd.api.types.is_numeric_dtype(column) else "left")
        for row in chosen.itertuples(index=False, name=None):
            table.add_row(*("–" if pd.isna(value) or value == "" else str(value) for value in row))
        console.print(table)


class MlflowOptions(BaseModel, frozen=True, extra="forbid"):
    """``conf/base/mlflow.yml``."""

    tracking_uri: str = "sqlite:///mlflow.db"
    experiment: str = "affect4d"
    artifacts: str = "mlartifacts"
    system_metrics: bool = False
    enabled: bool = True


class MlflowHooks:
    """Open an MLflow run around every Kedro run; decision 2 says why this is not left to a plugin.

    Parameters are corpus, seed and those that differ from ``conf/base``; all of them are the file ``parameters.yml``.
    Catalog entries say with ``metadata: {mlflow: metrics | table | file | model | package}`` what is logged of them;
    with ``show_faces: false`` there, nothing. The tag ``run_id`` equals Kedro's save version.
    """

    def __init__(self) -> None:
        self._options = MlflowOptions(enabled=False)
        self._project = Path()
        self._loader: AbstractConfigLoader | None = None
        self._catalog: DataCatalog | None = None
        self._upstream: dict[str, str] = {}
        self._run_id = ""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read ``mlflow.yml``."""
        self._options = MlflowOptions(**context.config_loader.get("mlflow", {}))
        self._project, self._loader = Path(context.project_path), context.config_loader

    @hook_impl
    def after_catalog_created(self, catalog: DataCatalog) -> None:
        """Keep the catalog of the run."""
        self._catalog = catalog

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Open the run; log its parameters, the version of the code and the command."""
        self._upstream = {}
        if not self._options.enabled or self._loader is None:
            return
        import mlflow

        names = run_params.get("pipeline_names") or ["__default__"]
        self._open_experiment(experiment_of(self._options.experiment, names))
        warn_of_runner(str(run_params.get("runner", "")))
        end_as_killed(self._run_id)  # a run that was interrupted in this notebook
        parameters = configuration.flatten(self._loader["parameters"])
        logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)
        run = mlflow.start_run(
            run_name=run_name(names, parameters, run_params.get("runtime_params") or {}),
            log_system_metrics=self._options.system_metrics,
        )
        atexit.unregister(end_as_killed)
        self._run_id = run.info.run_id
        atexit.register(end_as_killed, self._run_id)  # runs before MLflow's own, which would call it finished
        mlflow.set_tags(self._tags(run_params))
        changed = configuration.changed_parameters(self._loader, pipeline)
        shown = {"corpus": parameters["raw_corpus.name"], "seed": parameters["seed"], **changed}
        mlflow.log_params({path: str(value)[:PARAMETER_LENGTH] for path, value in shown.items()})
        mlflow.log_dict(configuration.used_parameters(parameters, pipeline), "parameters.yml")

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str) -> None:
        """Note the version of every artefact of another run that this run loads."""
        dataset = self._catalog[dataset_name] if self._catalog and dataset_name in self._catalog else None
        if isinstance(dataset, AbstractVersionedDataset) and dataset._version is not None:
            version = dataset.resolve_load_version()
            if version != dataset._version.save:
                self._upstream[f"upstream.{dataset_name}"] = str(version)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log what the catalog marks: metrics as numbers, files and model folders as artefacts."""
        if self._is_open() and self._catalog is not None:
            tracking.log_artefact(dataset_name, self._catalog[dataset_name], data)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Close the run with the versions it was built on."""
        if self._is_open():
            import mlflow

            mlflow.set_tags(self._upstream)
            mlflow.end_run()

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Close the run as failed, with the reason."""
        if self._is_open():
            import mlflow

            mlflow.set_tags({**self._upstream, "error": f"{type(error).__name__}: {error}"[:PARAMETER_LENGTH]})
            mlflow.end_run("FAILED")

    def _open_experiment(self, name: str) -> None:
        """Open an experiment; one run at a time where it is a file: two that create its tables at once fail."""
        import mlflow

        uri = self._options.tracking_uri
        lock: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        if uri.startswith(SQLITE):
            file = self._project / uri.removeprefix(SQLITE)
            uri, lock = f"{SQLITE}{file}", FileLock(f"{file}.lock", timeout=LOCK_SECONDS)
        with lock:
            mlflow.set_tracking_uri(uri)
            if not tracking.experiment_exists(uri, name):
                location = (self._project / self._options.artifacts).as_uri()
                tags = {"mlflow.experimentKind": "custom_model_development"}  # MLflow's page opens on runs and metrics
                mlflow.create_experiment(name, location, tags=tags)
            mlflow.set_experiment(name)

    def _tags(self, run_params: Mapping[str, Any]) -> dict[str, str]:
        given = {key: str(value) for key, value in run_params.items() if value}
        return {
            "run_id": str(run_params.get("run_id") or run_params.get("session_id") or ""),
            "command": "kedro " + " ".join(sys.argv[1:]),
            "kedro.env": given.get("env", "local"),
            **{f"kedro.{key}": given[key] for key in ("load_versions", "runtime_params") if key in given},
            **code_state(self._project),
        }

    def _is_open(self) -> bool:
        if not self._options.enabled:
            return False
        import mlflow

        return mlflow.active_run() is not None


def experiment_of(experiment: str, names: Iterable[str]) -> str:
    """MLflow experiment of a run of these pipelines: studies and predictions have their own."""
    kinds = {
        next((f"-{kind}" for kind, prefixes in EXPERIMENTS.items() if name.startswith(prefixes)), "") for name in names
    }
    return experiment + kinds.pop() if len(kinds) == 1 else experiment


def run_name(names: Iterable[str], parameters: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Parameters of the command line, corpus, pipelines and seed: ``inputs.size=64 · bu4dfe · everything · seed 0``."""
    told = [f"{name}={value}" for name, value in configuration.flatten(given).items() if name not in ("corpus", "seed")]
    pipelines = "+".join(names).replace("__default__", "everything")
    return " · ".join([*told, parameters["raw_corpus.name"], pipelines, f"seed {parameters['seed']}"])[:NAME_LENGTH]


def end_as_killed(run_id: str) -> None:
    """Close a run that is open when the process ends or the next run begins: Kedro reports errors, but not Ctrl-C."""
    import mlflow

    run = mlflow.active_run()
    if run is not None and run.info.run_id == run_id:
        mlflow.end_run("KILLED")


def warn_of_runner(runner: str) -> None:
    """Warn of runners that save in other threads or processes, where this run of MLflow is not open."""
    if runner and "SequentialRunner" not in runner:
        LOGGER.warning(
            "MLflow gets this run's parameters, but no curves, metrics or files: use Kedro's SequentialRunner. The "
            "stages run in several processes themselves (engine.workers): leave --runner out."
        )
