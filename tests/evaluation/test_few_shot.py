import numpy as np
import pytest

from affect4d.evaluation.few_shot import few_shot_scores
from affect4d.evaluation.protocols import LeakError


def test_separable_features_need_one_subject(separable, sequences, split, generator):
    scores = few_shot_scores(separable, sequences, split, generator)
    assert list(scores) == ["1", "5"]
    assert scores["1"] == {"accuracy": 1.0, "interval": [1.0, 1.0], "spread": 0.0, "draws": 20}


def test_more_subjects_help_where_features_are_noisy(labels, sequences, split, generator):
    noisy = np.eye(6)[labels] + 0.6 * generator.normal(size=(60, 6))
    scores = few_shot_scores(noisy, sequences, split, generator)
    assert scores["5"]["accuracy"] > scores["1"]["accuracy"] + 0.05
    low, high = scores["1"]["interval"]
    assert low < scores["1"]["accuracy"] < high
    assert scores["1"]["spread"] > 0


def test_everybody_is_drawn_once(separable, sequences, split, generator):
    assert few_shot_scores(separable, sequences, split, generator, labelled=(6, 7))["6"]["draws"] == 1


def test_only_labels_of_those_drawn_are_read(separable, sequences, split, generator):
    """Labels of unseen subjects are scored, never fitted: permuted, nothing but chance is left."""
    unseen = sequences["subject"].isin(split.test)
    sequences.loc[unseen, "expression"] = generator.permutation(sequences.loc[unseen, "expression"])
    assert few_shot_scores(separable, sequences, split, generator)["5"]["accuracy"] < 0.5


def test_a_copy_of_a_training_sample_stops_it(separable, sequences, split, generator):
    separable[-1] = separable[0]
    with pytest.raises(LeakError, match="copy"):
        few_shot_scores(separable, sequences, split, generator)


def test_people_who_show_one_expression_teach_that_one(separable, sequences, split, generator):
    sequences["expression"] = sequences["expression"].where(sequences["subject"].isin(split.test), "fear")
    scores = few_shot_scores(separable, sequences, split, generator, labelled=(1,))
    asked = sequences[sequences["subject"].isin(split.test)]
    assert scores["1"]["accuracy"] == pytest.approx((asked["expression"] == "fear").mean())
