"""Frozen benchmarks through the pipelines: files or stream, their own split, what the receipt says."""

from pathlib import Path

import numpy as np
import pytest

from affect4d.synthetic.frozen_benchmarks import benchmark

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rendered(make_project):
    """The default corpus up to its split and its views."""
    project = make_project("benchmark")
    project.run("ingest")
    project.run("render")
    return project


def test_the_default_run_is_on_the_embedded_benchmark(rendered):
    receipt = rendered.load("raw_corpus")
    version = benchmark("open-4dfer-s").version
    assert receipt["benchmark"] == {"name": "open-4dfer-s", "version": version, "verdict": "changed recipe"}
    assert list(Path(receipt["root"]).rglob("*.wrl"))


def test_the_split_is_the_benchmarks_own(rendered):
    receipt, split = rendered.load("raw_corpus"), rendered.load("subject_split")
    assert split == receipt["split"]
    assert sorted(name for fold in receipt["folds"] for name in fold) == sorted(split["train"] + split["test"])


def test_another_split_can_be_asked_for(make_project):
    project = make_project("split")
    project.run("ingest", split={"use_given": False, "seed": 3, "test_share": 0.5})
    drawn, given = project.load("subject_split"), project.load("raw_corpus")["split"]
    assert (drawn["seed"], len(drawn["test"])) == (3, 3)
    assert drawn["digest"] != given["digest"]


def test_a_streamed_run_shows_what_a_run_from_files_shows(rendered, make_project):
    streamed = make_project("streamed")
    streamed.run("render", raw_files=False)
    receipt = streamed.load("raw_corpus")
    assert receipt["streamed"] is True
    assert not list(Path(receipt["root"]).rglob("*.wrl"))
    ours, theirs = streamed.load("view_manifest"), rendered.load("view_manifest")
    assert list(ours["sequence"]) == list(theirs["sequence"])
    np.testing.assert_allclose(np.stack(ours["activity"]), np.stack(theirs["activity"]), atol=2e-3)
    assert receipt["fingerprint"] == rendered.load("raw_corpus")["fingerprint"]


def test_micro_expressions_run_up_to_the_views(make_project):
    project = make_project("micro")
    project.run("render", corpus="open-4dmer")
    views = project.load("view_manifest", corpus="open-4dmer")
    assert views["expression"].isna().all()
    sequences = project.load("sequences", corpus="open-4dmer").set_index("sequence")
    assert sequences["label"].notna().all()
    micro = sequences[sequences["task"] == "micro"]
    assert (micro["onset"] < micro["apex"]).all()
    assert project.load("view_contact_sheet", corpus="open-4dmer").width > 100
