import pytest

from affect4d.evaluation.view_weights import view_weights
from affect4d.models import ModelOptions, TowerOptions, build_model
from affect4d.views.inputs import InputOptions

TOWERS = TowerOptions(image_width=16, text_width=16, text_layers=1, text_heads=1)


@pytest.mark.parametrize(("motion", "views"), [("stacked", 3), ("views", 6)])
def test_weights_of_an_untrained_model_are_equal_and_sum_to_one(motion, views):
    model = build_model("view_classifier", ModelOptions(towers=TOWERS, views=views, dim=16))
    weights = view_weights(model, ("front", "left", "right"), InputOptions(motion=motion))
    assert list(weights)[:3] == ["front", "left", "right"]
    assert list(weights.values()) == pytest.approx([1 / views] * views)


def test_a_model_of_other_views_is_refused():
    model = build_model("view_classifier", ModelOptions(towers=TOWERS, views=2, dim=16))
    with pytest.raises(ValueError, match="weighs 2 views"):
        view_weights(model, ("front", "left", "right"), InputOptions())
