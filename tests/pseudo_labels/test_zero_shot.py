"""Similarities become findings: evened out over the training subjects, sure or left out."""

import numpy as np
import pandas as pd
import pytest

from affect4d.pseudo_labels.action_coding import PSEUDO_LABEL_COLUMNS
from affect4d.pseudo_labels.options import PseudoLabelOptions, ZeroShotOptions
from affect4d.pseudo_labels.sentences import write_sentences
from affect4d.pseudo_labels.zero_shot import label_by_similarity
from affect4d.scans.expression import EXPRESSIONS

FREE = PseudoLabelOptions(source="zero_shot", balanced=False)
EVEN = PseudoLabelOptions(source="zero_shot")


@pytest.fixture
def similarities():
    """A model that sees what is there, and likes the word "happiness" whatever it sees."""
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 6
    values = 0.2 + 0.03 * np.eye(6)[truth] + rng.normal(0, 0.004, (60, 6))
    values[:, EXPRESSIONS.index("happiness")] += 0.05
    names = [f"S{row // 6:02d}/{row % 6}" for row in range(60)]
    return pd.DataFrame(values, index=names, columns=list(EXPRESSIONS)), np.array(EXPRESSIONS)[truth]


TRAIN = pd.Series([row < 48 for row in range(60)])


def test_balance_undoes_a_preference_for_a_word(similarities):
    table, truth = similarities
    assert (label_by_similarity(table, TRAIN, 100.0, FREE)["pseudo_label"] == "happiness").mean() > 0.9
    found = label_by_similarity(table, TRAIN, 100.0, EVEN)
    assert (found["pseudo_label"] == truth).mean() > 0.95
    assert set(found.columns) == set(PSEUDO_LABEL_COLUMNS)


def test_balance_is_fitted_on_training_subjects_alone(similarities):
    table, _ = similarities
    changed = table.copy()
    changed.iloc[48:] += np.linspace(0, 0.3, 6)
    one, other = (label_by_similarity(each, TRAIN, 100.0, EVEN) for each in (table, changed))
    pd.testing.assert_frame_equal(one.iloc[:48], other.iloc[:48])


def test_who_is_not_sure_is_left_out(similarities):
    table, _ = similarities
    table.iloc[3] = table.iloc[3].mean()
    options = PseudoLabelOptions(source="zero_shot", balanced=False, zero_shot=ZeroShotOptions(confidence=0.2))
    assert table.index[3] not in set(label_by_similarity(table, TRAIN, 100.0, options)["sequence"])
    with pytest.raises(ValueError, match=r"lower pseudo_labels\.zero_shot\.confidence"):
        label_by_similarity(table * 0, TRAIN, 100.0, options)


def test_nobody_to_balance_on_is_said(similarities):
    with pytest.raises(ValueError, match="subject split"):
        label_by_similarity(similarities[0], TRAIN & False, 100.0, EVEN)


def test_its_prompts_speak_of_the_emotion_alone(similarities):
    table = write_sentences(label_by_similarity(similarities[0], TRAIN, 100.0, EVEN), EVEN)
    assert (table.groupby("sequence").size() == 8).all()
    assert set(table["source"]) == {"zero_shot"}
    assert not table["prompt"].str.contains("at rest|brow").any()
