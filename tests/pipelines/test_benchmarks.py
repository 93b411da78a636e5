"""Frozen benchmarks through the pipelines: files or stream, their own split, what the receipt says."""

import functools
from pathlib import Path

import numpy as np
import pytest

from affect4d.synthetic.frozen_benchmarks import benchmark

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def load(finished):
    """Load what the default run made."""
    project, version = finished
    return functools.partial(project.load, version=version)


@pytest.fixture(scope="module")
def streamed(make_project):
    """The default corpus up to its views, without a file."""
    project = make_project("streamed")
    project.run("render", raw_files=False)
    return project


def test_the_default_run_is_on_the_embedded_benchmark(load):
    receipt = load("raw_corpus")
    version = benchmark("open-4dfer-s").version
    assert receipt["benchmark"] == {"name": "open-4dfer-s", "version": version, "verdict": "changed recipe"}
    assert list(Path(receipt["root"]).rglob("*.wrl"))


def test_the_split_is_the_benchmarks_own(load):
    receipt, split = load("raw_corpus"), load("subject_split")
    assert split == receipt["split"]
    assert sorted(name for fold in receipt["folds"] for name in fold) == sorted(split["train"] + split["test"])


def test_another_split_can_be_asked_for(streamed):
    streamed.run("ingest", raw_files=False, split={"use_given": False, "seed": 3, "test_share": 0.5})
    drawn, given = streamed.load("subject_split"), streamed.load("raw_corpus")["split"]
    assert (drawn["seed"], len(drawn["test"])) == (3, 3)
    assert drawn["digest"] != given["digest"]


def test_a_streamed_run_shows_what_a_run_from_files_shows(load, streamed):
    receipt = streamed.load("raw_corpus")
    assert receipt["streamed"] is True
    assert not list(Path(receipt["root"]).rglob("*.wrl"))
    ours, theirs = streamed.load("view_manifest"), load("view_manifest")
    assert list(ours["sequence"]) == list(theirs["sequence"])
    np.testing.assert_allclose(np.stack(ours["activity"]), np.stack(theirs["activity"]), atol=2e-3)
    assert receipt["fingerprint"] == load("raw_corpus")["fingerprint"]
