"""The same chain on real face geometry: ICT-FaceKit, where a clone lies at hand."""

from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.corpus]


@pytest.mark.parametrize(("corpus", "streamed"), [("open-4dfer-ict", False), ("open-4dfer-m", True)])
def test_the_chain_runs_on_ict_geometry_from_scans_to_report(make_project, ict_folder, corpus, streamed):
    project, chosen = make_project(corpus), {"corpus": corpus, "ict_folder": str(ict_folder), "subjects": 4}
    project.run(**chosen)
    summary = project.load("summary", **chosen)
    assert summary["corpus"] == corpus
    assert sum(summary["subjects"].values()) == 4
    report = project.load("ingest_report", **chosen)
    assert not (report["status"] == "refused").any()
    receipt = project.load("raw_corpus", **chosen)
    assert receipt["streamed"] is streamed
    assert bool(list(Path(receipt["root"]).rglob("*.wrl"))) is not streamed
    assert receipt["benchmark"]["verdict"] == "changed recipe"
