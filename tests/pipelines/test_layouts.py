"""`kedro run --params layout=…`: the synthetic faces in a corpus's own files, taken in by that corpus's conventions."""

from pathlib import Path

import pytest

from affect4d.scans.protocols import protocol_table

pytestmark = pytest.mark.slow
LAYOUTS = {
    "bu3dfe": ("F0001/F0001_NE00WH_F3D.wrl", "P1", 16),
    "bosphorus": ("bs000/bs000_N_N_0.bnt", "60_of_65", 12),
    "bp4d": ("AUCoding/AU_OCC/F001_T1.csv", "cross_dataset", 20),
    "fourdme": ("labels.csv", "leave_one_subject_out", 60),
}
"""A file of each, a protocol, and how many scans it takes of two people with five frames a take: few of BU-3DFE
are of level 3.
"""


@pytest.fixture(scope="module")
def project(make_project):
    return make_project("layouts")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ingest_runs_end_to_end_in_a_layout(project, layout):
    project.run("ingest", layout=layout, subjects=2)
    receipt = project.load("raw_corpus", layout=layout, subjects=2)
    assert receipt["layout"] == layout
    named, protocol, scans = LAYOUTS[layout]
    assert (Path(receipt["root"]) / named).is_file()
    manifest = project.load("scan_manifest", layout=layout, subjects=2)
    assert len(manifest) == receipt["scans"]
    assert set(manifest["subject"]) == {*receipt["split"]["train"], *receipt["split"]["test"]}
    assert protocol_table(layout, manifest).set_index("protocol").loc[protocol, "scans"] == scans
    report = project.load("ingest_report", layout=layout, subjects=2)
    assert (report["status"] != "refused").all()


def test_views_are_rendered_of_static_range_images(project):
    project.run("render", layout="bosphorus", subjects=2)
    views = project.load("view_manifest", layout="bosphorus", subjects=2)
    assert len(views) == 14
    assert (views["frames"].map(len) == 1).all()


def test_the_whole_run_goes_through_where_every_sequence_is_a_single_scan(project):
    version = project.run(layout="bu3dfe", subjects=4)
    views = project.load("view_manifest", version, layout="bu3dfe", subjects=4)
    prompts = project.load("pseudo_prompts", version, layout="bu3dfe", subjects=4)
    assert (views["frames"].map(len) == 1).all()
    assert set(prompts["sequence"]) == set(views["sequence"])
    summary = project.load("summary", version, layout="bu3dfe", subjects=4)
    assert set(summary["models"]) == {"affect_vlm", "smile_vlm"}
    assert {"landmark_logistic", "pseudo_labels"} <= set(summary["baselines"])
    assert set(summary["baselines"]["motion_logistic"]["settings"]) == {"sequence", "apex_neutral"}
