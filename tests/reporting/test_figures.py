import json

import pandas as pd
import pytest

from affect4d.evaluation.metrics import score_predictions
from affect4d.reporting.figures import confusion_figure, figure_json, learning_figures, view_weights_figure


def test_rows_of_a_confusion_figure_sum_to_a_hundred(predictions, split, generator):
    figure = confusion_figure(score_predictions(predictions, split, generator))
    assert [sum(row) for row in figure.data[0].z] == pytest.approx([100] * 6)


def test_learning_curves_are_means_of_epochs_and_part_terms_from_margin():
    history = pd.DataFrame(
        {"epoch": [0, 0, 1, 1], "loss": [4.0, 2.0, 1.0, 1.0], "alpha": [0.5, 0.5, 0.4, 0.4], "learning_rate": 1e-3}
    )
    figures = learning_figures(history)
    assert list(figures) == ["Loss and its terms", "Margin and active shares"]
    terms = figures["Loss and its terms"].data
    assert [trace.name for trace in terms] == ["whole loss"]
    assert (list(terms[0].x), list(terms[0].y)) == ([1, 2], [3.0, 1.0])


def test_a_model_without_a_margin_has_one_figure():
    assert list(learning_figures(pd.DataFrame({"epoch": [0], "loss": [1.0]}))) == ["Loss and its terms"]


def test_a_figure_cannot_close_the_script_it_stands_in():
    figure = view_weights_figure({"</script><b>": {"front": 1.0}})
    text = figure_json(figure)
    assert "<" not in text
    assert json.loads(text)["data"][0]["name"] == "</script><b>"
