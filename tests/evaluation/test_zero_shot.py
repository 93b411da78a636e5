import numpy as np
import pytest
import torch

from affect4d.evaluation.sequence_embeddings_and_probabilities import SequenceEmbeddings
from affect4d.evaluation.zero_shot import (
    class_embeddings,
    expression_prompts,
    predict_by_prompts,
    prompt_influence,
    zero_shot_probabilities,
)
from affect4d.scans.expression import EXPRESSIONS


class WordModel:
    """Embeds a prompt by the first token of it, so that every expression's prompts point one way."""

    def __init__(self, prompts):
        self.axes = {
            tuple(self.preprocess_texts([text])[0].tolist()): row
            for row, texts in enumerate(prompts.values())
            for text in texts
        }

    def preprocess_texts(self, texts):
        from affect4d.models import clip_tokens

        return clip_tokens(texts, 8)

    def embed_texts(self, tokens):
        return torch.eye(6)[[self.axes[tuple(row.tolist())] for row in tokens]]

    def temperature(self):
        return torch.tensor(10.0)


PROMPTS = {name: (name, f"a face of {name}") for name in EXPRESSIONS}


def test_class_embeddings_are_normalised_means_of_prompts():
    model = WordModel(PROMPTS)
    mixed = {"both": ("anger", "fear")}
    embedding = class_embeddings(model, mixed)
    assert embedding[0] == pytest.approx(np.array([1, 0, 1, 0, 0, 0]) / np.sqrt(2), abs=1e-6)


def test_probabilities_are_a_softmax_of_scaled_cosines():
    probabilities = zero_shot_probabilities(np.array([[1.0, 0.0]]), np.eye(2), scale=2.0)
    assert probabilities == pytest.approx(np.array([[np.e**2, 1]]) / (np.e**2 + 1))


def test_sequences_are_what_the_nearest_prompts_say(sequences, labels, split):
    fused = np.eye(6, dtype=np.float32)[(labels + 1) % 6]
    embeddings = SequenceEmbeddings(tuple(sequences["sequence"]), fused, fused[:, None], fused)
    table = predict_by_prompts(WordModel(PROMPTS), embeddings, sequences, split, "model", PROMPTS)
    expected = [EXPRESSIONS[(EXPRESSIONS.index(name) + 1) % 6] for name in table["expression"]]
    assert table["predicted"].tolist() == expected
    assert set(table["subject"]) == set(split.test)


def test_every_expression_has_prompts():
    assert list(expression_prompts()) == list(EXPRESSIONS)
    assert all(len(texts) > 1 for texts in expression_prompts().values())


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
