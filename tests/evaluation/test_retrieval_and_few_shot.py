import itertools

import numpy as np
import open_clip
import pytest

from affect4d.evaluation.evaluator import Evaluator
from affect4d.evaluation.retrieval_and_few_shot import (
    MAP_COLUMNS,
    embedding_map,
    evaluate_representation,
    retrieval_scores,
    retrieve_both_ways,
)
from affect4d.evaluation.zero_shot import FREE_TEXT, expression_prompts
from affect4d.models import EncoderOptions, ModelOptions, build_model
from affect4d.prompts.compose import class_prompts, possible_prompts
from affect4d.prompts.vocabulary import ACTION_UNIT_PHRASES, VOCABULARY
from affect4d.scans.expression import EXPRESSIONS
from affect4d.views.input_options import InputOptions

INPUTS = InputOptions(channels=("grey", "shading"), motion="none", size=16)


@pytest.fixture
def evaluator(bank, sequences, split):
    return Evaluator(bank, sequences, split, INPUTS, quiet=True)


@pytest.fixture
def model():
    encoders = EncoderOptions(image_width=32, text_width=16, text_heads=2, text_layers=1)
    return build_model("smile_vlm", ModelOptions(encoder=encoders, dim=16, views=2, channels=2), seed=0)


def test_a_model_is_examined_from_all_sides(evaluator, model, split):
    scores, table = evaluate_representation(evaluator, model, "untrained", expression_prompts())
    assert list(scores["few_shot"]) == ["1", "5"]
    assert set(scores["retrieval"]) == {"prompts", "free_text"}
    assert scores["retrieval"]["prompts"]["text_to_scan"]["queries"] == 6 * 22
    assert scores["retrieval"]["free_text"]["scan_to_text"]["queries"] == 24
    assert set(table["subject"]) == set(split.test)


def test_labels_of_the_unseen_change_no_place_on_the_map(evaluator, model, sequences, split, bank, generator):
    _, told = evaluate_representation(evaluator, model, "m")
    unseen = sequences["subject"].isin(split.test)
    other = sequences.copy()
    other.loc[unseen, "expression"] = generator.permutation(other.loc[unseen, "expression"])
    _, lied = evaluate_representation(Evaluator(bank, other, split, INPUTS, quiet=True), model, "m")
    np.testing.assert_array_equal(told[["x", "y"]], lied[["x", "y"]])


def test_free_text_is_no_prompt_and_names_no_expression():
    assert tuple(FREE_TEXT) == EXPRESSIONS
    composed = {text for name in EXPRESSIONS for text in (*class_prompts(name), *possible_prompts(name))}
    sentences = list(itertools.chain.from_iterable(FREE_TEXT.values()))
    names = [word for vocabulary in VOCABULARY.values() for word in (*vocabulary.adjectives, *vocabulary.nouns)]
    assert len(set(sentences)) == len(sentences) == 24
    assert not composed & set(sentences)
    assert not [(word, text) for word in names for text in sentences if word in text.replace(",", "").split()]
    assert not {text for phrases in ACTION_UNIT_PHRASES.values() for text in phrases} & set(sentences)
    tokenizer = open_clip.tokenizer.SimpleTokenizer()
    assert max(len(tokenizer.encode(text)) + 2 for text in sentences) <= 32


def test_hand_computed_rankings():
    similarities = np.array([[0.9, 0.8, 0.7, 0.6], [0.1, 0.2, 0.3, 0.4], [0.5, 0.4, 0.3, 0.2]])
    relevant = np.array([[True, False, True, False], [True, True, False, False], [False, False, False, False]])
    scores = retrieval_scores(similarities, relevant)
    assert scores["recall_1"] == 0.5
    assert scores["recall_5"] == 1.0
    assert scores["mean_average_precision"] == pytest.approx(((1 + 2 / 3) / 2 + (1 / 3 + 2 / 4) / 2) / 2)
    assert scores["chance"] == 0.5
    assert scores["queries"] == 2


def test_average_precision_equals_its_definition(generator):
    similarities = generator.normal(size=(7, 30))
    relevant = generator.random((7, 30)) < 0.2
    relevant[:, 0] = True
    values = []
    for row, fits in zip(similarities, relevant, strict=True):
        ordered = fits[np.argsort(-row)]
        values.append(np.mean([ordered[: place + 1].mean() for place in np.flatnonzero(ordered)]))
    assert retrieval_scores(similarities, relevant)["mean_average_precision"] == pytest.approx(np.mean(values))


def test_both_directions_ask_about_expressions():
    fused, texts = np.eye(3), {"anger": np.eye(3)[[0, 0]], "fear": np.eye(3)[[1]]}
    scores = retrieve_both_ways(fused, ["anger", "fear", "fear"], texts)
    assert scores["text_to_scan"]["queries"] == 3
    assert scores["text_to_scan"]["recall_1"] == 1.0
    assert scores["scan_to_text"]["queries"] == 3
    assert scores["scan_to_text"]["recall_1"] == pytest.approx(2 / 3)


def test_nothing_to_find_is_said():
    with pytest.raises(ValueError, match="nothing to retrieve"):
        retrieval_scores(np.zeros((2, 2)), np.zeros((2, 2), bool))


def test_what_is_alike_lies_together(separable, sequences):
    table = embedding_map(separable, sequences, "model")
    places = table[["x", "y"]].to_numpy()
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1) + 9 * np.eye(len(places))
    nearest = table["expression"].to_numpy()[distances.argmin(axis=1)]
    assert (nearest == table["expression"]).mean() > 0.95
    assert tuple(table.columns) == MAP_COLUMNS
    assert np.abs(places).max() == pytest.approx(1.0)


def test_it_is_the_same_each_time(separable, sequences):
    one, other = (embedding_map(separable[:12], sequences[:12], "model") for _ in range(2))
    assert one.equals(other)


def test_too_few_sequences_are_refused(separable, sequences):
    with pytest.raises(ValueError, match="it takes four"):
        embedding_map(separable[:3], sequences[:3], "model")
