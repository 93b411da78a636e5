import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from affect4d.evaluation.frozen_features import (
    FOLDS,
    MAP_COLUMNS,
    embedding_map,
    few_shot_scores,
    fit_by_subject,
    probe_linearly,
    probe_neighbours,
    retrieval_scores,
    retrieve_both_ways,
    rows_of_some_subjects,
)
from affect4d.evaluation.prediction_tables_and_leak_checks import LeakError, prediction_table
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


def test_a_search_takes_whole_subjects_up_to_a_number_of_rows():
    subjects = np.repeat([f"S{number:02}" for number in range(20)], 6)
    rows = rows_of_some_subjects(subjects, 40)
    assert len(rows) == 36
    assert set(pd.Series(subjects[rows]).value_counts()) == {6}
    assert len(rows_of_some_subjects(subjects, 120)) == 120
    assert len(set(subjects[rows_of_some_subjects(subjects, 1)])) == FOLDS


def test_after_the_search_on_some_subjects_all_are_fitted(separable, sequences, monkeypatch):
    monkeypatch.setattr(rows_of_some_subjects, "__defaults__", (12, 0))
    assert len(rows_of_some_subjects(sequences["subject"].to_numpy())) < len(sequences)
    estimator = Pipeline([("classify", KNeighborsClassifier())])
    fitted = fit_by_subject(estimator, {"classify__n_neighbors": [3]}, separable, sequences)
    assert fitted["classify"].n_samples_fit_ == len(sequences)
    assert fitted["classify"].n_neighbors == 3
