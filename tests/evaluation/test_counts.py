import numpy as np
import pytest
from sklearn import metrics as reference

from affect4d.evaluation.counts import count_classes, unweighted_f1, unweighted_recall

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
