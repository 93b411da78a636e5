"""What a run tells about itself: seconds per stage, and numbers on their way to MLflow."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

Report = Callable[[int, Mapping[str, float]], None]

_seconds: defaultdict[str, float] = defaultdict(float)
_marks: dict[str, float] = {}
_told: list[Callable[[], Mapping[str, Any]]] = []


def start_run() -> None:
    """Forget the seconds of an earlier run in this process."""
    _seconds.clear()
    _marks.clear()


def tell_start(told: Callable[[], Mapping[str, Any]]) -> None:
    """Keep who can tell what this run was started with; it is asked only when somebody wants to know."""
    _told[:] = [told]


def started_with() -> Mapping[str, Any]:
    """``changes`` (of parameters, against ``conf/base``) and ``commit`` of this run; nothing outside a run."""
    return _told[0]() if _told else {}


def start_clock(node: str) -> None:
    """A node begins; a clock that runs already is left running."""
    _marks.setdefault(node, time.perf_counter())


def resume_clock(node: str) -> None:
    """Leave out what has passed since the node's last mark."""
    _marks[node] = time.perf_counter()


def mark_clock(node: str, stage: str) -> None:
    """Count what has passed since the node's last mark towards its stage."""
    now = time.perf_counter()
    _seconds[stage] += now - _marks.get(node, now)
    _marks[node] = now


def stage_seconds() -> dict[str, float]:
    """Seconds each stage of this run has taken so far."""
    return {stage: round(seconds, 3) for stage, seconds in _seconds.items()}


def reporter(model: str) -> Report:
    """A ``report(step, numbers)`` callable that sends a model's learning curves to the open MLflow run, live.

    Without an open run it does nothing, so that the library never needs MLflow.
    """

    def report(step: int, numbers: Mapping[str, float]) -> None:
        import mlflow

        if mlflow.active_run() is not None:
            mlflow.log_metrics({f"{model}/{name}": float(value) for name, value in numbers.items()}, step=step)

    return report


def report_part(name: str, numbers: Mapping[str, float], tags: Mapping[str, str]) -> None:
    """Record a part of the open MLflow run (a fold) as a child run of its own; without an open run, do nothing.

    Args:
        name: Of the child.
        numbers: What was measured there.
        tags: What it was.
    """
    import mlflow

    if mlflow.active_run() is not None:
        with mlflow.start_run(run_name=name, nested=True):
            mlflow.set_tags(dict(tags))
            mlflow.log_metrics(dict(numbers))


_BUNDLE_TAG = "bundle."
NEWEST = "newest"
"""Alias of the registered version that was made last; "latest" is MLflow's own word."""


def register_bundle(record: Mapping[str, Any]) -> None:
    """Log a bundle as a model that MLflow can serve, and register it under its name; at once, if that was done before.

    ``mlflow.pyfunc.load_model("models:/affect_vlm@newest").predict(["face.ply"])`` then answers, in any process that
    has this package. No pickle: MLflow keeps the bundle's files and the name of the module that opens them.

    Args:
        record: ``model`` (its name), ``key`` and ``folder`` of the bundle.
    """
    from mlflow import MlflowClient

    client, name = MlflowClient(), record["model"]
    known = [one for one in client.search_model_versions(f"name='{name}'") if one.tags.get("key") == record["key"]]
    version = known[0].version if known else _log_pyfunc(record)
    client.set_model_version_tag(name, version, "key", record["key"])
    client.set_registered_model_alias(name, NEWEST, version)


def tag_of_bundle(name: str) -> str:
    """The tag under which a run keeps the key of the bundle of that name which it made, or found made."""
    return f"{_BUNDLE_TAG}{name}"


def bundles_of(tags: Mapping[str, str]) -> dict[str, str]:
    """Of a run's tags, the keys of its bundles by name."""
    return {tag.removeprefix(_BUNDLE_TAG): key for tag, key in tags.items() if tag.startswith(_BUNDLE_TAG)}


def _log_pyfunc(record: Mapping[str, Any]) -> Any:
    """Log and register; return the registered version."""
    import importlib.metadata

    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    logged = pyfunc.log_model(
        name=record["model"],
        loader_module="affect4d.inference.mlflow_model",
        data_path=record["folder"],
        registered_model_name=record["model"],
        signature=ModelSignature(inputs=Schema([ColSpec("string")])),
        pip_requirements=[f"affect4d=={importlib.metadata.version('affect4d')}"],
    )
    return logged.registered_model_version


def headline(owner: str, scores: Mapping[str, Any]) -> dict[str, float]:
    """``accuracy/…`` of each model and baseline: few enough to compare runs by, in one section of MLflow's page.

    Args:
        owner: Whose scores: a model, or ``"reference"`` or ``"baseline"``, under which every name stands for itself.
        scores: As its metrics artefact has them.
    """
    found = {path: value for path, value in flatten(scores).items() if path.split(".")[-1] == "accuracy"}
    first = [] if owner in ("reference", "baseline") else [owner]
    return {f"accuracy/{' '.join([*first, *path.split('.')[:-1]])}": float(value) for path, value in found.items()}


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level of dotted names: ``{"a": {"b": 1}}`` → ``{"a.b": 1}``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{path}."))
        else:
            flat[path] = value
    return flat
