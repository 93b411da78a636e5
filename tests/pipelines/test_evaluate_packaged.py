"""`kedro run --pipeline=evaluate_packaged`: a packaged model on the test subjects of a corpus."""

import pandas as pd
import pytest

from affect4d.inference.evaluate_packaged_model import check_same_images, compare_with_baselines
from affect4d.inference.packaged_model_description import PACKAGED, PackagedModelError, read_description
from affect4d.left_out import MissingInputError
from affect4d.pipelines.inference.nodes import compare_packaged_model


@pytest.mark.slow
def test_a_projects_own_model_has_the_scores_that_evaluate_gave_it(finished):
    project, _ = finished
    project.run("evaluate_packaged", model="affect_vlm")
    packaged, evaluated = project.load("packaged_metrics"), project.load("affect_vlm_metrics")
    assert packaged["model"] == "affect_vlm"
    assert packaged["settings"].keys() == evaluated["settings"].keys()
    for setting, scores in evaluated["settings"].items():
        assert packaged["settings"][setting]["accuracy"] == pytest.approx(scores["accuracy"])
    assert len(project.load("packaged_predictions")) == 3 * evaluated["sequences"]
    rows = project.load("packaged_comparison").set_index(["setting", "baseline"])
    baselines = project.load("baseline_metrics")
    for setting in evaluated["settings"]:
        row = rows.loc[(setting, "landmark_logistic")]
        scores = baselines["landmark_logistic"]["settings"][setting]
        assert row["baseline_accuracy"] == pytest.approx(scores["accuracy"], abs=1e-4)
        assert row["low"] <= row["difference"] <= row["high"]


def test_without_baselines_of_these_sequences_the_comparison_names_the_command():
    predictions = pd.DataFrame({"sequence": ["A/1"], "model": "affect_vlm"})
    others = {"2026/predictions": lambda: pd.DataFrame({"sequence": ["B/1"]})}
    for baselines in ({}, others):
        with pytest.raises(MissingInputError, match="First kedro run --pipeline=evaluate"):
            compare_packaged_model(predictions, baselines)


def test_a_model_is_compared_with_every_baseline_that_a_setting_has():
    def table(model, setting, right):
        rows = [(f"{subject}/{take}", subject, "fear") for subject in "ABCDEFGH" for take in range(3)]
        said = ["fear" if place < right else "anger" for place in range(len(rows))]
        return pd.DataFrame(rows, columns=["sequence", "subject", "expression"]).assign(
            predicted=said, model=model, setting=setting
        )

    own = pd.concat([table("affect_vlm", setting, 24) for setting in ("sequence", "apex_neutral", "single_scan")])
    others = pd.concat([table("weak", "sequence", 6), table("even", "sequence", 24), table("weak", "single_scan", 12)])
    rows = compare_with_baselines(own, others).set_index(["setting", "baseline"])
    assert list(rows.index) == [("sequence", "even"), ("sequence", "weak"), ("single_scan", "weak")]
    assert rows.loc[("sequence", "even"), ["difference", "low", "high", "p"]].tolist() == [0, 0, 0, 1]
    weak = rows.loc[("sequence", "weak")]
    assert (weak["model_accuracy"], weak["baseline_accuracy"], weak["difference"]) == (1.0, 0.25, 0.75)
    assert weak["low"] > 0.3
    assert weak["p"] == pytest.approx(2 * 2 / 2**6)  # six subjects differ; two comparisons


def test_a_model_of_other_images_is_refused_with_the_parameters_it_needs():
    model = read_description(PACKAGED / "affect_vlm")
    check_same_images(model, model.render, model.crop_radius)
    smaller = model.render.model_copy(update={"size": 48})
    with pytest.raises(PackagedModelError, match=r"render\.size: 96, ingest\.crop_radius: 95"):
        check_same_images(model, smaller, 80.0)


def test_a_model_of_other_expressions_is_refused():
    model = read_description(PACKAGED / "affect_vlm")
    other = model.model_copy(update={"prompts": {"pain": ("pain",), "relief": ("relief",)}})
    with pytest.raises(PackagedModelError, match="pain, relief"):
        check_same_images(other, model.render, model.crop_radius)
