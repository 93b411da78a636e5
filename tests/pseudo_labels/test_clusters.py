"""Clusters are described by what their members have in common, never by a label."""

import numpy as np
import pandas as pd
import pytest

from affect4d.pseudo_labels.action_coding import PSEUDO_LABEL_COLUMNS
from affect4d.pseudo_labels.clusters import find_centres, label_by_clusters
from affect4d.pseudo_labels.options import ClusterOptions, PseudoLabelOptions
from affect4d.pseudo_labels.rules import measured_by_rules, subject_of
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
