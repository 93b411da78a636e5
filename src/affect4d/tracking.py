"""Numbers, artefacts and models on their way to MLflow."""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io.core import AbstractVersionedDataset

from affect4d.configuration_layers_and_checks import flatten

Report = Callable[[int, Mapping[str, float]], None]
_MODEL_TAG, _FORMER_MODEL_TAG = "packaged_model.", "bundle."
TRAINED = ("affect_vlm", "smile_vlm", "cross_entropy", "packaged")
ONLY_IN_TABLES = ("smile_vlm.knn", "smile_vlm.free_text", "smile_vlm.free_text_face", "smile_vlm.free_text_situation")
SCORES: Mapping[str, tuple[str, ...]] = {
    "accuracy": ("accuracy",),
    "uar": ("uar",),
    "f1": ("macro_f1", "uf1"),
    "ece": ("ece",),
}
"""Name of a score → its keys in a document of scores, the first there is; MLflow sorts names, so accuracy leads."""
ANSWER_LENGTH = 300  # letters that an error shows of what a server said
NEWEST = "newest"  # alias of the registered version that was made last; "latest" is MLflow's own word


def experiment_exists(uri: str, name: str) -> bool:
    """Whether MLflow knows an experiment; the first request to the records at ``uri``.

    Raises:
        ConnectionError: If nothing answers there as an MLflow server does, as where a proxy answers in its place.
    """
    import mlflow
    from mlflow.exceptions import MlflowException, RestException

    try:
        return mlflow.get_experiment_by_name(name) is not None
    except RestException:  # the server's own answer
        raise
    except MlflowException as error:
        if not uri.startswith(("http:", "https:")):
            raise
        raise ConnectionError(
            f"No MLflow server answers at {uri}: {' '.join(str(error).split())[:ANSWER_LENGTH]} … Where a proxy or a "
            f"sign-in page answers in its place, name the server's host in the environment variable NO_PROXY, or its "
            f"credentials in MLFLOW_TRACKING_TOKEN. tracking_uri in conf/local/mlflow.yml is the address, and "
            f"enabled: false there runs without a record."
        ) from error


def reporter(model: str) -> Report:
    """A ``report(step, numbers)`` callable that sends a model's learning curves to the open MLflow run, if any."""

    def report(step: int, numbers: Mapping[str, float]) -> None:
        import mlflow

        if mlflow.active_run() is not None:
            curves = {f"training/{model} {name}": float(value) for name, value in numbers.items()}
            mlflow.log_metrics(curves, step=step)

    return report


def report_part(name: str, numbers: Mapping[str, float], tags: Mapping[str, str]) -> None:
    """Record a part of the open MLflow run (a fold) as a child run of its own, if a run is open."""
    import mlflow

    if mlflow.active_run() is not None:
        with mlflow.start_run(run_name=name, nested=True):
            mlflow.set_tags(dict(tags))
            mlflow.log_metrics(dict(numbers))


def register_model(record: Mapping[str, Any]) -> None:
    """Log a packaged model for MLflow to serve, and register it under its name, unless that was done before.

    ``mlflow.pyfunc.load_model("models:/affect_vlm@newest").predict(["face.ply"])`` then predicts, in any process that
    has this package. No pickle: MLflow keeps the model's files and the name of the module that loads them.

    Args:
        record: ``model`` (its name), ``key`` and ``folder`` of the packaged model.
    """
    from mlflow import MlflowClient

    client, name = MlflowClient(), record["model"]
    known = [one for one in client.search_model_versions(f"name='{name}'") if one.tags.get("key") == record["key"]]
    version = known[0].version if known else _log_pyfunc(record)
    client.set_model_version_tag(name, version, "key", record["key"])
    client.set_registered_model_alias(name, NEWEST, version)


def tagged_models(tags: Mapping[str, str]) -> dict[str, str]:
    """Keys of the packaged models that a run made, or found made, by name, from its tags."""
    prefixes = (_FORMER_MODEL_TAG, _MODEL_TAG)
    return {tag.removeprefix(prefix): key for prefix in prefixes for tag, key in tags.items() if tag.startswith(prefix)}


def _log_pyfunc(record: Mapping[str, Any]) -> Any:
    import importlib.metadata

    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    logged = pyfunc.log_model(
        name=record["model"],
        loader_module="affect4d.inference.batch",
        data_path=record["folder"],
        registered_model_name=record["model"],
        signature=ModelSignature(inputs=Schema([ColSpec("string")])),
        pip_requirements=[f"affect4d=={importlib.metadata.version('affect4d')}"],
    )
    return logged.registered_model_version


def scores_table(owner: str, document: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each model and setting: ``model``, ``setting``, scores (NaN: not measured), interval, ``sequences``.

    ``low`` and ``high`` are the 95 % interval of the accuracy; of micro-expressions, of F1.

    Args:
        owner: A trained model, or what every name in the document stands for itself under (``"baseline"``).
        document: Scores, or scores by name.
    """
    named = {owner: document} if "uar" in document else document.get("models", document)
    rows = []
    for name, scores in named.items():
        model = name if name == owner or owner not in TRAINED or "." in name else f"{owner}.{name}"
        settings = {**scores.get("settings", {}), "sequence": scores}
        rows += [{"model": model, "setting": setting, **_score_columns(one)} for setting, one in settings.items()]
    return pd.DataFrame(rows, columns=["model", "setting", *SCORES, "low", "high", "sequences"])


def _score_columns(scores: Mapping[str, Any]) -> dict[str, float]:
    found = {name: next((scores[key] for key in keys if key in scores), math.nan) for name, keys in SCORES.items()}
    low, high = scores["interval"]
    return {**found, "low": low, "high": high, "sequences": scores.get("sequences", math.nan)}


def headline(scores: pd.DataFrame) -> dict[str, float]:
    """Metrics of a run by plain names: ``uar/affect_vlm`` in sequences, ``accuracy/affect_vlm single_scan``."""
    numbers: dict[str, float] = {}
    for row in scores.to_dict("records"):
        in_sequences = row["setting"] == "sequence"
        name = row["model"].replace(".", " ") + ("" if in_sequences else f" {row['setting']}")
        numbers |= {f"{score}/{name}": float(row[score]) for score in (SCORES if in_sequences else ("accuracy",))}
    return {name: value for name, value in numbers.items() if not math.isnan(value)}


def log_artefact(name: str, dataset: Any, data: Any) -> None:
    """Send one saved artefact where its catalog entry's ``metadata.mlflow`` says, unless its faces may not be shown."""
    import mlflow

    metadata = getattr(dataset, "metadata", None) or {}
    if metadata.get("show_faces") is False:
        return
    kind = metadata.get("mlflow")
    if kind == "metrics":
        scores = scores_table(re.sub("_(metrics|scores)$", "", name), data)
        mlflow.log_table(scores, "scores.json")
        mlflow.log_metrics(headline(scores[scores["model"].map(_is_shown)] if name.endswith("_metrics") else scores))
    elif kind == "table":
        table = (
            data if isinstance(data, pd.DataFrame) else pd.DataFrame(flatten(data).items(), columns=["name", "value"])
        )
        mlflow.log_table(table, f"{name}.json")
    if kind in ("metrics", "file"):
        path = saved_path(dataset)
        mlflow.log_artifact(str(path), artifact_path=None if path.stem == name else name)
    elif kind == "model":
        _log_model(data)
    elif kind == "package":
        register_model(data)
        mlflow.set_tag(f"{_MODEL_TAG}{data['model']}", data["key"])


def _log_model(record: Mapping[str, Any]) -> None:
    """Log a trained model's files, unless an earlier run holds them: then name that one in ``model.NAME.files``."""
    import mlflow

    tag = f"model.{record['model']}"
    run = mlflow.active_run()
    holder = None if run is None else _holder(tag, record["key"], run.info.experiment_id)
    if holder is None:
        mlflow.log_artifacts(record["folder"], artifact_path=f"{record['model']}/model")
    else:
        mlflow.set_tag(f"{tag}.files", f"runs:/{holder}/{record['model']}/model")
    mlflow.set_tags({tag: record["key"], f"{tag}.text_encoder": record["text_encoder"]})


def _holder(tag: str, key: str, experiment: str) -> str | None:
    """The run of an experiment that has logged the files of a model; None where it was deleted, or there is none."""
    from mlflow import MlflowClient

    runs = MlflowClient().search_runs([experiment], f"tags.`{tag}` = '{key}'")
    return next((run.info.run_id for run in runs if f"{tag}.files" not in run.data.tags), None)


def log_numbers(numbers: Mapping[str, float]) -> None:
    """Log numbers to the open MLflow run, if there is one."""
    import mlflow

    if mlflow.active_run() is not None:
        mlflow.log_metrics(dict(numbers))


def _is_shown(model: str) -> bool:
    """Whether a model's scores are metrics of the run: the trained models, each in the ways the report leads with."""
    return model.split(".")[0] in TRAINED and model not in ONLY_IN_TABLES


def saved_path(dataset: Any) -> Path:
    """Where an artefact was just written."""
    if isinstance(dataset, AbstractVersionedDataset) and dataset._version is not None:
        return Path(str(dataset._get_versioned_path(str(dataset.resolve_save_version()))))
    return Path(str(dataset._filepath))
