"""Free text: as many sentences of each kind, far from every prompt, and out of reach of everything that trains."""

import ast
import itertools
import re

import pytest

from affect4d.evaluation.free_text import FREE_TEXT, FREE_TEXT_BY_KIND, KINDS
from affect4d.models import clip_tokens
from affect4d.prompts.action_unit_captions import (
    EMOTION_TEMPLATES,
    STRONGLY,
    WEAKLY,
    denials,
    wordings,
)
from affect4d.prompts.action_unit_captions import TEMPLATES as CAPTION_TEMPLATES
from affect4d.prompts.emotion_prompts import (
    TEMPLATES,
    VOCABULARY,
    possible_prompts,
)
from affect4d.scans.expression import EXPRESSIONS

SENTENCES = list(itertools.chain.from_iterable(FREE_TEXT.values()))
DEGREES = (*WEAKLY, *STRONGLY)
RUN = 4  # words in a row that no prompt has


def words(text):
    return re.findall(r"[a-z0-9'-]+", text.lower())


def runs(text):
    found = words(text)
    return {tuple(found[start : start + RUN]) for start in range(len(found) - RUN + 1)}


def test_there_are_ten_sentences_of_each_kind_and_expression():
    assert {kind: tuple(texts) for kind, texts in FREE_TEXT_BY_KIND.items()} == dict.fromkeys(KINDS, EXPRESSIONS)
    assert {len(texts) for texts in FREE_TEXT.values()} == {20}
    assert {len(texts[name]) for texts in FREE_TEXT_BY_KIND.values() for name in EXPRESSIONS} == {10}
    assert len(set(map(str.lower, SENTENCES))) == len(SENTENCES) == 120


def test_no_sentence_has_a_word_for_an_expression():
    actions = [word for one in VOCABULARY.values() for text in one.actions for word in words(text) if "ing" in word]
    ours = [word for one in VOCABULARY.values() for word in (*one.adjectives, *one.nouns, *actions)]
    assert not [(word, text) for word in (*ours, *EXPRESSIONS) for text in SENTENCES if word in words(text)]


def test_no_sentence_fits_a_template():
    """Templates of fewer than three words of their own, ``a {gender} {action}``, fit half of all sentences."""
    templates = [*TEMPLATES, *CAPTION_TEMPLATES, *EMOTION_TEMPLATES]
    own = [one for one in templates if len(words(re.sub(r"\{\w+\}", "", one))) >= 3]
    assert len(own) > 20
    patterns = [".+".join(map(re.escape, re.split(r"\{\w+\}", one.lower()))) for one in own]
    stripped = [text.lower().rstrip(".") for text in SENTENCES]
    assert not [(one, text) for one in patterns for text in stripped if re.fullmatch(one, text)]


def test_no_four_words_in_a_row_are_a_prompts():
    """Nor a template's, nor a clause's of captions; a caption joins clauses by ``and``."""
    prompts = [text for name in EXPRESSIONS for text in possible_prompts(name, "female", "young")]
    clauses = [text for known in wordings().values() for wording in known for text in wording]
    spoken = [text.format(side=side, how=how) for text in clauses for side in ("left", "right") for how in DEGREES]
    spoken += [text for unit in wordings() for text in denials([unit])]
    known = set().union(*map(runs, (*prompts, *spoken, *TEMPLATES, *CAPTION_TEMPLATES, *EMOTION_TEMPLATES)))
    assert not [(run, text) for text in SENTENCES for run in runs(text) & known]


def test_every_sentence_fits_the_compact_text_encoder():
    assert (clip_tokens(SENTENCES, 77) > 0).sum(dim=1).max() <= 32


@pytest.mark.parametrize("package", ["training", "models", "losses", "pseudo_labels", "views", "prompts"])
def test_nothing_that_trains_can_read_them(project_root, package):
    place = project_root / "src" / "affect4d" / package
    for file in [place] if place.is_file() else sorted(place.rglob("*.py")):
        tree = ast.parse(file.read_text())
        modules = [one.module or "" for one in ast.walk(tree) if isinstance(one, ast.ImportFrom)]
        assert not [module for module in modules if "free_text" in module], file
        assert "free_text.csv" not in file.read_text()
