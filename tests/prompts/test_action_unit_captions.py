"""Captions say what a face does, by side and strength, and replace a share of its prompts."""

import re

import numpy as np
import pandas as pd
import pytest

from affect4d.models import clip_tokens
from affect4d.prompts.action_unit_captions import (
    EMOTION_TEMPLATES,
    STRONGLY,
    TEMPLATES,
    WEAKLY,
    ShownUnit,
    absent_units,
    compose_captions,
    shown_units,
    with_captions,
    wordings,
)
from affect4d.prompts.emotion_prompts import PromptOptions, compose_prompts, slots
from affect4d.scans.action_unit_truth import SIDED
from affect4d.synthetic.action_units import ACTION_UNITS

SMILE = (ShownUnit("AU12", "", 0.5),)


@pytest.fixture
def sequences():
    return pd.DataFrame({"sequence": [f"s{place}" for place in range(6)], "expression": ["happiness"] * 6})


@pytest.fixture
def strengths(sequences):
    return pd.DataFrame({"AU12_l": 0.5, "AU12_r": 0.5, "AU26": 0.0}, index=sequences["sequence"].iloc[:4])


def test_every_unit_has_three_wordings_and_those_with_sides_say_which():
    coded = {unit.partition("_")[0] for unit in ACTION_UNITS if unit.startswith("AU")}
    assert set(wordings()) == {*coded, "AU1+2"}
    for unit, known in wordings().items():
        assert len(set(known)) >= 3
        sided = unit == "AU1+2" or int(unit.removeprefix("AU")) in SIDED
        for wording in known:
            assert slots(wording.both) == {"how"}
            assert slots(wording.one) == ({"how", "side"} if sided else set())


def test_there_are_thirty_templates_for_clauses():
    assert len(set(TEMPLATES)) >= 30
    assert all("clauses" in slots(template) for template in (*TEMPLATES, *EMOTION_TEMPLATES))


def test_one_stronger_side_is_named_and_faint_units_are_not_described():
    known = {"AU02_l": 0.1, "AU02_r": 0.7, "AU26": 0.19, "AU12_l": 0.4, "AU12_r": 0.3, "AU04_l": np.nan}
    assert [(one.unit, one.side) for one in shown_units(known)] == [("AU2", "right"), ("AU12", "")]


@pytest.mark.parametrize(
    ("known", "shown"),
    [
        ({"AU17_l": 1.0, "AU17_r": 0.0}, ("AU17", "")),
        ({"AU12_l": 1.0}, ("AU12", "left")),
        ({"AU12_l": np.nan, "AU12_r": 1.0}, ("AU12", "right")),
        ({"AU12": 1.0}, ("AU12", "")),
    ],
)
def test_sides_that_a_corpus_codes_or_not_are_described(known, shown):
    assert [(one.unit, one.side) for one in shown_units(known)] == [shown]
    assert absent_units({"AU12_l": 0.0, "AU12_r": np.nan}) == ()


def test_the_strength_of_units_that_are_coded_as_shown_is_not_known():
    known = {"AU12_l": 1.0, "AU12_r": 1.0, "AU26": 0.0, "AU04_l": np.nan, "AU04_r": np.nan}
    assert shown_units(known) == (ShownUnit("AU12", "", None),)


def test_units_that_are_not_coded_are_not_said_to_be_absent():
    assert absent_units({"AU04_l": np.nan, "AU04_r": np.nan, "AU26": 0.0, "AU12_l": 0.0, "AU12_r": 0.5}) == ("AU26",)


@pytest.mark.parametrize(("strength", "degrees"), [(0.3, WEAKLY), (0.9, STRONGLY), (0.5, ("",)), (None, ("",))])
def test_a_word_for_the_strength_fits_it(generator, strength, degrees):
    texts = compose_captions([ShownUnit("AU26", "", strength)], 64, generator)
    found = {how for how in (*WEAKLY, *STRONGLY) for text in texts if how and how in text}
    assert found == {how for how in degrees if how}


def test_captions_are_distinct_and_name_the_expression_in_some(generator):
    shown = [ShownUnit(unit) for unit in ("AU6", "AU12", "AU25", "AU1", "AU2", "AU26")]
    texts = compose_captions(shown, 60, generator, "happiness")
    assert len(set(texts)) == len(texts) == 60
    named = [text for text in texts if re.search("happy|joy|cheer|delight|pleased|glad|amuse|smil|grin|laugh", text)]
    assert 10 < len(named) < 50
    assert not [text for text in texts if "{" in text]


def test_the_compact_text_encoder_reads_every_caption_to_its_end(generator):
    units = [unit for unit in wordings() if unit != "AU1+2"]
    for _ in range(200):
        picked = generator.choice(units, 4, replace=False).tolist()
        shown = [ShownUnit(unit, "", strength) for unit, strength in zip(picked, (0.9, 0.5, 0.3, 0.8), strict=True)]
        texts = compose_captions(shown, 8, generator, "disgust", [unit for unit in units if unit not in picked])
        assert (clip_tokens(texts, 77) > 0).sum(dim=1).max() <= 32


def test_both_ends_of_a_brow_are_one_clause(generator):
    texts = compose_captions([ShownUnit("AU1"), ShownUnit("AU2")], 100, generator)
    assert any("eyebrows are raised" in text for text in texts)
    assert not [text for text in texts if "inner" in text and "outer" in text]


def test_a_whole_brow_is_as_strong_as_its_weaker_end(generator):
    texts = compose_captions([ShownUnit("AU1", "", 0.9), ShownUnit("AU2", "", 0.25)], 100, generator)
    whole = [text for text in texts if "eyebrows are raised" in text]
    assert whole
    assert not [text for text in whole for how in STRONGLY if how and how in text]


def test_a_dropped_jaw_does_not_have_its_lips_closed():
    assert absent_units({"AU25": 0.0, "AU26": 0.6}) == ()
    assert absent_units({"AU25": 0.0, "AU26": 0.1}) == ("AU25",)


def test_some_captions_say_what_is_not_shown(generator):
    texts = compose_captions(SMILE, 100, generator, absent=("AU25",))
    denied = [text for text in texts if " not " in text]
    assert denied
    assert len(denied) < len(texts) / 2
    assert all("lips are not" in text for text in denied)


def test_a_face_at_rest_has_no_caption(generator):
    assert compose_captions([], 4, generator) == []


def test_captions_replace_a_share_of_the_prompts_where_units_are_known(sequences, strengths):
    options = PromptOptions(captions=0.5)
    table = with_captions(compose_prompts(sequences, options), strengths, options)
    counts = table.groupby("sequence")["source"].value_counts().unstack(fill_value=0)
    assert counts.loc["s0"].to_dict() == {"caption": 4, "template": 4}
    assert counts.loc["s5"].to_dict() == {"caption": 0, "template": 8}
    assert (table.groupby("sequence")["prompt"].nunique() == 8).all()
    assert set(table["expression"]) == {"happiness"}


def test_captions_of_a_sequence_depend_on_the_seed_and_its_name_alone(sequences, strengths):
    options = PromptOptions(seed=1)
    whole = with_captions(compose_prompts(sequences, options), strengths, options)
    part = with_captions(compose_prompts(sequences.iloc[[2]], options), strengths, options)
    assert list(part["prompt"]) == list(whole[whole["sequence"] == "s2"]["prompt"])


@pytest.mark.parametrize("options", [PromptOptions(captions=0.0), PromptOptions(augment=False)])
def test_without_captions_prompts_stay_what_they_are(sequences, strengths, options):
    prompts = compose_prompts(sequences, options)
    pd.testing.assert_frame_equal(with_captions(prompts, strengths, options), prompts)
