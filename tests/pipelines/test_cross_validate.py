"""`kedro run --pipeline=cross_validate`: folds as child runs under one parent; a second run makes nothing again."""

import pytest
from mlflow.tracking import MlflowClient

pytestmark = pytest.mark.slow
CHEAP = {"protocol": "3-fold", "methods": "landmark_logistic+pseudo_labels"}


@pytest.fixture(scope="module")
def validated(finished):
    project, _ = finished
    project.run("cross_validate", **CHEAP)
    return project


def runs(project):
    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name("affect4d-studies").experiment_id])
    parents = [run for run in found if "cross_validate" in run.info.run_name]
    newest = max(parents, key=lambda run: run.info.start_time).info.run_id
    return [run for run in found if run.data.tags.get("mlflow.parentRunId") == newest]


def test_every_fold_is_a_child_run_of_one_parent(validated):
    children = runs(validated)
    assert sorted(run.info.run_name for run in children) == ["fold 1", "fold 2", "fold 3"]
    assert all(0 <= run.data.metrics["accuracy/landmark_logistic"] <= 1 for run in children)
    assert len({run.data.tags["split"] for run in children}) == 3


def test_everybody_is_tested_once_and_the_scores_say_so(validated):
    scores = validated.load("cross_validation_scores", **CHEAP)
    tested = [who for fold in scores["folds"] for who in fold["split"]["test"]]
    assert len(tested) == len(set(tested)) == 6
    assert set(scores["models"]) == {"landmark_logistic", "pseudo_labels"}
    assert all(score["sequences"] == 36 for score in scores["models"].values())


def test_a_second_run_finds_every_fold_and_says_the_same(validated):
    place = "data/06_models/studies/**/predictions.parquet"
    trials = {path: path.stat().st_ino for path in validated.folder.glob(place)}
    first = validated.load("cross_validation_scores", **CHEAP)
    validated.run("cross_validate", **CHEAP)
    again = {path: path.stat().st_ino for path in validated.folder.glob(place)}
    assert again == trials
    assert validated.load("cross_validation_scores", **CHEAP)["models"] == first["models"]
    assert len(runs(validated)) == 3
