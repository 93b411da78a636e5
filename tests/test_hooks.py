"""What is said beside a run: settings that it leaves out, and that it was killed."""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import Version
from kedro.pipeline import Pipeline, node, pipeline
from kedro_datasets.json import JSONDataset

from affect4d import tracking
from affect4d.hooks import (
    AccountHooks,
    DeviceHooks,
    MlflowOptions,
    OwnArtefactsHooks,
    TrackingHooks,
    UnknownNamesHooks,
    UnreadSettingsHooks,
    WritableHooks,
    changed_parameters,
    names,
    records,
    unread_settings,
)
from affect4d.hooks.abandoned import this_process
from affect4d.hooks.names import asked_for, read_parameters, unread
from affect4d.pipeline_registry import register_pipelines
from affect4d.settings import CONFIG_LOADER_ARGS, HOOKS
from affect4d.training.options import TrainOptions

OPENED_RUN = """
import sys
from pathlib import Path
from kedro.pipeline import Pipeline
from affect4d.hooks import MlflowOptions, TrackingHooks

hooks = TrackingHooks()
hooks._options = MlflowOptions(tracking_uri="sqlite:///" + sys.argv[1])
hooks._project = Path.cwd()
hooks._parameters = {"seed": 0, "raw_corpus": {"name": "nobody"}}
hooks.before_pipeline_run({}, Pipeline([]))
"""
KILLED_RUN = f"{OPENED_RUN}\nraise KeyboardInterrupt"
FINISHED_RUN = f"{OPENED_RUN}\nhooks.after_pipeline_run()"


@pytest.fixture
def conf(tmp_path):
    """A configuration folder with settings of the user's own."""
    local = tmp_path / "conf" / "local"
    local.mkdir(parents=True)
    (local / ".gitkeep").touch()
    (local / "globals.yml").write_text("corpus: bu4dfe\n")
    return tmp_path / "conf"


def test_another_environment_leaves_out_the_users_own_settings(conf):
    assert unread_settings(conf, "gpu") == ["conf/local/globals.yml"]


@pytest.mark.parametrize("environment", [None, "", "local", "ci"])
def test_the_users_own_environment_and_the_tests_leave_nothing_out(conf, environment):
    assert unread_settings(conf, environment) == []


@pytest.fixture
def loader(project_root, conf):
    """Loads the project's own configuration, beside what the user has set."""
    for kind in ("base", "gpu"):
        shutil.copytree(project_root / "conf" / kind, conf / kind)
    return lambda environment: OmegaConfigLoader(str(conf), env=environment, **CONFIG_LOADER_ARGS)


def test_a_run_in_another_environment_warns_of_what_it_does_not_read(loader, caplog):
    assert any(isinstance(hook, UnreadSettingsHooks) for hook in HOOKS)
    for environment, warnings in (("local", 0), ("gpu", 1)):
        context = SimpleNamespace(config_loader=loader(environment))
        with caplog.at_level(logging.WARNING, "affect4d.hooks"):
            UnreadSettingsHooks().after_context_created(context)
        assert len(caplog.records) == warnings
    assert "conf/local/globals.yml" in caplog.text


def test_what_the_warning_advises_gives_both(loader, conf):
    assert loader("gpu")["globals"]["corpus"] == "open-4dfer-s"
    shutil.copy(conf / "gpu" / "parameters.yml", conf / "local" / "parameters_gpu.yml")
    both = loader(None)
    assert both["globals"]["corpus"] == "bu4dfe"
    assert both["parameters"]["model"]["towers"]["name"] == "ViT-B-16"


def named(loader, monkeypatch, *read, **given):
    """What the hook says of names that were given, beside a pipeline that reads some."""
    assert any(isinstance(hook, UnknownNamesHooks) for hook in HOOKS)
    monkeypatch.setattr(names, "pipelines", {"all": reading(*read)})
    hooks = UnknownNamesHooks()
    hooks.after_context_created(SimpleNamespace(config_loader=loader))
    hooks.before_pipeline_run({"runtime_params": given})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"corpsu": "bu4dfe"}, r"corpsu, given with --params; did you mean corpus\? "),
        ({"smile_vlm": {"trains": {"epochs": 3}}}, r"smile_vlm\.trains\.epochs.*mean smile_vlm\.train\.epochs\?"),
        ({"weather": 1}, r"weather, given with --params\. "),
        ({"studies": {"ablatoin": {"seeds": [0]}}}, r"mean studies\.ablation\.seeds\?"),
    ],
)
def test_a_misspelt_parameter_is_refused_and_the_right_one_named(loader, monkeypatch, given, words):
    with pytest.raises(ValueError, match=words):
        named(loader(None), monkeypatch, "smile_vlm.train", "studies.ablation", **given)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"corpus": "bu4dfe", "seed": 3, "corpus_root": "/data"},
        {"smile_vlm": {"train": {"epochs": 3}}},
        {"raw_corpus": {"known": {"mine": {"layout": "bu4dfe", "root": "/data"}}}},
        {"cross_entropy": {"objective": {"label_smoothing": 0.2}}},
        {"ict_folder": None},
    ],
)
def test_what_something_reads_passes(loader, monkeypatch, caplog, given):
    with caplog.at_level(logging.WARNING, "affect4d.hooks"):
        named(loader(None), monkeypatch, "smile_vlm.train", "raw_corpus", "cross_entropy.objective", **given)
    assert not caplog.records


def test_misspelt_names_in_the_users_own_files_are_told(loader, conf, monkeypatch, caplog):
    (conf / "local" / "globals.yml").write_text("corpsu: bu4dfe\ncorpus_roots: {bu4df: /data}\n")
    (conf / "local" / "parameters.yml").write_text("afect_vlm: {train: {epochs: 2}}\n_shared: {size: 3}\n")
    with caplog.at_level(logging.WARNING, "affect4d.hooks"):
        named(loader(None), monkeypatch, "affect_vlm.train")
    assert [record.getMessage() for record in caplog.records] == [
        "conf/local/globals.yml: nothing reads the setting corpsu; did you mean corpus?",
        "conf/local/globals.yml: nothing reads the setting corpus_roots.bu4df; did you mean corpus_roots.bu4dfe?",
        "conf/local: no stage reads the parameter afect_vlm.train.epochs; did you mean affect_vlm.train.epochs?",
    ]


@pytest.mark.parametrize("environment", ["ci", "gpu"])
def test_the_projects_own_configuration_names_nothing_that_is_not_read(project_root, environment):
    loader = OmegaConfigLoader(str(project_root / "conf"), env=environment, **CONFIG_LOADER_ARGS)
    assert unread(tracking.flatten(loader["parameters"]), read_parameters(register_pipelines().values())) == []


def test_an_archive_of_configuration_is_taken_as_it_is():
    hooks = UnknownNamesHooks()
    hooks._loader = SimpleNamespace(conf_source="/nowhere/conf.tar.gz")
    hooks.before_pipeline_run({"runtime_params": {"corpsu": "bu4dfe"}})


@pytest.mark.parametrize(
    ("device", "there", "refused"), [("cuda", False, True), ("cuda", True, False), ("cpu", False, False)]
)
def test_a_gpu_that_is_not_there_is_told_before_anything_is_drawn(monkeypatch, device, there, refused):
    assert any(isinstance(hook, DeviceHooks) for hook in HOOKS)
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    catalog = DataCatalog(
        {
            "params:smile_vlm.train": MemoryDataset(TrainOptions(device=device)),
            "params:affect_vlm.train": MemoryDataset(TrainOptions()),
        }
    )
    hooks = DeviceHooks()
    hooks.before_pipeline_run(reading("affect_vlm.train", "seed"), catalog)
    with pytest.raises(ValueError, match="no GPU") if refused else nullcontext():
        hooks.before_pipeline_run(reading("smile_vlm.train", "seed"), catalog)


def test_a_run_ended_by_ctrl_c_counts_as_killed(tmp_path):
    store = tmp_path / "runs.db"
    command = [sys.executable, "-c", KILLED_RUN, store]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "KeyboardInterrupt" in done.stderr
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{store}")
    (run,) = client.search_runs([client.get_experiment_by_name("affect4d").experiment_id])
    assert run.info.status == "KILLED"


def test_a_run_that_was_killed_is_called_so_by_the_next_one_and_others_are_left_alone(tmp_path):
    store = tmp_path / "runs.db"
    killed = [sys.executable, "-c", f"{OPENED_RUN}\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)", store]
    assert subprocess.run(killed, cwd=tmp_path, capture_output=True, check=False).returncode == -signal.SIGKILL
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{store}")
    experiment = client.get_experiment_by_name("affect4d").experiment_id
    (run,) = client.search_runs([experiment])
    assert run.info.status == "RUNNING"
    computer, number, _ = run.data.tags["process"].rsplit(":", maxsplit=2)
    untouched = {
        "mine": this_process(),
        "elsewhere": f"not-{computer}:{number}:1.0",
        "silent": "",
    }
    for name, process in untouched.items():
        client.create_run(experiment, tags={"process": process} if process else {}, run_name=name)
    client.create_run(experiment, tags={"mlflow.parentRunId": run.info.run_id}, run_name="a fold of it")
    client.create_run(experiment, tags={"process": f"{computer}:{os.getpid()}:1.0"}, run_name="number used again")
    subprocess.run([sys.executable, "-c", FINISHED_RUN, store], cwd=tmp_path, check=True, capture_output=True)
    found = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert {name: found[name].info.status for name in untouched} == dict.fromkeys(untouched, "RUNNING")
    assert found["number used again"].info.status == found["a fold of it"].info.status == "KILLED"
    assert client.get_run(run.info.run_id).info.status == "KILLED"
    assert "without a word" in client.get_run(run.info.run_id).data.tags["error"]


def test_a_run_interrupted_in_a_notebook_lets_the_next_one_begin(tmp_path):
    store = tmp_path / "runs.db"
    again = f"{OPENED_RUN}\nhooks.before_pipeline_run({{}}, Pipeline([]))\nhooks.after_pipeline_run()"
    subprocess.run([sys.executable, "-c", again, store], cwd=tmp_path, capture_output=True, check=True)
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{store}")
    runs = client.search_runs([client.get_experiment_by_name("affect4d").experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED"]


def test_tables_of_one_name_do_not_overwrite_each_other_in_mlflow(monkeypatch, tmp_path):
    sent = []
    monkeypatch.setattr("mlflow.log_artifact", lambda path, artifact_path: sent.append((artifact_path, path)))
    for name, file in (("affect_vlm_predictions", "affect_vlm/predictions.csv"), ("folds", "folds.json")):
        dataset = SimpleNamespace(_filepath=tmp_path / file, metadata={"mlflow": "file"})
        records._log_artefact(name, dataset, None)
    assert sent == [
        ("affect_vlm_predictions", str(tmp_path / "affect_vlm/predictions.csv")),
        (None, str(tmp_path / "folds.json")),
    ]


def test_the_files_of_a_model_are_kept_once_however_often_it_is_evaluated(tmp_path):
    import mlflow

    weights = tmp_path / "model" / "weights.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"one")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs.db'}")
    experiment = mlflow.create_experiment("affect4d", (tmp_path / "artifacts").as_uri())
    dataset = SimpleNamespace(metadata={"mlflow": "model"})

    def run(key):
        record = {"model": "smile_vlm", "key": key, "folder": weights.parent}
        with mlflow.start_run(experiment_id=experiment) as opened:
            records._log_artefact("smile_vlm_model", dataset, record)
        tags = mlflow.get_run(opened.info.run_id).data.tags
        kept = tmp_path / "artifacts" / opened.info.run_id / "artifacts" / "smile_vlm" / "model" / weights.name
        assert tags["model.smile_vlm"] == key
        return opened.info.run_id, kept.exists(), tags.get("model.smile_vlm.files")

    first, kept, elsewhere = run("a")
    assert (kept, elsewhere) == (True, None)
    assert run("a")[1:] == run("a")[1:] == (False, f"runs:/{first}/smile_vlm/model")
    assert run("b")[1:] == (True, None)
    mlflow.delete_run(first)
    assert run("a")[1:] == (True, None)


@pytest.mark.parametrize("runner", ["ThreadRunner", "<kedro.runner.parallel_runner.ParallelRunner object>"])
def test_a_runner_that_mlflow_does_not_hear_is_told(runner, caplog):
    records._warn_of_others("<kedro.runner.sequential_runner.SequentialRunner object>")
    records._warn_of_others("")
    assert not caplog.records
    records._warn_of_others(runner)
    assert "no curves, metrics or files" in caplog.text
    assert "engine.workers" in caplog.text


def test_of_two_runs_at_once_each_reads_what_it_wrote_itself(tmp_path):
    """Kedro by itself would give both the newest."""
    assert any(isinstance(hook, OwnArtefactsHooks) for hook in HOOKS)
    making = Pipeline([node(lambda: 0, None, "plan", name="make")])
    first, second = (
        DataCatalog({"plan": JSONDataset(filepath=str(tmp_path / "plan.json"), version=Version(None, began))})
        for began in ("2026-11-23T10.00.00.000Z", "2026-11-23T10.00.01.000Z")
    )
    for catalog, plan in ((first, "first"), (second, "second")):
        OwnArtefactsHooks().before_pipeline_run(making, catalog)
        catalog.save("plan", plan)
    assert [catalog.load("plan") for catalog in (first, second)] == ["first", "second"]


def test_a_version_that_was_asked_for_is_loaded(tmp_path):
    asked = Version("2026-11-22T10.00.00.000Z", "2026-11-23T10.00.00.000Z")
    catalog = DataCatalog({"plan": JSONDataset(filepath=str(tmp_path / "plan.json"), version=asked)})
    OwnArtefactsHooks().before_pipeline_run(Pipeline([node(lambda: 0, None, "plan", name="make")]), catalog)
    assert catalog["plan"]._version == asked


def reading(*names):
    """A pipeline that reads these parameters."""
    return Pipeline([node(lambda *values: values, [f"params:{name}" for name in names], "read", name="read")])


def test_what_differs_from_the_base_is_told_of_what_a_run_reads(conf, project_root):
    shutil.copytree(project_root / "conf/base", conf / "base")
    said = {"studies": {"convergence": {"seeds": [0]}, "ablation": {"seeds": [1]}}, "seed": 0, "engine": {"workers": 7}}
    local = OmegaConfigLoader(str(conf), env="local", runtime_params=said, **CONFIG_LOADER_ARGS)
    pipeline = reading("studies.convergence", "seed", "engine", "raw_corpus")
    assert changed_parameters(local, pipeline) == {"studies.convergence.seeds": [0]}


def test_of_corpora_only_the_chosen_one_is_told_and_not_where_it_lies(conf, project_root):
    shutil.copytree(project_root / "conf/base", conf / "base")
    known = {"open-4dfer-s": {"changes": {"subjects": 6}}, "open-4dfer-m": {"changes": {"subjects": 4}}}
    known["open-4dfer-s"]["ict_folder"] = "/home/me/ict"
    said = {"corpus": "open-4dfer-s", "raw_corpus": {"known": known}}
    local = OmegaConfigLoader(str(conf), env="local", runtime_params=said, **CONFIG_LOADER_ARGS)
    told = changed_parameters(local, reading("raw_corpus"))
    assert told == {"raw_corpus.known.open-4dfer-s.changes.subjects": 6}


def test_a_run_can_tell_what_it_was_started_with(conf, project_root, monkeypatch):
    monkeypatch.setattr(tracking, "_told", [])
    assert tracking.started_with() == {}
    shutil.copytree(project_root / "conf/base", conf / "base")
    (hooks,) = (hook for hook in HOOKS if isinstance(hook, AccountHooks))
    loader = OmegaConfigLoader(str(conf), env="local", runtime_params={"seed": 5}, **CONFIG_LOADER_ARGS)
    hooks.after_context_created(SimpleNamespace(config_loader=loader, project_path=conf))
    hooks.before_pipeline_run(reading("seed"))
    assert tracking.started_with() == {"changes": {"seed": 5}, "commit": ""}


def test_a_folder_that_may_not_be_written_stops_a_run_before_it_computes(tmp_path, monkeypatch):
    """Root may write where only the right to is missing, so the system's answer is given here."""
    assert any(isinstance(hook, WritableHooks) for hook in HOOKS)
    locked = tmp_path / "locked"
    locked.mkdir()
    catalog = DataCatalog(
        {"numbers": MemoryDataset(1), "kept": JSONDataset(filepath=str(locked / "2026" / "kept.json"))}
    )
    stages = pipeline([node(lambda numbers: numbers, "numbers", "kept")])
    WritableHooks().before_pipeline_run(stages, catalog)
    monkeypatch.setattr(os, "access", lambda folder, right: (folder, right) != (locked, os.W_OK))
    with pytest.raises(PermissionError, match=f"{locked} may not be written, and kept belongs there.*chmod"):
        WritableHooks().before_pipeline_run(stages, catalog)


@pytest.mark.slow
@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(("corpus", "shown"), [("bu4dfe", False), ("open-4dfer-s", True)])
def test_faces_that_may_not_be_shown_stay_out_of_mlflow(conf, corpus, shown):
    catalog = OmegaConfigLoader(str(conf), runtime_params={"corpus": corpus}, **CONFIG_LOADER_ARGS)["catalog"]
    sheets = [one for one in catalog.values() if one.get("type", "").endswith("ContactSheetDataset")]
    assert [sheet["metadata"]["show_faces"] for sheet in sheets] == [shown, shown]
    assert [sheet["metadata"]["mlflow"] for sheet in sheets] == ["file", "file"]


@pytest.mark.parametrize(("told", "logged"), [({}, 1), ({"show_faces": True}, 1), ({"show_faces": False}, 0)])
def test_what_shows_faces_is_logged_only_where_they_may_be_shown(tmp_path, monkeypatch, told, logged):
    import mlflow

    files = []
    monkeypatch.setattr(mlflow, "active_run", lambda: "a run")
    monkeypatch.setattr(mlflow, "log_artifact", lambda path, artifact_path: files.append(path))
    sheet = JSONDataset(filepath=str(tmp_path / "sheet.json"), metadata={"mlflow": "file", **told})
    hooks = TrackingHooks()
    hooks._options = MlflowOptions()
    hooks.after_catalog_created(DataCatalog({"sheet": sheet}), {})
    hooks.after_dataset_saved("sheet", {})
    assert len(files) == logged


def test_runs_that_begin_at_once_in_a_new_project_share_its_records(tmp_path):
    """Each finds no tables there; only one may make them."""
    command = [sys.executable, "-c", FINISHED_RUN, "mlflow.db"]
    begun = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for run in begun:
        _, said = run.communicate(timeout=500)
        assert run.returncode == 0, said
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("affect4d")
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FINISHED"] * 3


def test_every_parameter_that_a_page_writes_is_read(project_root):
    """So that no documented command is refused."""
    pages = [project_root / "README.md", project_root / "conf/base", project_root / "docs", project_root / "src"]
    files = [file for page in pages for file in ([page] if page.is_file() else page.rglob("*")) if _is_text(file)]
    told = {
        name
        for file in files
        for given in re.findall(r"--params[= ]\"?((?:[a-z_.]+=[^\s,`\"]*,?)+)", file.read_text(encoding="utf-8"))
        for name in re.findall(r"(?:^|,)([a-z_.]+)=", given)
    }
    assert len(told) > 25
    base = OmegaConfigLoader(str(project_root / "conf"), env="ci", **CONFIG_LOADER_ARGS)["parameters"]
    read = {*read_parameters(register_pipelines().values()), *asked_for(project_root / "conf"), *tracking.flatten(base)}
    assert unread(told, read) == []


def _is_text(file):
    return file.suffix in {".md", ".py", ".yml", ".jinja"} and "docs/reference" not in file.as_posix()
