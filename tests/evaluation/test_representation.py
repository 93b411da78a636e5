import itertools

import numpy as np
import open_clip
import pytest

from affect4d.evaluation.evaluator import Evaluator
from affect4d.evaluation.free_text import FREE_TEXT
from affect4d.evaluation.representation import examine_representation
from affect4d.evaluation.zero_shot import expression_prompts
from affect4d.models import ModelOptions, TowerOptions, build_model
from affect4d.prompts.compose import class_prompts, possible_prompts
from affect4d.prompts.vocabulary import ACTION_PHRASES, VOCABULARY
from affect4d.scans.expression import EXPRESSIONS
from affect4d.views.inputs import InputOptions

INPUTS = InputOptions(channels=("grey", "shading"), motion="none", size=16)


@pytest.fixture
def evaluator(bank, sequences, split):
    return Evaluator(bank, sequences, split, INPUTS, quiet=True)


@pytest.fixture
def model():
    towers = TowerOptions(image_width=32, text_width=16, text_heads=2, text_layers=1)
    return build_model("smile_vlm", ModelOptions(towers=towers, dim=16, views=2, channels=2), seed=0)


def test_a_model_is_examined_from_all_sides(evaluator, model, split):
    scores, table = examine_representation(evaluator, model, "untrained", expression_prompts())
    assert list(scores["few_shot"]) == ["1", "5"]
    assert set(scores["retrieval"]) == {"prompts", "free_text"}
    assert scores["retrieval"]["prompts"]["text_to_scan"]["queries"] == 6 * 22
    assert scores["retrieval"]["free_text"]["scan_to_text"]["queries"] == 24
    assert set(table["subject"]) == set(split.test)


def test_labels_of_the_unseen_change_no_place_on_the_map(evaluator, model, sequences, split, bank, generator):
    _, told = examine_representation(evaluator, model, "m")
    unseen = sequences["subject"].isin(split.test)
    other = sequences.copy()
    other.loc[unseen, "expression"] = generator.permutation(other.loc[unseen, "expression"])
    _, lied = examine_representation(Evaluator(bank, other, split, INPUTS, quiet=True), model, "m")
    np.testing.assert_array_equal(told[["x", "y"]], lied[["x", "y"]])


def test_free_text_is_no_prompt_and_names_no_expression():
    assert tuple(FREE_TEXT) == EXPRESSIONS
    composed = {text for name in EXPRESSIONS for text in (*class_prompts(name), *possible_prompts(name))}
    sentences = list(itertools.chain.from_iterable(FREE_TEXT.values()))
    names = [word for vocabulary in VOCABULARY.values() for word in (*vocabulary.adjectives, *vocabulary.nouns)]
    assert len(set(sentences)) == len(sentences) == 24
    assert not composed & set(sentences)
    assert not [(word, text) for word in names for text in sentences if word in text.replace(",", "").split()]
    assert not {text for phrases in ACTION_PHRASES.values() for text in phrases} & set(sentences)
    tokenizer = open_clip.tokenizer.SimpleTokenizer()
    assert max(len(tokenizer.encode(text)) + 2 for text in sentences) <= 32
