import numpy as np
import pytest

from affect4d.evaluation.predictions import prediction_table
from affect4d.evaluation.probe import probe_linearly, probe_neighbours
from affect4d.evaluation.protocols import LeakError
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
