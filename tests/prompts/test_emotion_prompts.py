"""Prompts of labelled sequences: every expression covered, none twice, attributes only where given, short enough."""

import itertools
import re

import open_clip
import pandas as pd
import pytest
from pydantic import ValidationError

from affect4d.experiments.settings import ExperimentSettings
from affect4d.pipelines.model_input.nodes import write_augmented_prompts
from affect4d.prompts import action_unit_captions
from affect4d.prompts.emotion_prompts import (
    PLAIN,
    TEMPLATES,
    VOCABULARY,
    PromptOptions,
    age_words,
    class_prompts,
    compose_prompts,
    fill,
    gender_words,
    possible_prompts,
    prompt_ensembles,
    read_prompt_set,
    slots,
)
from affect4d.scans.expression import EXPRESSIONS
from affect4d.store import ContentStore

CONTEXT_LENGTH = 32
ATTRIBUTE_WORDS = re.compile(r"\b(female|male|woman|man|young|middle-aged|older)\b")
every_expression = pytest.mark.parametrize("expression", EXPRESSIONS)


@pytest.fixture
def sequences():
    rows = [
        (f"F{subject:03d}/{expression}", expression, "F", "18-30") for subject in range(3) for expression in EXPRESSIONS
    ]
    return pd.DataFrame(rows, columns=["sequence", "expression", "gender", "age_group"])


@pytest.fixture(scope="module")
def longest():
    tokenizer = open_clip.tokenizer.SimpleTokenizer()
    return lambda prompts: max(len(tokenizer.encode(prompt)) + 2 for prompt in prompts)


def words_of(vocabulary):
    return [*vocabulary.adjectives, *vocabulary.nouns, *vocabulary.actions]


def test_the_vocabulary_covers_every_expression_with_words_of_its_own():
    assert tuple(VOCABULARY) == EXPRESSIONS
    for vocabulary in VOCABULARY.values():
        assert len(set(words_of(vocabulary))) == len(words_of(vocabulary)) >= 8
    for one, other in itertools.combinations(VOCABULARY.values(), 2):
        assert not set(words_of(one)) & set(words_of(other))


def test_templates_are_many_and_have_one_word_slot_each():
    assert len(set(TEMPLATES)) == len(TEMPLATES) >= 20
    assert all(len(slots(template) & {"adjective", "noun", "action"}) == 1 for template in TEMPLATES)
    assert all(slots(template) <= {"adjective", "noun", "action"} for template in PLAIN)


@every_expression
def test_every_possible_prompt_fits_the_context_and_is_well_formed(expression, longest):
    prompts = possible_prompts(expression, "F", "31-50")
    assert len(set(prompts)) == len(prompts)
    assert longest(prompts) <= CONTEXT_LENGTH
    assert not any("{" in prompt or "  " in prompt for prompt in prompts)
    assert not any(re.search(r"\ba [aeiou]|\ban [^aeiou]", prompt) for prompt in prompts)


@every_expression
def test_attributes_appear_only_where_they_are_given(expression):
    assert not any(ATTRIBUTE_WORDS.search(prompt) for prompt in possible_prompts(expression))
    with_gender = possible_prompts(expression, "M", None)
    assert any(re.search(r"\b(male|man)\b", prompt) for prompt in with_gender)
    assert not any(re.search(r"\b(female|woman|young|older|middle-aged)\b", prompt) for prompt in with_gender)
    with_age = possible_prompts(expression, None, "51-70")
    assert any("older" in prompt for prompt in with_age)
    assert not any(re.search(r"\b(female|male|man|woman)\b", prompt) for prompt in with_age)


def test_the_papers_own_kinds_of_prompt_are_possible():
    assert "a joyful expression of a young female" in possible_prompts("happiness", "female", "18-30")
    assert "an older male smiling" in possible_prompts("happiness", "M", "older")


def test_each_sequence_draws_its_own_prompts_and_none_twice(sequences):
    table = compose_prompts(sequences, PromptOptions(prompts_per_sequence=8))
    assert list(table.columns) == ["sequence", "prompt", "expression", "source"]
    assert (table.groupby("sequence")["prompt"].nunique() == 8).all()
    assert len(table) == 8 * len(sequences)
    assert set(table["source"]) == {"template"}
    angry = table[table["expression"] == "anger"].groupby("sequence")["prompt"].apply(tuple)
    assert angry.nunique() == len(angry)


def test_a_draw_depends_on_the_seed_and_the_sequence_alone(sequences):
    options = PromptOptions(seed=3)
    whole = compose_prompts(sequences, options)
    part = compose_prompts(sequences.iloc[[7, 2]], options)
    for name in part["sequence"].unique():
        assert list(part[part["sequence"] == name]["prompt"]) == list(whole[whole["sequence"] == name]["prompt"])
    assert not whole.equals(compose_prompts(sequences, PromptOptions(seed=4)))


def test_without_augmentation_there_is_one_bare_prompt(sequences):
    table = compose_prompts(sequences, PromptOptions(augment=False))
    assert len(table) == len(sequences)
    assert (table["prompt"] == "a face showing " + table["expression"]).all()
    assert set(table["source"]) == {"bare"}


def test_missing_and_null_attributes_are_no_attributes(sequences):
    null = sequences.assign(gender=None, age_group=float("nan"))
    bare = sequences[["sequence", "expression"]]
    pd.testing.assert_frame_equal(compose_prompts(null, PromptOptions()), compose_prompts(bare, PromptOptions()))


def test_an_unknown_expression_names_the_known():
    with pytest.raises(ValueError, match="anger, disgust"):
        compose_prompts(pd.DataFrame({"sequence": ["a"], "expression": ["smirk"]}), PromptOptions())


@every_expression
def test_the_class_ensemble_has_no_attributes_and_uses_every_word(expression, longest):
    prompts = class_prompts(expression)
    assert len(set(prompts)) == len(prompts) == len(PLAIN)
    assert not any(ATTRIBUTE_WORDS.search(prompt) for prompt in prompts)
    assert all(any(word in prompt for prompt in prompts) for word in words_of(VOCABULARY[expression]))
    assert longest(prompts) <= CONTEXT_LENGTH


def test_a_prompt_file_replaces_the_templates(tmp_path, sequences):
    path = tmp_path / "prompts.csv"
    rows = [f"{name},a {name} mask {number}" for name in ("Angry", *EXPRESSIONS[1:]) for number in range(2)]
    path.write_text("expression,prompt\n" + "\n".join(rows) + "\n")
    table = compose_prompts(sequences, PromptOptions(file=str(path)))
    assert len(table) == 2 * len(sequences)
    assert set(table["source"]) == {"file"}
    assert class_prompts("anger", read_prompt_set(path)) == ("a Angry mask 0", "a Angry mask 1")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("expression,text\nanger,x\n", "needs expression and prompt"),
        ("expression,prompt\nanger,x\n", "no prompt for disgust"),
        ("expression,prompt\nanger,\n", "without a prompt"),
        ("expression,prompt\nsmirk,x\n", "smirk"),
    ],
)
def test_a_bad_prompt_file_is_refused_with_the_reason(tmp_path, text, complaint):
    path = tmp_path / "prompts.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=complaint):
        read_prompt_set(path)


def test_a_missing_prompt_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        read_prompt_set(tmp_path / "none.csv")


def test_options_are_bounded_and_closed():
    with pytest.raises(ValidationError):
        PromptOptions(prompts_per_sequence=0)
    with pytest.raises(ValidationError):
        PromptOptions(prompt_per_sequence=3)


@pytest.mark.parametrize(
    ("given", "word"),
    [("18-30", "young"), ("31-50", "middle-aged"), ("51-70", "older"), ("60+", "older"), ("Older", "older")],
)
def test_age_groups_are_read_as_given(given, word):
    assert age_words(given) == (word,)


@pytest.mark.parametrize("unreadable", [None, float("nan"), "", "unknown"])
def test_what_a_corpus_does_not_say_is_not_guessed(unreadable):
    assert age_words(unreadable) == gender_words(unreadable) == ()


def test_articles_fit_the_word_that_follows():
    assert fill("a {adjective} face", {"adjective": "angry"}) == "an angry face"
    assert fill("an {adjective} face", {"adjective": "sad"}) == "a sad face"


def test_a_model_is_read_by_what_it_was_taught(tmp_path):
    assert prompt_ensembles(PromptOptions()) == {name: class_prompts(name) for name in EXPRESSIONS}
    bare = compose_prompts(pd.DataFrame({"sequence": ["a"], "expression": ["fear"]}), PromptOptions(augment=False))
    assert prompt_ensembles(PromptOptions(augment=False))["fear"] == tuple(bare["prompt"])
    path = tmp_path / "mine.csv"
    path.write_text("expression,prompt\n" + "".join(f"{name},my {name}\n" for name in EXPRESSIONS))
    assert prompt_ensembles(PromptOptions(file=str(path), augment=False))["fear"] == ("my fear",)


def test_prompts_are_written_again_where_the_wordings_of_captions_changed(tmp_path, monkeypatch):
    sequences = pd.DataFrame({"sequence": ["a"], "expression": ["fear"]})
    strengths = pd.DataFrame({"sequence": ["a"], "frame": [0], "AU26": [0.5]})
    scans = pd.DataFrame(columns=["sequence", "frame", "actions", "apex"]).astype({"actions": "str"})
    store, written = ContentStore(tmp_path / "store"), []
    for name in ("jaw", "chin"):
        path = tmp_path / f"{name}.csv"
        path.write_text(f"unit,both,one\nAU26,the {name} has dropped{{how}},\n")
        monkeypatch.setattr(action_unit_captions, "WORDINGS_FILE", path)
        action_unit_captions.wordings.cache_clear()
        table = write_augmented_prompts(sequences, scans, strengths, ExperimentSettings(), store)
        written.append(table.loc[table["source"] == "caption", "prompt"].str.contains(name).all())
    action_unit_captions.wordings.cache_clear()
    assert written == [True, True]


def test_a_prompt_file_that_changed_under_its_name_is_read_again(tmp_path):
    sequences = pd.DataFrame({"sequence": ["a"], "expression": ["fear"]})
    path, store = tmp_path / "mine.csv", ContentStore(tmp_path / "store")
    for words in ("first", "second"):
        path.write_text("expression,prompt\n" + "".join(f"{name},{words} {name}\n" for name in EXPRESSIONS))
        settings = ExperimentSettings(prompts=PromptOptions(file=str(path)))
        scans, uncoded = pd.DataFrame({"sequence": ["a"], "frame": [0]}), pd.DataFrame()
        table = write_augmented_prompts(sequences, scans, uncoded, settings, store)
        assert table["prompt"].tolist() == [f"{words} fear"]
