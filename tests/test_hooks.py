"""Checks before a run, artefacts beside those of the nodes, and the record of a run in MLflow."""

import json
import logging
import re
import shutil
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import Version
from kedro.pipeline import Pipeline, node
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import ParquetDataset

from affect4d import hooks as hooks_module
from affect4d import tracking
from affect4d.configuration_layers_and_checks import (
    LayeredConfigLoader,
    changed_parameters,
    flatten,
    parameter_inputs,
    runtime_parameters,
    unread_parameters,
)
from affect4d.hooks import (
    ArtefactHooks,
    MlflowHooks,
    MlflowOptions,
    PreflightHooks,
    experiment_of,
    pin_versions,
    run_name,
    warn_of_runner,
)
from affect4d.pipeline_registry import register_pipelines
from affect4d.pipelines.model_input.nodes import SmileMethod
from affect4d.settings import CONFIG_LOADER_ARGS
from affect4d.training.options import TrainOptions

OPENED_RUN = """
import sys
from pathlib import Path
from kedro.pipeline import Pipeline
from affect4d.configuration_layers_and_checks import LayeredConfigLoader
from affect4d.hooks import MlflowHooks, MlflowOptions
from affect4d.settings import CONFIG_LOADER_ARGS

hooks = MlflowHooks()
hooks._options = MlflowOptions(tracking_uri="sqlite:///" + sys.argv[1], system_metrics=False)
hooks._project = Path.cwd()
hooks._loader = LayeredConfigLoader(sys.argv[2], env="ci", **CONFIG_LOADER_ARGS)
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


@pytest.fixture
def loader(project_root, conf):
    """Loads the project's own configuration, beside what the user has set."""
    for kind in ("base", "gpu"):
        shutil.copytree(project_root / "conf" / kind, conf / kind)
    return lambda environment: LayeredConfigLoader(str(conf), env=environment, **CONFIG_LOADER_ARGS)


def test_an_environment_and_the_users_own_settings_work_together(loader, conf):
    (conf / "local" / "parameters.yml").write_text("model: {dim: 64}\n")
    both = loader("gpu")
    assert both["globals"]["corpus"] == "bu4dfe"
    assert both["parameters"]["model"]["dim"] == 64
    assert both["parameters"]["render"]["size"] == 256
    given = LayeredConfigLoader(str(conf), env="gpu", runtime_params={"model": {"dim": 32}}, **CONFIG_LOADER_ARGS)
    assert given["parameters"]["model"]["dim"] == 32


def test_tests_do_not_depend_on_the_users_own_settings(loader, conf, caplog):
    (conf / "ci").mkdir()
    (conf / "ci" / "parameters.yml").write_text("render: {size: 48}\n")
    ci = loader("ci")
    assert ci["globals"]["corpus"] == "open-4dfer-s"
    assert ci["parameters"]["render"]["size"] == 48
    assert "conf/local is not read with --env=ci" in caplog.text


def named(loader, monkeypatch, *read, **given):
    """What the hook says of names that were given, beside a pipeline that reads some."""
    monkeypatch.setattr(hooks_module, "pipelines", {"all": reading(*read)})
    hooks = PreflightHooks()
    hooks.after_context_created(SimpleNamespace(config_loader=loader))
    hooks.before_pipeline_run({"runtime_params": given}, Pipeline([]), DataCatalog())


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
        named(loader(None), monkeypatch, "affect_vlm.train", "raw_corpus")
    assert [record.getMessage() for record in caplog.records] == [
        "conf/local/globals.yml: nothing reads the setting corpsu; did you mean corpus?",
        "conf/local/globals.yml: nothing reads the setting corpus_roots.bu4df; did you mean corpus_roots.bu4dfe?",
        "conf/local: no stage reads the parameter afect_vlm.train.epochs; did you mean affect_vlm.train.epochs?",
    ]


@pytest.mark.parametrize("environment", ["ci", "gpu"])
def test_the_projects_own_configuration_names_nothing_that_is_not_read(project_root, environment):
    loader = LayeredConfigLoader(str(project_root / "conf"), env=environment, **CONFIG_LOADER_ARGS)
    assert unread_parameters(flatten(loader["parameters"]), parameter_inputs(register_pipelines().values())) == []


def test_an_archive_of_configuration_is_taken_as_it_is():
    hooks = PreflightHooks()
    hooks._loader = SimpleNamespace(conf_source="/nowhere/conf.tar.gz")
    hooks.before_pipeline_run({"runtime_params": {"corpsu": "bu4dfe"}}, Pipeline([]), DataCatalog())


def test_a_former_name_of_a_pipeline_works_and_is_told(caplog):
    named = register_pipelines()
    assert named["fabricate"] is named["generate"]
    PreflightHooks().before_pipeline_run({"pipeline_names": ["fabricate"]}, Pipeline([]), DataCatalog())
    assert "fabricate is called generate now" in caplog.text


@pytest.mark.parametrize(
    ("device", "there", "refused"), [("cuda", False, True), ("cuda", True, False), ("cpu", False, False)]
)
def test_a_gpu_that_is_not_there_is_told_before_anything_is_drawn(monkeypatch, device, there, refused):
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    monkeypatch.setattr("torch.cuda.get_arch_list", list)  # the GPU is one that torch was built for
    catalog = DataCatalog(
        {
            "params:smile_vlm": MemoryDataset(SmileMethod(train=TrainOptions(device=device))),
            "params:affect_vlm": MemoryDataset(SmileMethod()),
        }
    )
    hooks = PreflightHooks()
    hooks.before_pipeline_run({}, reading("affect_vlm", "seed"), catalog)
    with pytest.raises(ValueError, match="no GPU") if refused else nullcontext():
        hooks.before_pipeline_run({}, reading("smile_vlm", "seed"), catalog)


def test_a_run_ended_by_ctrl_c_counts_as_killed(tmp_path, project_root):
    store = tmp_path / "runs.db"
    command = [sys.executable, "-c", KILLED_RUN, store, project_root / "conf"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "KeyboardInterrupt" in done.stderr
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{store}")
    (run,) = client.search_runs([client.get_experiment_by_name("affect4d").experiment_id])
    assert run.info.status == "KILLED"


def test_a_run_interrupted_in_a_notebook_lets_the_next_one_begin(tmp_path, project_root):
    store = tmp_path / "runs.db"
    again = f"{OPENED_RUN}\nhooks.before_pipeline_run({{}}, Pipeline([]))\nhooks.after_pipeline_run()"
    command = [sys.executable, "-c", again, store, project_root / "conf"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{store}")
    runs = client.search_runs([client.get_experiment_by_name("affect4d").experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED"]


def test_tables_of_one_name_do_not_overwrite_each_other_in_mlflow(monkeypatch, tmp_path):
    sent = []
    monkeypatch.setattr("mlflow.log_artifact", lambda path, artifact_path: sent.append((artifact_path, path)))
    for name, file in (("affect_vlm_predictions", "affect_vlm/predictions.csv"), ("folds", "folds.json")):
        dataset = SimpleNamespace(_filepath=tmp_path / file, metadata={"mlflow": "file"})
        tracking.log_artefact(name, dataset, None)
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
        record = {"model": "smile_vlm", "key": key, "folder": weights.parent, "text_encoder": "minilm"}
        with mlflow.start_run(experiment_id=experiment) as opened:
            tracking.log_artefact("smile_vlm_model", dataset, record)
        tags = mlflow.get_run(opened.info.run_id).data.tags
        kept = tmp_path / "artifacts" / opened.info.run_id / "artifacts" / "smile_vlm" / "model" / weights.name
        assert (tags["model.smile_vlm"], tags["model.smile_vlm.text_encoder"]) == (key, "minilm")
        return opened.info.run_id, kept.exists(), tags.get("model.smile_vlm.files")

    first, kept, elsewhere = run("a")
    assert (kept, elsewhere) == (True, None)
    assert run("a")[1:] == run("a")[1:] == (False, f"runs:/{first}/smile_vlm/model")
    assert run("b")[1:] == (True, None)
    mlflow.delete_run(first)
    assert run("a")[1:] == (True, None)


@pytest.mark.parametrize("runner", ["ThreadRunner", "<kedro.runner.parallel_runner.ParallelRunner object>"])
def test_a_runner_that_mlflow_does_not_hear_is_told(runner, caplog):
    warn_of_runner("<kedro.runner.sequential_runner.SequentialRunner object>")
    warn_of_runner("")
    assert not caplog.records
    warn_of_runner(runner)
    assert "no curves, metrics or files" in caplog.text
    assert "engine.workers" in caplog.text


def test_of_two_runs_at_once_each_reads_what_it_wrote_itself(tmp_path):
    """Kedro by itself would give both the newest."""
    making = Pipeline([node(lambda: 0, None, "plan", name="make")])
    first, second = (
        DataCatalog({"plan": JSONDataset(filepath=str(tmp_path / "plan.json"), version=Version(None, began))})
        for began in ("2026-11-23T10.00.00.000Z", "2026-11-23T10.00.01.000Z")
    )
    for catalog, plan in ((first, "first"), (second, "second")):
        pin_versions(making, catalog)
        catalog.save("plan", plan)
    assert [catalog.load("plan") for catalog in (first, second)] == ["first", "second"]


def test_a_version_that_was_asked_for_is_loaded(tmp_path):
    asked = Version("2026-11-22T10.00.00.000Z", "2026-11-23T10.00.00.000Z")
    catalog = DataCatalog({"plan": JSONDataset(filepath=str(tmp_path / "plan.json"), version=asked)})
    pin_versions(Pipeline([node(lambda: 0, None, "plan", name="make")]), catalog)
    assert catalog["plan"]._version == asked


def reading(*names):
    """A pipeline that reads these parameters."""
    return Pipeline([node(lambda *values: values, [f"params:{name}" for name in names], "read", name="read")])


def test_what_differs_from_the_base_is_told_of_what_a_run_reads(conf, project_root):
    shutil.copytree(project_root / "conf/base", conf / "base")
    said = {"studies": {"convergence": {"seeds": [0]}, "ablation": {"seeds": [1]}}, "seed": 0, "engine": {"workers": 7}}
    local = LayeredConfigLoader(str(conf), env="local", runtime_params=said, **CONFIG_LOADER_ARGS)
    pipeline = reading("studies.convergence", "seed", "engine", "raw_corpus")
    assert changed_parameters(local, pipeline) == {"studies.convergence.seeds": [0]}


def test_of_corpora_only_the_chosen_one_is_told_and_not_where_it_lies(conf, project_root):
    shutil.copytree(project_root / "conf/base", conf / "base")
    known = {"open-4dfer-s": {"changes": {"subjects": 6}}, "open-4dfer-m": {"changes": {"subjects": 4}}}
    known["open-4dfer-s"]["ict_folder"] = "/home/me/ict"
    said = {"corpus": "open-4dfer-s", "raw_corpus": {"known": known}}
    local = LayeredConfigLoader(str(conf), env="local", runtime_params=said, **CONFIG_LOADER_ARGS)
    told = changed_parameters(local, reading("raw_corpus"))
    assert told == {"raw_corpus.known.open-4dfer-s.changes.subjects": 6}


def test_a_node_may_take_what_its_run_started_with(conf, project_root):
    shutil.copytree(project_root / "conf/base", conf / "base")
    loader = LayeredConfigLoader(str(conf), env="local", runtime_params={"seed": 5}, **CONFIG_LOADER_ARGS)
    hooks = ArtefactHooks()
    hooks.after_context_created(SimpleNamespace(config_loader=loader, project_path=conf))
    catalog = DataCatalog({"run_info": MemoryDataset()})
    run = Pipeline([node(lambda *values: values, ["params:seed", "run_info"], "described", name="describe")])
    hooks.before_pipeline_run(run, catalog)
    told = catalog.load("run_info")
    assert (told["changes"], told["commit"]) == ({"seed": 5}, "")
    assert told["versions"]["torch"]
    assert re.match(r"\d{4}-\d\d-\d\dT.*\+00:00$", told["made"])


@pytest.fixture
def saved(tmp_path):
    """Saves an artefact through the hooks, and gives the project's folder."""

    def save(dataset, data):
        hooks = ArtefactHooks()
        hooks.after_context_created(SimpleNamespace(project_path=tmp_path))
        making = node(lambda: data, None, "artefact", name="make", tags="stage")
        hooks.before_pipeline_run(Pipeline([making]), DataCatalog({"artefact": dataset}))
        dataset.save(data)
        hooks.after_dataset_saved("artefact", data, making)
        return tmp_path

    return save


def test_the_latest_version_is_copied_to_a_fixed_path(saved, tmp_path):
    for value, version in ((1, "2026-01-01T00.00.00.000Z"), (2, "2026-01-02T00.00.00.000Z")):
        dataset = JSONDataset(
            filepath=str(tmp_path / "versions/scores.json"),
            version=Version(None, version),
            metadata={"latest": "latest/scores.json"},
        )
        saved(dataset, {"value": value})
        assert json.loads((tmp_path / "latest/scores.json").read_text()) == {"value": value}
    assert len(list((tmp_path / "latest").iterdir())) == 1


def test_the_latest_table_may_be_csv(saved, tmp_path):
    dataset = ParquetDataset(filepath=str(tmp_path / "table.parquet"), metadata={"latest": "latest/table.csv"})
    saved(dataset, pd.DataFrame({"x": [1, 2]}))
    assert (tmp_path / "latest/table.csv").read_text() == "x\n1\n2\n"


def test_an_artefact_is_shown_on_the_terminal_where_the_catalog_says_so(saved, tmp_path, capsys):
    dataset = ParquetDataset(
        filepath=str(tmp_path / "table.parquet"), metadata={"console": {"title": "Counts", "columns": ["x"]}}
    )
    saved(dataset, pd.DataFrame({"x": [1, None], "hidden": [7.25, 7.25]}))
    shown = capsys.readouterr().out
    assert "Counts" in shown
    assert "–" in shown
    assert "7.25" not in shown
    saved(dataset, pd.DataFrame({"x": [], "hidden": []}))
    assert capsys.readouterr().out == ""


def test_seconds_of_a_stage_are_there_for_a_node_that_takes_them():
    hooks = ArtefactHooks()
    catalog = DataCatalog({"stage_seconds": MemoryDataset(), "run_info": MemoryDataset()})
    first = node(lambda: 1, None, "one", name="first", tags="render")
    last = node(lambda seconds: seconds, "stage_seconds", "told", name="last", tags="report")
    hooks.before_pipeline_run(Pipeline([first, last]), catalog)
    hooks.before_dataset_loaded("params:x", first)
    hooks.after_node_run(first)
    hooks.before_dataset_loaded("stage_seconds", last)
    assert set(catalog.load("stage_seconds")) == {"render"}


@pytest.mark.slow
@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(("corpus", "shown"), [("bu4dfe", False), ("open-4dfer-s", True)])
def test_faces_that_may_not_be_shown_stay_out_of_mlflow(conf, corpus, shown):
    catalog = LayeredConfigLoader(str(conf), runtime_params={"corpus": corpus}, **CONFIG_LOADER_ARGS)["catalog"]
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
    hooks = MlflowHooks()
    hooks._options = MlflowOptions()
    hooks.after_catalog_created(DataCatalog({"sheet": sheet}))
    hooks.after_dataset_saved("sheet", {})
    assert len(files) == logged


def test_runs_that_begin_at_once_in_a_new_project_share_its_records(tmp_path, project_root):
    """Each finds no tables there; only one may make them."""
    command = [sys.executable, "-c", FINISHED_RUN, "mlflow.db", project_root / "conf"]
    begun = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for run in begun:
        _, said = run.communicate(timeout=500)
        assert run.returncode == 0, said
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("affect4d")
    found = client.search_runs([experiment.experiment_id])
    assert [run.info.status for run in found] == ["FINISHED"] * 3
    assert {(run.data.params["corpus"], run.data.params["seed"]) for run in found} == {("open-4dfer-s", "0")}


@pytest.mark.parametrize(
    ("names", "experiment"),
    [
        (["__default__"], "mine"),
        (["train_affect"], "mine"),
        (["study_ablation"], "mine-studies"),
        (["cross_validate", "robustness"], "mine-studies"),
        (["predict"], "mine-predictions"),
        (["train_affect", "predict"], "mine"),
    ],
)
def test_studies_and_predictions_have_experiments_of_their_own(names, experiment):
    assert experiment_of("mine", names) == experiment


def test_a_run_is_named_by_what_was_changed():
    parameters = {"raw_corpus.name": "bu4dfe", "seed": 3}
    given = {"corpus": "bu4dfe", "seed": 3, "affect_vlm": {"train": {"epochs": 40}}}
    assert run_name(["__default__"], parameters, given) == "affect_vlm.train.epochs=40 · bu4dfe · everything · seed 3"
    assert run_name(["predict"], parameters, {}) == "bu4dfe · predict · seed 3"


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
    base = LayeredConfigLoader(str(project_root / "conf"), env="ci", **CONFIG_LOADER_ARGS)["parameters"]
    inputs = parameter_inputs(register_pipelines().values())
    assert unread_parameters(told, {*inputs, *runtime_parameters(project_root / "conf"), *flatten(base)}) == []


def _is_text(file):
    return file.suffix in {".md", ".py", ".yml", ".jinja"} and "docs/reference" not in file.as_posix()
