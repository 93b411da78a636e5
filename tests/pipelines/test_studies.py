"""A study in a whole project: what it says of itself, and the report that reads it."""

import pytest

pytestmark = pytest.mark.slow


def test_a_study_tells_what_it_was_run_on_and_the_report_counts_it(finished):
    project, _ = finished
    project.run("study_smile_ablation")
    account = project.load("smile_ablation_study")["account"]
    assert account["seeds"] == [0]
    assert account["changes"]["render.size"] == 48
    assert account["basis"]["split"] == project.load("subject_split")["digest"]
    assert len(account["commit"].rstrip("+")) == 40
    project.run("report")
    claims = {row["number"]: row for row in project.load("claims")}
    studied = [one for one in claims[6]["findings"] if one["source"] == "study_smile_ablation"]
    assert [(one["stale"], one["made"]) for one in studied] == [("", account["made"][:10])]
    assert studied[0]["remarks"][0].startswith("changed: ")
    assert (
        "render.size=48" in (project.folder / "data/08_reporting/open-4dfer-s/studies/smile_ablation.html").read_text()
    )
