"""`kedro run` from nothing to a report, on the smallest corpus; then everything a run promises about itself."""

import json

import mlflow
import pytest
from mlflow.tracking import MlflowClient

pytestmark = pytest.mark.slow
SCORES = ("accuracy", "uar", "f1", "ece")


@pytest.fixture(scope="module")
def runs(finished):
    project, _ = finished
    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("affect4d")
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"]), client


def test_the_summary_has_every_promised_figure_between_0_and_1(finished):
    project, _ = finished
    summary = json.loads((project.folder / "data/08_reporting/open-4dfer-s/summary.json").read_text())
    assert {
        "corpus",
        "protocol",
        "split_hash",
        "seed",
        "subjects",
        "models",
        "baselines",
        "seconds",
        "versions",
    } <= set(summary)
    assert summary["subjects"]["train"] + summary["subjects"]["test"] == 6
    by_text = {"free_text", "free_text_face", "free_text_situation"}
    assert set(summary["models"]["smile_vlm"]) == {"linear_probe", "knn", "zero_shot", *by_text}
    assert by_text < set(summary["models"]["affect_vlm"])
    scored = [summary["models"]["affect_vlm"], *summary["models"]["smile_vlm"].values(), *summary["baselines"].values()]
    assert {"chance", "pixel_knn", "pixel_logistic", "landmark_logistic", "cross_entropy", "untrained_encoder"} <= set(
        summary["baselines"]
    )
    assert all(0 <= scores[name] <= 1 for scores in scored for name in ("accuracy", "macro_f1", "uar"))
    assert {"generate", "ingest", "render", "augment", "prompts", "train_affect", "train_smile"} <= set(
        summary["seconds"]
    )


def test_the_report_is_one_page_that_loads_nothing(finished):
    project, _ = finished
    page = (project.folder / "data/08_reporting/open-4dfer-s/report.html").read_text()
    assert "AffectVLM" in page
    assert "SMILE-VLM" in page
    assert 'src="http' not in page
    assert 'rel="stylesheet" href' not in page


def test_the_run_in_mlflow_carries_changes_curves_scores_and_code(finished, runs):
    (run, *_), client = runs
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "open-4dfer-s · everything · seed 0"
    assert run.data.tags["run_id"] == finished[1]
    assert len(run.data.tags["git.commit"]) == 40
    assert run.data.tags["git.dirty"] in {"true", "false"}
    assert run.data.params["corpus"] == "open-4dfer-s"
    assert run.data.params["raw_corpus.known.open-4dfer-s.changes.subjects"] == "6"
    assert run.data.params["affect_vlm.train.epochs"] == "2"
    assert "affect_vlm.train.batch_size" not in run.data.params
    assert not any(tag.startswith("upstream.") for tag in run.data.tags)
    curve = client.get_metric_history(run.info.run_id, "training/smile_vlm loss")
    assert [point.step for point in curve] == [0, 1]
    assert run.data.tags["model.affect_vlm.text_encoder"] == "minilm"


def test_scores_of_the_trained_models_are_few_metrics_and_the_rest_tables(runs):
    (run, *_), client = runs
    scores = {name: value for name, value in run.data.metrics.items() if name.split("/")[0] in SCORES}
    assert {"accuracy/affect_vlm", "accuracy/affect_vlm single_scan", "ece/smile_vlm linear_probe"} <= set(scores)
    assert all(0 <= value <= 1 for value in scores.values())
    assert len(scores) == 24
    curves = {name.split("/")[0] for name in set(run.data.metrics) - set(scores)}
    assert curves == {"training"}
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    tables = ("scores", "results", "representation_scores", "pseudo_label_accuracy", "affect_vlm_prompt_influence")
    assert {"parameters.yml", *(f"{table}.json" for table in tables)} <= names


def test_model_folders_and_figures_are_artefacts_of_the_run(runs):
    (run, *_), client = runs
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"affect_vlm", "smile_vlm", "cross_entropy"} <= names
    assert {"report.html", "view_contact_sheet.png", "subject_split.json"} <= names
    mlflow.set_tracking_uri(client.tracking_uri)  # a model's folder is looked up there, whatever client asks
    held = {item.path for item in client.list_artifacts(run.info.run_id, "affect_vlm/model")}
    assert {"affect_vlm/model/weights.safetensors", "affect_vlm/model/config.json"} <= held


def test_a_second_run_makes_nothing_again_and_says_the_same(finished):
    project, first_version = finished
    before = {path: path.stat().st_ino for path in project.folder.glob("data/0*/**/*.safetensors")}
    first = project.load("affect_vlm_metrics", first_version)
    second_version = project.run()
    after = {path: path.stat().st_ino for path in project.folder.glob("data/0*/**/*.safetensors")}
    assert (
        after == before
    )  # an entry that is used may be touched, so that it is not pruned; one made again is a new file
    assert second_version != first_version
    assert project.load("affect_vlm_metrics", second_version) == first
    first_seconds = project.load("summary", first_version)["seconds"]
    second_seconds = project.load("summary", second_version)["seconds"]
    assert second_seconds["train_affect"] < first_seconds["train_affect"]


def test_an_older_version_of_an_artefact_can_be_named(finished):
    project, first_version = finished
    project.run("ingest")
    version = project.run("prompts", load_versions={"subject_split": first_version})
    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("affect4d")
    newest = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])[0]
    assert newest.data.tags["run_id"] == version
    assert newest.data.tags["upstream.subject_split"] == first_version
    assert mlflow.active_run() is None


def test_another_seed_changes_the_weights_but_not_the_views(finished):
    project, _ = finished
    views = set(project.folder.glob("data/03_primary/**/views/views/*.safetensors"))
    models = set(project.folder.glob("data/06_models/open-4dfer-s/affect_vlm/*"))
    project.run("train_affect", seed=7)
    assert set(project.folder.glob("data/03_primary/**/views/views/*.safetensors")) == views
    assert len(set(project.folder.glob("data/06_models/open-4dfer-s/affect_vlm/*"))) == len(models) + 1
