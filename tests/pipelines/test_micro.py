"""SMILE-VLM on micro-expressions, from nothing: `kedro run --pipeline=train_smile --params corpus=open-4dmer`."""

import json

import pytest

from affect4d.experiments.claims import Finding

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(make_project):
    """After rendering."""
    made = make_project("micro")
    made.run("render", corpus="open-4dmer")
    return made


def test_micro_expressions_run_up_to_the_views(project):
    views = project.load("view_manifest", corpus="open-4dmer")
    assert views["expression"].isna().all()
    sequences = project.load("sequences", corpus="open-4dmer").set_index("sequence")
    assert sequences["label"].notna().all()
    micro = sequences[sequences["task"] == "micro"]
    assert (micro["onset"] < micro["apex"]).all()
    assert project.load("view_contact_sheet", corpus="open-4dmer").width > 100


def test_micro_expressions_are_trained_on_judged_and_weighed_against_the_baselines(project):
    project.run("train_smile", corpus="open-4dmer")
    scores = project.load("smile_vlm_metrics", corpus="open-4dmer")
    ways, protocols = ("smile_vlm", "untrained_encoder", "difference", "optical_flow"), ("multi_label", "single_label")
    assert set(scores) == {f"{way}.{protocol}" for way in ways for protocol in protocols}
    assert all(0 <= found["uf1"] <= 1 and found["subjects"] == 1 for found in scores.values())
    claim = project.folder / "data/08_reporting/evidence/open-4dmer/claim_9.json"
    findings = [Finding(**row) for row in json.loads(claim.read_text())]
    assert {(row.first, row.second) for row in findings} == {
        (f"smile_vlm.{protocol}", f"{way}.{protocol}") for way in ways[1:] for protocol in protocols
    }
    packaged = project.load("smile_vlm_packaged_model", corpus="open-4dmer")
    described = json.loads((project.folder / packaged["folder"] / "packaged_model.json").read_text())
    assert described["scores"] is None  # its prompts were never asked about these clips
