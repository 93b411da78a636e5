"""The same chain on real face geometry: ICT-FaceKit, where a clone lies at hand."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.corpus]


def test_the_chain_runs_on_ict_geometry_from_scans_to_report(make_project, ict_folder):
    project = make_project("ict")
    project.run(corpus="ict", ict_folder=str(ict_folder))
    summary = project.load("summary", corpus="ict", ict_folder=str(ict_folder))
    assert summary["corpus"] == "ict"
    assert sum(summary["subjects"].values()) == 4
    report = project.load("ingest_report", corpus="ict", ict_folder=str(ict_folder))
    assert not (report["status"] == "refused").any()
