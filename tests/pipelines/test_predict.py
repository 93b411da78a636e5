"""`kedro run --pipeline=predict`: a trained model, a folder of scans, and the same answer wherever it is asked for."""

import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import affect4d
from affect4d.evaluation.prediction_tables_and_leak_checks import PROBABILITY_COLUMNS
from affect4d.scans.corpora.bu4dfe import LANDMARK_FOLDER
from affect4d.scans.expression import EXPRESSIONS

CLOSE = 1e-5
HERE = {"engine": {"workers": 1}}
OUTPUT = "data/07_model_output/predictions"
MISTAKES = {
    "no input": ({}, "--params input="),
    "nothing there": ({"input": "/nowhere/at/all"}, "no file or folder /nowhere/at/all"),
    "no scan among the files": ({"input": "conf"}, r"No scan in conf.*\.wrl"),
    "an unknown layout": ({"input": "conf", "layout": "cave"}, "cave.*Known layouts"),
    "an unknown grouping": ({"input": "conf", "grouping": "loosely"}, "grouping"),
    "an unknown model": ({"input": "conf", "model": "oracle"}, "no model 'oracle'.*packaged model.*models:/"),
    "an unknown run": ({"input": "conf", "model": "0" * 32}, "MLflow has nothing at runs:/0000"),
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def raw(finished):
    """The corpus that the run's models were trained and evaluated on."""
    return finished[0].load("raw_corpus")["root"]


@pytest.fixture(scope="module")
def predicted(finished, raw):
    """AffectVLM's predictions of all of it, and their version."""
    project, _ = finished
    version = project.run("predict", input=raw, layout="bu4dfe", **HERE)
    return project.load("predictions", version)


def shares(table):
    return table[list(PROBABILITY_COLUMNS)].to_numpy()


def test_a_run_answers_as_it_was_evaluated(finished, predicted):
    project, version = finished
    evaluated = project.load("affect_vlm_predictions", version).query("setting == 'sequence' and model == 'affect_vlm'")
    evaluated = evaluated.set_index("sequence")
    found = predicted.set_index("recording").loc[evaluated.index]
    np.testing.assert_allclose(shares(found), shares(evaluated), atol=CLOSE)
    assert (found["expression"] == evaluated["predicted"]).all()
    assert set(predicted["model"]) == {"affect_vlm"}


def test_the_other_model_too_and_any_version_by_its_name(finished, raw):
    project, version = finished
    project.run("predict", input=f"{raw}/F001/Happy", model="smile_vlm", grouping="sequences", **HERE)
    by_name = project.load("timelines")
    assert set(by_name["model"]) == {"smile_vlm"}
    assert by_name["frame"].tolist() == list(range(len(by_name)))
    project.run("predict", input=f"{raw}/F001/Happy/000.wrl", model=f"smile_vlm@{version}", **HERE)
    assert project.load("predictions")["model"].tolist() == ["smile_vlm"]


def test_the_python_call_and_mlflow_in_another_process_say_the_same(finished, raw):
    project, _ = finished
    scan = f"{raw}/F001/Happy/002.wrl"
    project.run("predict", input=scan, **HERE)
    row = project.load("predictions").iloc[0]
    called = affect4d.predict(scan, model=project.load("affect_vlm_packaged_model")["folder"])
    served = json.loads(subprocess.run(
        [sys.executable, "-c", SERVE, f"sqlite:///{project.folder / 'mlflow.db'}", scan],
        capture_output=True, text=True, check=True, timeout=300,
    ).stdout.splitlines()[-1])  # fmt: skip
    for name, column in zip(EXPRESSIONS, PROBABILITY_COLUMNS, strict=True):
        assert called.probabilities[name] == pytest.approx(row[column], abs=CLOSE)
        assert served[column] == pytest.approx(row[column], abs=CLOSE)
    assert served["reason"] == row["reason"] == called.reason


SERVE = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
table = mlflow.pyfunc.load_model("models:/affect_vlm@newest").predict([sys.argv[2]])
print(table.iloc[0].to_json())
"""


def test_a_model_is_registered_once(finished):
    from mlflow import MlflowClient

    project, _ = finished
    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    before = len(client.search_model_versions("name='affect_vlm'"))
    version = project.run("train_affect")
    versions = client.search_model_versions("name='affect_vlm'")
    assert len(versions) == before
    assert project.load("affect_vlm_packaged_model", version)["key"] in {one.tags["key"] for one in versions}


def test_one_bad_scan_is_one_row_on_the_page_and_in_the_tables(finished, raw, tmp_path):
    project, _ = finished
    for suffix in (".wrl", ".jpg"):
        shutil.copy(f"{raw}/F001/Sad/001{suffix}", tmp_path / f"sad{suffix}")
    shutil.copy(f"{raw}/{LANDMARK_FOLDER}/F001/Sad/001.bnd", tmp_path / "sad.bnd")
    (tmp_path / "broken.ply").write_bytes(b"ply\nformat ascii 1.0\n")
    project.run("predict", input=str(tmp_path), **HERE)
    table = pd.read_csv(project.folder / OUTPUT / "predictions.csv").set_index("recording")
    assert set(table.index) == {"broken.ply", "sad.wrl"}
    assert table.loc["broken.ply", "status"] == "refused"
    assert table.loc["sad.wrl", "status"] in ("ok", "repaired")  # the scanner's noise may have left a spike
    assert isinstance(table.loc["broken.ply", "reason"], str)
    kept = pd.read_csv(io.StringIO(project.load("predictions").to_csv(index=False)))  # a CSV has no empty texts
    pd.testing.assert_frame_equal(table.reset_index()[list(kept)], kept, check_dtype=False)
    page = (project.folder / OUTPUT / "gallery.html").read_text()
    assert "broken.ply" in page
    assert page.count("data:image/jpeg") == 1
    assert "://" not in page.split("<script>")[0]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_remedy(finished, mistake, monkeypatch):
    project, _ = finished
    monkeypatch.chdir(project.folder)
    parameters, words = MISTAKES[mistake]
    with pytest.raises(Exception, match=f"(?s){words}"):
        project.run("predict", **parameters, **HERE)
