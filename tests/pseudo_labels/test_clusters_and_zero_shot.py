import numpy as np
import pandas as pd
import pytest

from affect4d.pseudo_labels.action_units_and_emotion_prototypes import PSEUDO_LABEL_COLUMNS
from affect4d.pseudo_labels.clusters_and_zero_shot import find_centres, label_by_clusters, label_by_similarity
from affect4d.pseudo_labels.landmark_pseudo_labels import measured_by_rules, subject_of
from affect4d.pseudo_labels.options import ClusterOptions, PseudoLabelOptions, ZeroShotOptions
from affect4d.pseudo_labels.pseudo_prompts import write_sentences
from affect4d.scans.expression import EXPRESSIONS

SUBJECTS = tuple(f"F{subject:03d}" for subject in range(6))
METHODS = pytest.mark.parametrize("method", ["kmeans", "agglomerative"])


def options_of(method="kmeans", count=6, **changes):
    return PseudoLabelOptions(source="cluster", cluster=ClusterOptions(method=method, count=count), **changes)


def found(scans, options, features=None):
    rules, scores = measured_by_rules(scans, SUBJECTS, options)
    train = subject_of(scans)[scores.index].isin(SUBJECTS)
    return label_by_clusters(scores if features is None else features, train, rules, scores, options)


@METHODS
def test_clusters_of_what_moved_find_the_expressions(corpus, method):
    scans, truth = corpus
    table = found(scans, options_of(method, 8)).set_index("sequence")
    worded = table[table["emotion"] != ""]
    assert set(table.reset_index().columns) == set(PSEUDO_LABEL_COLUMNS)
    assert (worded["pseudo_label"] == truth[worded.index]).mean() > 0.9
    assert len(worded) > 0.7 * len(truth)
    assert table["confidence"].between(0, 1).all()


@METHODS
def test_clusters_may_come_from_anything_and_words_only_from_what_moved(corpus, method):
    scans, truth = corpus
    embeddings = pd.DataFrame(np.eye(6)[truth.map(EXPRESSIONS.index)], index=truth.index)
    embeddings = embeddings + 0.01 * np.random.default_rng(0).normal(size=embeddings.shape)
    table = found(scans, options_of(method), embeddings).set_index("sequence")
    worded = table[table["emotion"] != ""]["emotion"]
    assert (worded == truth[worded.index]).all()
    assert table.groupby(truth)["pseudo_label"].nunique().eq(1).all()


def test_clusters_and_words_come_from_training_subjects_alone(corpus):
    scans, _ = corpus
    train = scans[scans["subject"].isin(SUBJECTS)]
    whole = found(scans, options_of()).set_index("sequence")
    pd.testing.assert_frame_equal(
        whole.loc[train["sequence"].unique()], found(train, options_of()).set_index("sequence")
    )


def test_a_cluster_that_fits_no_emotion_is_left_unnamed(corpus):
    table = found(corpus[0], options_of(confidence=1.0))
    assert (table["emotion"] == "").all()
    assert table["action_units"].map(len).gt(0).all()


def test_too_many_clusters_are_refused_with_the_parameter():
    with pytest.raises(ValueError, match=r"lower pseudo_labels\.cluster\.count"):
        find_centres(np.zeros((3, 2)), ClusterOptions(count=4), seed=0)


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
