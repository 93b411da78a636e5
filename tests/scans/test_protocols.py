import json

import pandas as pd
import pytest

from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.protocols import GENERAL, Fold, draw_all, general_protocol, hold_out, protocol_named
from affect4d.scans.splits import SubjectLeakError, SubjectSplit

PEOPLE = tuple(f"P{number:02d}" for number in range(23))


@pytest.fixture
def table():
    rows = [(f"{who}/{name}", who, name, name, pd.NA, pd.NA) for who in PEOPLE for name in EXPRESSIONS]
    return pd.DataFrame(rows, columns=["sequence", "subject", "expression", "label", "level", "task"])


@pytest.mark.parametrize("name", ["10-fold", "3-fold", "leave-one-subject-out"])
def test_everybody_is_tested_once_a_round_and_never_fitted_on(table, name):
    folds = draw_all(protocol_named("bu4dfe", name), table, seed=3, rounds=2, validation=0.2)
    for repeated in range(2):
        tested = [who for fold in folds if fold.round == repeated for who in fold.split.test]
        assert sorted(tested) == sorted(PEOPLE)
    assert [fold.number for fold in folds] == list(range(len(folds)))
    for fold in folds:
        assert not set(fold.fitted.train) & {*fold.split.test, *fold.validation}
        assert {*fold.fitted.train, *fold.validation, *fold.split.test} == set(PEOPLE)


def test_folds_are_a_pure_function_of_protocol_rows_and_seed(table):
    protocol = protocol_named("bu4dfe", "10-fold")
    first = draw_all(protocol, table, seed=1, validation=0.1)
    assert first == draw_all(protocol, table.sample(frac=1, random_state=5), seed=1, validation=0.1)
    assert first != draw_all(protocol, table, seed=2, validation=0.1)


def test_of_two_takes_the_first_by_name_counts_in_whatever_order_they_are_listed(table):
    table = table.assign(sequence=table["sequence"] + "/1", frame=0, task="E")
    takes = pd.concat([table, table.assign(sequence=table["sequence"].str.replace("/1", "/2"))])
    protocol = protocol_named("bosphorus", "60_of_65")
    for shuffled in range(3):
        folds = draw_all(protocol, takes.sample(frac=1, random_state=shuffled))
        assert {name[-2:] for fold in folds for name in fold.sequences} == {"/1"}


def test_a_draw_says_what_it_was_drawn_with(table):
    protocol = protocol_named("bu4dfe", "10-fold")
    assert {fold.split.seed for fold in draw_all(protocol, table)} == {0}
    assert {fold.split.seed for fold in draw_all(protocol, table, seed=7)} == {7}


def test_rounds_draw_other_folds(table):
    folds = draw_all(protocol_named("bu4dfe", "5-fold"), table, rounds=2)
    assert {fold.split.test for fold in folds[:5]}.isdisjoint({fold.split.test for fold in folds[5:]})


def test_repeated_draws_test_a_fifth_each_time_anew(table):
    folds = draw_all(protocol_named("bu4dfe", "7-draws"), table)
    assert [len(fold.split.test) for fold in folds] == [5] * 7
    assert len({fold.split.test for fold in folds}) > 1


def test_sixty_of_many_take_part_with_their_sequences_alone(table):
    many = pd.concat(
        [table.assign(subject=table["subject"] + mark, sequence=mark + table["sequence"]) for mark in "abcd"]
    )
    folds = draw_all(protocol_named("bu4dfe", "ten_fold_60"), many)
    assert len({who for fold in folds for who in fold.split.test}) == 60
    assert all(len(fold.sequences) == 360 for fold in folds)


def test_a_validation_subject_of_the_test_side_is_refused():
    with pytest.raises(SubjectLeakError, match="Validation subjects that are not training subjects: C, D"):
        Fold(0, 0, SubjectSplit(("A", "B"), ("C", "D"), 0), ("D", "C"), ())


def test_everybody_held_out_is_refused():
    with pytest.raises(ValueError, match="both sides: 0 train"):
        Fold(0, 0, SubjectSplit(("A", "B"), ("C",), 0), ("A", "B"), ())


def test_a_fold_survives_json(table):
    for fold in draw_all(protocol_named("bu4dfe", "5-fold"), table, rounds=2, validation=0.2):
        assert Fold.from_dict(json.loads(json.dumps(fold.to_dict()))) == fold


@pytest.mark.parametrize(
    ("people", "share", "held"), [(20, 0.0, 0), (20, 0.01, 1), (20, 0.2, 4), (20, 0.5, 10), (2, 0.3, 1), (3, 0.5, 2)]
)
def test_as_many_are_held_out_as_the_share_says_and_at_least_one(people, share, held):
    split = SubjectSplit(PEOPLE[:people], PEOPLE[-1:], 0)
    out = hold_out(split, share)
    assert len(out) == held
    assert set(out) < set(split.train)
    assert out == tuple(sorted(out))


def test_who_is_held_out_is_drawn_by_the_whole_split_and_stays_so():
    held = {hold_out(SubjectSplit(PEOPLE[:20], (who,), 0), 0.2) for who in PEOPLE[20:]}
    assert len(held) == 3
    assert hold_out(SubjectSplit(PEOPLE[:20], PEOPLE[20:], 0), 0.2) == ("P03", "P11", "P12", "P13")


@pytest.mark.parametrize("share", [-0.1, 0.51, 1.0, 1.5])
def test_more_than_half_cannot_be_held_out(share):
    with pytest.raises(ValueError, match=f"A share of {share} of the training subjects cannot be held out: 0 to 0.5"):
        hold_out(SubjectSplit(PEOPLE[:20], PEOPLE[20:], 0), share)


def test_nobody_left_to_fit_on_is_refused(table):
    two = table[table["subject"].isin(PEOPLE[:2])]
    with pytest.raises(ValueError, match="set the share to 0"):
        draw_all(protocol_named("bu4dfe", "2-fold"), two, validation=0.1)


def test_a_protocol_trained_on_another_corpus_has_no_folds(table):
    with pytest.raises(ValueError, match="trains on bu4dfe"):
        draw_all(protocol_named("bp4d", "cross_dataset"), table.assign(task="T1"))


@pytest.mark.parametrize("name", ["0-fold", "fold", "ten-fold", "-3-draws", "10-folds"])
def test_an_unknown_protocol_is_told_those_there_are(name):
    assert general_protocol(name) is None
    with pytest.raises(ValueError, match=r"ten_fold_60.*leave-one-subject-out"):
        protocol_named("bu4dfe", name)


@pytest.mark.parametrize("name", GENERAL)
def test_general_protocols_carry_their_corpus(name):
    assert protocol_named("bosphorus", name).corpus == "bosphorus"
