import numpy as np
import pytest

from affect4d.evaluation.prompt_influence import prompt_influence

EAST, NORTH, WEST = np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([-1.0, 0.0])


@pytest.fixture
def table():
    """Sequences east (anger) and north (fear); one prompt of anger points the wrong way."""
    fused = np.stack([EAST, EAST, NORTH, NORTH])
    prompts = {"anger": ("good", "bad"), "fear": ("only",)}
    texts = {"anger": np.stack([EAST, 3 * NORTH / 3 + 0 * WEST]), "fear": NORTH[None]}
    return prompt_influence(fused, np.array([0, 0, 1, 1]), prompts, texts).set_index("prompt")


def test_similarity_is_with_the_own_expression_and_the_others(table):
    assert table.loc["good", ["own_similarity", "other_similarity"]].tolist() == [1, 0]
    assert table.loc["bad", ["own_similarity", "other_similarity"]].tolist() == [0, 1]


def test_a_prompt_alone_names_what_it_points_to(table):
    assert table.loc["good", "accuracy_alone"] == 1
    assert table.loc["bad", "accuracy_alone"] == 0.5  # anger and fear both point north: ties go to anger


def test_gain_is_what_the_ensemble_loses_without_it(table):
    assert table.loc["good", "gain"] == 0.5
    assert table.loc["bad", "gain"] == 0
    assert np.isnan(table.loc["only", "gain"])
