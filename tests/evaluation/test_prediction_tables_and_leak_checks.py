import numpy as np
import pandas as pd
import pytest

from affect4d.evaluation.prediction_tables_and_leak_checks import LeakError, check_no_copies, labelled_rows
from affect4d.scans.splits import SubjectLeakError, SubjectSplit


def unchecked_split(train, test):
    """A split made past its own checks, as a careless edit of a file would."""
    split = object.__new__(SubjectSplit)
    for name, value in {"train": train, "test": test, "seed": 0}.items():
        object.__setattr__(split, name, value)
    return split


def test_a_fold_divides_every_labelled_sequence_by_its_subject(sequences, split):
    sequences.loc[0, "expression"] = None
    fold = labelled_rows(sequences, split)
    assert set(sequences["subject"].iloc[fold.train]) == set(split.train)
    assert set(sequences["subject"].iloc[fold.test]) == set(split.test)
    assert sorted([*fold.train, *fold.test]) == list(range(1, 60))


def test_a_subject_on_both_sides_is_a_leak(sequences, split):
    leaking = unchecked_split(split.train, (*split.test, "S00"))
    with pytest.raises(SubjectLeakError, match=r"(?i)s00"):
        labelled_rows(sequences, leaking)


def test_a_sequence_listed_twice_is_a_leak(sequences, split):
    with pytest.raises(LeakError, match="S03/fear"):
        labelled_rows(pd.concat([sequences, sequences[sequences["sequence"] == "S03/fear"]]), split)


def test_a_subject_on_neither_side_is_named(sequences, split):
    with pytest.raises(ValueError, match="S09"):
        labelled_rows(sequences, SubjectSplit(split.train, split.test[:-1], 0))


def test_a_side_without_sequences_is_an_error(sequences, split):
    seen = sequences[sequences["subject"].isin(split.train)]
    with pytest.raises(ValueError, match="test subject"):
        labelled_rows(seen, split)


def test_a_copied_sample_is_caught_under_any_name(sequences, split, separable):
    separable[-1] = separable[3]
    with pytest.raises(LeakError, match="S09/surprise of the test subjects is a copy of S00/happiness"):
        check_no_copies(separable, sequences, labelled_rows(sequences, split))


def test_empty_features_are_not_copies_of_each_other(sequences, split):
    check_no_copies(np.zeros((len(sequences), 4), np.float32), sequences, labelled_rows(sequences, split))
