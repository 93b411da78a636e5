"""What a corpus does not allow is left out with its reason; everything else is made."""

import json
import shutil
from typing import Any

import pandas as pd
import pytest
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset

from affect4d.hooks import ArtefactHooks
from affect4d.left_out import LeftOut, MissingInputError
from affect4d.pipelines import named_node
from affect4d.pipelines.data.nodes import SplitOptions, split_subjects
from affect4d.pretrained_files import FACE_LANDMARKER, find_pretrained_file
from affect4d.scans.splits import SubjectSplit

REASON = "No sequence has landmarks: put the landmark files beside the scans."


def measure(scans: int) -> tuple[int, int]:
    if scans < 2:
        raise MissingInputError(REASON)
    return scans, scans * scans


def train(number: int) -> int:
    return 10 * number


def report(score: int | LeftOut, square: int | LeftOut) -> dict[str, Any]:
    return {"score": score.reason if isinstance(score, LeftOut) else score, "square": isinstance(square, LeftOut)}


PIPELINE = Pipeline(
    [
        named_node(measure, "scans", ["number", "square"]),
        named_node(train, "number", "score"),
        named_node(report, ["score", "square"], "report"),
    ]
)


@pytest.fixture
def run(tmp_path):
    """Run the pipeline with results on disk, and load its report."""

    def start(scans):
        files = {name: JSONDataset(filepath=str(tmp_path / f"{name}.json")) for name in ("number", "score", "report")}
        catalog = DataCatalog(datasets={"scans": MemoryDataset(scans), "square": MemoryDataset(), **files})
        manager = _create_hook_manager()
        manager.register(ArtefactHooks())
        manager.hook.before_pipeline_run(run_params={}, pipeline=PIPELINE, catalog=catalog)
        SequentialRunner().run(PIPELINE, catalog, manager)
        manager.hook.after_pipeline_run(run_params={}, run_result={}, pipeline=PIPELINE, catalog=catalog)
        return catalog["report"].load()

    return start


def test_what_can_be_made_is_made(run):
    assert run(2) == {"score": 20, "square": False}


def test_what_needs_a_left_out_result_is_left_out_with_its_reason(run, tmp_path, caplog):
    assert run(1) == {"score": REASON, "square": True}
    assert not (tmp_path / "score.json").exists()
    assert f"Left out: number, square, score. {REASON}" in caplog.text


def test_another_error_ends_the_run(run):
    with pytest.raises(TypeError):
        run("many")


def test_without_a_test_subject_of_the_given_split_nothing_is_split():
    given = {"train": ["a", "b"], "test": ["c"], "seed": 0}
    with pytest.raises(MissingInputError, match=r"No test subject.*use_given"):
        split_subjects(pd.DataFrame({"subject": ["a", "b"]}), {"split": given}, SplitOptions())


def test_what_needs_a_split_is_left_out_where_all_scans_show_one_subject():
    with pytest.raises(MissingInputError, match="two subjects or more"):
        SubjectSplit.from_dict(split_subjects(pd.DataFrame({"subject": ["a", "a"]}), {}, SplitOptions()))


@pytest.mark.slow
def test_without_the_detector_everything_that_does_not_need_it_is_trained_and_reported(
    make_project, finished, tmp_path, monkeypatch
):
    done, _ = finished
    shutil.copytree(
        done.load("raw_corpus")["root"], tmp_path / "bare", ignore=shutil.ignore_patterns("BU4DFE_BND_V1.1")
    )
    monkeypatch.setenv(FACE_LANDMARKER.variable, str(tmp_path / "none.task"))
    find_pretrained_file.cache_clear()
    project = make_project("bare")
    labels = {"source": "blendshapes"}
    project.run(corpus="bu4dfe", corpus_root=str(tmp_path / "bare"), engine={"workers": 1}, pseudo_labels=labels)
    find_pretrained_file.cache_clear()
    results = project.folder / "data" / "08_reporting" / "bu4dfe"
    summary = json.loads((results / "summary.json").read_text())
    assert set(summary["models"]) == {"affect_vlm"}
    assert {"cross_entropy", "pixel_knn"} <= set(summary["baselines"])
    assert "Blendshape scores need the face landmark detector." in summary["left_out"]["smile_vlm"]
    assert "make setup" in summary["left_out"]["smile_vlm"]
    assert summary["left_out"]["smile_vlm"] in (results / "report.md").read_text()
    assert not list((project.folder / "data").glob("**/smile_vlm/metrics.json"))
