import pandas as pd
import pytest

from affect4d.evaluation.purity import pseudo_label_purity


def test_purity_of_hand_computed_rows():
    prompts = pd.DataFrame(
        {
            "sequence": ["a", "a", "b", "c", "d"],
            "pseudo_label": ["anger", "anger", "fear", "brows raised", "anger"],
        }
    )
    sequences = pd.DataFrame({"sequence": list("abcd"), "expression": ["anger", "surprise", "fear", "anger"]})
    purity = pseudo_label_purity(prompts, sequences)
    assert purity["coverage"] == 3 / 4
    assert purity["purity"] == pytest.approx(2 / 3)
    assert purity["by_expression"] == {"anger": 1.0, "surprise": 0.0}
    assert purity["sequences"] == 4
