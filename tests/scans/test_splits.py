import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affect4d.scans.splits import SubjectLeakError, SubjectSplit, check_disjoint, draw_folds, draw_split

PEOPLE = tuple(f"{letter}{number:03d}" for letter in "FM" for number in range(1, 25))
GENDERS = {name: name[0] for name in PEOPLE}


@settings(max_examples=40, deadline=None)
@given(st.sets(st.text(min_size=1, max_size=4).map(lambda name: name.strip().casefold() or "x"), min_size=2),
       st.floats(0.01, 0.99), st.integers(0, 2**32))  # fmt: skip
def test_no_subject_is_ever_on_both_sides(subjects, share, seed):
    split = draw_split(subjects, share, seed)
    assert not set(split.train) & set(split.test)
    assert set(split.train) | set(split.test) == subjects
    assert split.train
    assert split.test


def test_a_draw_depends_on_the_set_and_the_seed_only():
    split = draw_split(PEOPLE, 0.25, 7)
    assert draw_split([*reversed(PEOPLE), *PEOPLE], 0.25, 7) == split
    assert draw_split(PEOPLE, 0.25, 8).test != split.test
    assert len(split.test) == 12


def test_digest_is_stable_and_names_the_people():
    split = SubjectSplit(("b", "a"), ("c",), 1)
    assert split.digest == SubjectSplit(("a", "b"), ("c",), 2).digest
    assert split.digest == "7865992568e00d21894b8008"
    assert split.digest != SubjectSplit(("a", "c"), ("b",), 1).digest


@pytest.mark.parametrize("seed", range(8))
def test_strata_keep_their_shares(seed):
    test = draw_split(PEOPLE, 0.25, seed, GENDERS).test
    assert abs(sum(name[0] == "F" for name in test) - 6) <= 1


@pytest.mark.parametrize("seed", range(8))
def test_unequal_strata_keep_their_shares_in_every_stretch(seed):
    """Thirty of one group, ten of another, and ten of whom no group is known, who are a group of their own."""
    people = [f"{letter}{number}" for letter, count in (("F", 30), ("M", 10), ("?", 10)) for number in range(count)]
    groups = {name: name[0] for name in people if name[0] != "?"}
    for fold in draw_folds(people, 5, seed, groups):
        counts = [sum(name[0] == letter for name in fold.test) for letter in "FM?"]
        assert np.abs(np.array(counts) - (6, 2, 2)).max() <= 1


def test_who_is_first_of_a_stratum_differs_from_draw_to_draw():
    """Which of two single people of two groups comes first is a coin's toss."""
    firsts = [draw_split(["F", "M"], 0.5, seed, {"F": "F", "M": "M"}).test[0] for seed in range(40)]
    assert 8 <= firsts.count("F") <= 32


def test_of_a_small_share_one_person_is_drawn():
    assert [len(draw_split("abcdefgh", share, 0).test) for share in (0.01, 0.12, 0.2, 0.99)] == [1, 1, 2, 7]


def test_a_split_survives_json():
    split = draw_split(PEOPLE, 0.3, 3)
    assert SubjectSplit.from_dict(json.loads(json.dumps(split.to_dict()))) == split


def test_a_split_written_by_hand_needs_no_digest():
    split = draw_split(PEOPLE, 0.3, 3)
    by_hand = {name: value for name, value in split.to_dict().items() if name != "digest"}
    assert SubjectSplit.from_dict(by_hand) == split


def test_a_changed_record_is_refused():
    record = draw_split(PEOPLE, 0.3, 3).to_dict()
    record["test"].append(record["train"].pop())
    with pytest.raises(ValueError, match="changed"):
        SubjectSplit.from_dict(record)


@pytest.mark.parametrize("spelling", ["F001", "f001", " F001", "F001\t"])
def test_every_leak_is_caught(spelling):
    with pytest.raises(SubjectLeakError, match="f001"):
        check_disjoint(["F001", "F002"], ["M001", spelling])
    with pytest.raises(SubjectLeakError):
        SubjectSplit(("F001", "F002"), ("M001", spelling), 0)


@pytest.mark.parametrize("folds", [2, 5, 10, 48])
def test_folds_test_everybody_once(folds):
    splits = draw_folds(PEOPLE, folds, 5, GENDERS)
    tested = list(itertools.chain.from_iterable(split.test for split in splits))
    assert sorted(tested) == sorted(PEOPLE)
    assert np.ptp([len(split.test) for split in splits]) <= 1
    assert {split.seed for split in splits} == {5}


def test_impossible_draws_say_why():
    for subjects, share in ((["a"], 0.5), (PEOPLE, 0), (PEOPLE, 1)):
        with pytest.raises(ValueError, match="share"):
            draw_split(subjects, share, 0)
    with pytest.raises(ValueError, match="both sides"):
        SubjectSplit(("a",), (), 0)
    with pytest.raises(ValueError, match="folds"):
        draw_folds(["a"], 2, 0)
