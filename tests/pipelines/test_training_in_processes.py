"""However training is launched, the run is one: one node, one MLflow run, one curve, one model."""

import json
import sqlite3

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_two_processes_are_one_run_and_a_finished_model_is_found_again(finished):
    project, _ = finished
    before = set((project.folder / "data").rglob("affect_vlm.json/*"))
    version = project.run("train_affect", distributed={"processes": 2}, train={"fresh": True})
    (made,) = set((project.folder / "data").rglob("affect_vlm.json/*")) - before
    assert made.name == version
    record = json.loads((made / "affect_vlm.json").read_text())
    assert record["cost"]["samples_per_second"] > 0
    with sqlite3.connect(project.folder / "mlflow.db") as database:
        runs = database.execute("SELECT run_uuid FROM tags WHERE key = 'run_id' AND value = ?", (version,)).fetchall()
        assert len(runs) == 1
        told = "SELECT step FROM metrics WHERE run_uuid = ? AND key = 'affect_vlm/loss' ORDER BY step"
        steps = [step for (step,) in database.execute(told, runs[0])]
        costs = "SELECT COUNT(*) FROM metrics WHERE run_uuid = ? AND key LIKE 'affect_vlm/cost/%'"
        assert database.execute(costs, runs[0]).fetchone()[0] >= 5
    assert steps == list(range(len(steps)))
    assert not list((project.folder / "data").rglob("jobs/affect_vlm/*"))
    again = project.run("train_affect")
    assert project.load("affect_vlm_model", version=again) == record
