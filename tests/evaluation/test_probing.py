import numpy as np
import pytest

from affect4d.evaluation.leakage import LeakError
from affect4d.evaluation.predictions import prediction_table
from affect4d.evaluation.probing import few_shot_scores, probe_linearly, probe_neighbours
from affect4d.scans.expression import EXPRESSIONS

PROBES = pytest.mark.parametrize("probe", [probe_linearly, probe_neighbours])


def accuracy(predictions):
    return (predictions["expression"] == predictions["predicted"]).mean()


@PROBES
def test_separable_features_are_read_perfectly(probe, separable, sequences, split):
    predictions = probe(separable, sequences, split, "probe")
    assert accuracy(predictions) == 1.0
    assert set(predictions["subject"]) == set(split.test)


@PROBES
def test_noise_is_read_near_chance(probe, sequences, split, generator):
    noise = generator.normal(size=(len(sequences), 20)).astype(np.float32)
    assert accuracy(probe(noise, sequences, split, "probe")) < 0.45


@PROBES
def test_labels_of_test_subjects_change_nothing(probe, separable, sequences, split, generator):
    first = probe(separable, sequences, split, "probe")
    unseen = sequences["subject"].isin(split.test)
    sequences.loc[unseen, "expression"] = generator.permutation(sequences.loc[unseen, "expression"])
    assert first["predicted"].equals(probe(separable, sequences, split, "probe")["predicted"])


def test_a_copy_of_a_training_sample_stops_the_probe(separable, sequences, split):
    separable[-1] = separable[0]
    with pytest.raises(LeakError, match="copy"):
        probe_linearly(separable, sequences, split, "probe")


def test_an_expression_never_trained_on_gets_no_probability(separable, sequences, split):
    sequences.loc[sequences["expression"].eq("fear") & sequences["subject"].isin(split.train), "expression"] = None
    predictions = probe_linearly(separable, sequences, split, "probe")
    assert (predictions["prob_fear"] == 0).all()


def test_features_must_match_the_sequences(separable, sequences, split):
    with pytest.raises(ValueError, match="59 rows"):
        probe_linearly(separable[1:], sequences, split, "probe")


def test_a_prediction_table_refuses_what_are_no_probabilities(sequences):
    with pytest.raises(ValueError, match="sum to one"):
        prediction_table(sequences, np.ones((len(sequences), len(EXPRESSIONS))), "model")
    with pytest.raises(ValueError, match="shape"):
        prediction_table(sequences, np.ones((3, len(EXPRESSIONS))), "model")


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
    assert few_shot_scores(separable, sequences, split, generator, shots=(6, 7))["6"]["draws"] == 1


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
    scores = few_shot_scores(separable, sequences, split, generator, shots=(1,))
    asked = sequences[sequences["subject"].isin(split.test)]
    assert scores["1"]["accuracy"] == pytest.approx((asked["expression"] == "fear").mean())
