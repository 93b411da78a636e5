"""`kedro run --pipeline=evaluate_packaged`: a packaged model on the test subjects of a corpus."""

import pytest

from affect4d.inference.evaluate_packaged_model import check_same_images
from affect4d.inference.packaged_model_description import PACKAGED, PackagedModelError, read_description


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
