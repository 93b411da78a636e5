"""`kedro run --pipeline=robustness`: an undamaged scan drawn again is read as evaluation read it."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow
ASKED = {"people": 1, "damages": "light"}


@pytest.fixture(scope="module")
def measured(finished):
    project, _ = finished
    project.run()  # other tests may have trained other models in it since: these are the newest now
    project.run("robustness", **ASKED)
    return project


def test_without_damage_every_answer_is_that_of_the_evaluation(measured):
    answers = measured.load("robustness_predictions", **ASKED)
    clean = answers[answers["corruption"] == "none"].set_index(["model", "sequence"]).filter(like="prob_")
    known = measured.load("all_predictions").set_index(["model", "sequence"]).filter(like="prob_")
    assert len(clean) == 3 * 6
    np.testing.assert_allclose(clean.to_numpy(), known.loc[clean.index].to_numpy(), atol=1e-5)


def test_every_strength_is_measured(measured):
    summary = measured.load("robustness", **ASKED)
    assert (summary["subjects"], summary["sequences"], summary["corruptions"]) == (1, 6, ["light"])
    assert summary["entries"] == {
        name: measured.load(f"{name}_model", **ASKED)["entry"] for name in ("affect_vlm", "smile_vlm", "cross_entropy")
    }
    assert all(len(curve) == 6 for curve in summary["curves"]["light"].values())
