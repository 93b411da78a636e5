import pandas as pd
import pytest

from affect4d.evaluation.pseudo_label_accuracy import score_pseudo_labels


def test_scores_of_hand_computed_rows():
    prompts = pd.DataFrame(
        {
            "sequence": ["a", "a", "b", "c", "d"],
            "pseudo_label": ["anger", "anger", "fear", "brows raised", "anger"],
        }
    )
    sequences = pd.DataFrame({"sequence": list("abcd"), "expression": ["anger", "surprise", "fear", "anger"]})
    scores = score_pseudo_labels(prompts, sequences)
    assert scores["coverage"] == 3 / 4
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["by_expression"] == {"anger": 1.0, "surprise": 0.0}
    assert scores["sequences"] == 4
