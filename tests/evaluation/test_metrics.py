import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from affect4d.evaluation.metrics import (
    _comparisons,
    chance_scores,
    count_classes,
    score_predictions,
    score_pseudo_labels,
    score_rows,
    unweighted_f1,
    unweighted_recall,
)
from affect4d.evaluation.prediction_tables_and_leak_checks import PROBABILITY_COLUMNS, LeakError
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.splits import SubjectSplit


def rows(true, predicted, subjects):
    table = pd.DataFrame({"expression": true, "predicted": predicted, "subject": subjects})
    table["sequence"] = [f"{subject}/{place}" for place, subject in enumerate(subjects)]
    return table.assign(**dict.fromkeys(PROBABILITY_COLUMNS, 1 / 6))


def test_scores_of_hand_computed_rows(generator):
    true = ["anger", "anger", "fear", "fear", "fear", "happiness"]
    predicted = ["anger", "fear", "fear", "fear", "anger", "happiness"]
    table = rows(true, predicted, ["A", "A", "A", "B", "B", "B"])
    scores = score_predictions(table, SubjectSplit(("Z",), ("A", "B"), 0), generator)
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["uar"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert scores["macro_f1"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert scores["per_class"]["fear"] == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3})
    assert scores["confusion"][0] == [1, 0, 1, 0, 0, 0]
    assert scores["uf1"] == scores["macro_f1"]
    assert scores["ece"] == pytest.approx(4 / 6 - 1 / 6)
    assert scores["sequences"] == 6


@pytest.mark.parametrize("seed", range(5))
def test_scores_equal_those_of_scikit_learn_on_random_input(seed):
    generator = np.random.default_rng(seed)
    true, predicted = generator.choice(EXPRESSIONS, 60), generator.choice(EXPRESSIONS, 60)
    subjects = generator.choice(["A", "B", "C"], 60)
    scores = score_predictions(rows(true, predicted, subjects), SubjectSplit(("Z",), ("A", "B", "C"), 0), generator)
    assert scores["accuracy"] == reference.accuracy_score(true, predicted)
    assert scores["uar"] == reference.balanced_accuracy_score(true, predicted)
    assert scores["macro_f1"] == reference.f1_score(true, predicted, average="macro")
    assert scores["confusion"] == reference.confusion_matrix(true, predicted, labels=EXPRESSIONS).tolist()
    assert scores["interval"][0] <= scores["accuracy"] <= scores["interval"][1]


def test_an_expression_that_never_occurs_does_not_enter_the_recall(generator):
    table = rows(["anger", "fear"], ["anger", "surprise"], ["A", "A"])
    assert score_predictions(table, SubjectSplit(("Z",), ("A",), 0), generator)["uar"] == 0.5


def test_an_interval_is_drawn_as_often_as_asked(predictions, split):
    few, many = (
        score_predictions(predictions, split, np.random.default_rng(0), draws)["interval"] for draws in (1, 200)
    )
    assert few[0] == few[1]
    assert many[0] < many[1]


def test_a_prediction_on_a_training_subject_is_not_scored(predictions, generator):
    leaking = SubjectSplit(("S06",), ("S07", "S08", "S09"), 0)
    with pytest.raises(LeakError, match="S06"):
        score_predictions(predictions, leaking, generator)


def test_a_sequence_is_not_scored_twice(predictions, split, generator):
    twice = pd.concat([predictions, predictions.iloc[:1]])
    with pytest.raises(LeakError, match="S06/anger"):
        score_predictions(twice, split, generator)


def test_chance_is_one_in_six(sequences):
    scores = chance_scores(sequences)
    assert scores["accuracy"] == scores["uar"] == 1 / 6
    assert scores["interval"] == [1 / 6, 1 / 6]
    assert scores["ece"] == 0  # it says one in six, and is right as often
    assert scores["sequences"] == len(sequences)
    assert np.sum(scores["confusion"]) == pytest.approx(len(sequences))


def test_chance_is_what_a_guesser_scores_where_expressions_are_not_equally_common(generator):
    often = {"happiness": 60_000, "anger": 30_000, "fear": 9_000, "sadness": 1_000}
    true = np.repeat(list(often), list(often.values()))
    chance = chance_scores(pd.DataFrame({"expression": true}))
    said = pd.DataFrame({"expression": true, "predicted": generator.choice(EXPRESSIONS, len(true))})
    said = said.assign(subject="S01", **dict.fromkeys(PROBABILITY_COLUMNS, 1 / 6))
    guessed = score_rows(said, generator, draws=10)
    for name in ("accuracy", "macro_f1", "uar", "uf1"):
        assert chance[name] == pytest.approx(guessed[name], abs=0.01)
    assert chance["macro_f1"] < 0.11
    for name in EXPRESSIONS:
        assert chance["per_class"][name] == pytest.approx(guessed["per_class"][name], abs=0.05)


CLASSES = ("positive", "negative", "surprise")


def test_counts_of_two_folds_add_up_to_the_form_of_the_challenge():
    first = count_classes(["positive", "negative"], ["positive", "positive"], CLASSES)
    second = count_classes(["surprise", "positive"], ["surprise", "negative"], CLASSES)
    counts = first + second
    assert counts.loc["positive"].tolist() == [1, 1, 1]
    assert counts.loc["negative"].tolist() == [0, 1, 1]
    assert unweighted_f1(counts) == pytest.approx((0.5 + 0 + 1) / 3)
    assert unweighted_recall(counts) == pytest.approx((0.5 + 0 + 1) / 3)


@pytest.mark.parametrize("seed", range(5))
def test_scores_equal_those_of_scikit_learn(seed):
    generator = np.random.default_rng(seed)
    true, predicted = generator.choice(CLASSES, 80), generator.choice(CLASSES, 80)
    counts = count_classes(true, predicted, CLASSES)
    assert unweighted_f1(counts) == pytest.approx(reference.f1_score(true, predicted, average="macro"))
    assert unweighted_recall(counts) == pytest.approx(reference.balanced_accuracy_score(true, predicted))


def test_several_labels_count_each_by_itself():
    counts = count_classes(["negative+surprise"], ["surprise"], CLASSES)
    assert counts.loc["surprise"].tolist() == [1, 0, 0]
    assert counts.loc["negative"].tolist() == [0, 0, 1]


def test_several_labels_equal_scikit_learns_indicator_form(generator):
    true, predicted = (generator.random((60, 3)) < 0.4 for _ in range(2))
    true[:, 0] |= ~true.any(axis=1)
    predicted[:, 1] |= ~predicted.any(axis=1)
    words = [["+".join(np.array(CLASSES)[row]) for row in table] for table in (true, predicted)]
    assert unweighted_f1(count_classes(*words, CLASSES)) == pytest.approx(
        reference.f1_score(true, predicted, average="macro")
    )


def test_a_class_that_never_occurs_is_no_class_of_the_mean():
    assert unweighted_f1(count_classes(["positive"], ["positive"], CLASSES)) == 1
    with pytest.raises(ValueError, match="No class occurs"):
        unweighted_recall(count_classes([], [], CLASSES))


def test_an_unknown_label_is_named():
    with pytest.raises(ValueError, match="repression"):
        count_classes(["repression"], ["positive"], CLASSES)


def test_pseudo_label_scores_of_hand_computed_rows():
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


def answers(rounds):
    """Two models on six people's sequences; the second is wrong on every other one, in each round."""
    rows = [
        {"model": model, "fold": fold, "subject": f"F{person}", "sequence": f"F{person}/joy", "expression": "happiness",
         "predicted": "happiness" if model == "one" or person % 2 else "anger"}
        for model in ("one", "two") for fold in range(rounds) for person in range(6)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_sequences_tested_once_are_mcnemars_pairs_and_those_of_several_rounds_are_not():
    once, thrice = (_comparisons(answers(rounds), [("one", "two")], np.random.default_rng(0))[0] for rounds in (1, 3))
    assert once["mcnemar"] == 2 * 0.5**3
    assert thrice["mcnemar"] is None
    assert once["difference"] == thrice["difference"] == 0.5
    assert (once["first_only"], thrice["first_only"]) == (3, 9)
