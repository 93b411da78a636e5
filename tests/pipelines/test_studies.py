"""A study in a whole project: what it says of itself, and the report that reads it."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def test_a_study_tells_what_it_was_run_on_and_the_report_counts_it(finished):
    project, _ = finished
    project.run("study_smile_ablation")
    provenance = project.load("smile_ablation_study")["provenance"]
    assert provenance["seeds"] == [0]
    assert provenance["changes"]["render.size"] == 48
    assert provenance["basis"]["split"] == project.load("subject_split")["digest"]
    assert len(provenance["commit"].rstrip("+")) == 40
    project.run("report")
    claims = {row["number"]: row for row in project.load("claims")["claims"]}
    studied = [one for one in claims[6]["findings"] if one["source"] == "study_smile_ablation"]
    assert [(one["stale"], one["made"]) for one in studied] == [("", provenance["made"][:10])]
    assert studied[0]["remarks"][0].startswith("changed: ")
    assert (
        "render.size=48" in (project.folder / "data/08_reporting/open-4dfer-s/studies/smile_ablation.html").read_text()
    )


def test_a_model_is_asked_by_a_view_that_it_was_not_trained_on(finished):
    project, _ = finished
    project.run("study_smile_regimes")
    answers = project.load("smile_regimes_study_predictions").set_index(["variant", "sequence"])
    rows = {row["variant"]: row for row in project.load("smile_regimes_study")["variants"]}
    parts = {"few_labels_full", "one_view_full", "one_view_no_redundancy"}
    assert set(rows) == parts | {"unseen_angle_full", "unseen_angle_no_decorrelation"}
    assert rows["unseen_angle_no_decorrelation"]["against"] == "unseen_angle_full"
    shares = [name for name in answers if name.startswith("prob_")]
    every, one = (answers.loc[variant, shares].sort_index() for variant in ("few_labels_full", "one_view_full"))
    assert not np.allclose(every, one)


def test_two_processes_train_what_one_does_and_the_report_counts_it(finished):
    project, _ = finished
    project.run("study_distribution", model={"encoder": {"text": "compact"}})  # minilm's projection amplifies rounding
    predictions = project.load("distribution_study_predictions").set_index(["variant", "sequence"])
    shares = [name for name in predictions if name.startswith("prob_")]
    alone, shared = (predictions.loc[variant, shares].sort_index() for variant in ("affect_vlm", "two"))
    assert np.abs(alone - shared).max(axis=None) < 0.01
    assert alone.to_numpy().std() > 0.001
    curves = project.load("distribution_study_curves").set_index(["variant", "epoch"])
    assert curves.loc["two", "loss"].tolist() == pytest.approx(curves.loc["affect_vlm", "loss"].tolist(), rel=0.01)
    project.run("report")
    (claim,) = (row for row in project.load("claims")["claims"] if row["number"] == 5)
    assert [one["source"] for one in claim["findings"]] == ["study_distribution"]
