"""What a study says of itself, and whether that is about what is there now."""

import datetime
import json
from dataclasses import replace

import pandas as pd
import pytest

from affect4d.experiments.account import Account, Basis, changes_told
from affect4d.experiments.options import StudyOptions
from affect4d.scans.splits import SubjectSplit

CORPUS = {"name": "faces", "benchmark": {"name": "open", "version": 2, "verdict": "equal"}}
STARTED = {"changes": {"model.towers.width": 64}, "commit": "abcdef0123456789"}


def basis(sequences, split, pictures="whole"):
    views = sequences[["sequence"]].assign(checksum=pictures, views="front")
    return Basis.of(CORPUS, split, sequences, views)


@pytest.fixture
def account(sequences, split):
    options = StudyOptions(name="convergence", seeds=(0, 1))
    tested = pd.DataFrame({"subject": ["A", "B", "A"]})
    made = datetime.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=datetime.UTC)
    return Account.of(basis(sequences, split), options, tested, STARTED, made)


def test_an_account_tells_what_was_run_and_survives_json(account, sequences, split):
    assert (account.basis.people, account.basis.sequences) == (sequences["subject"].nunique(), len(sequences))
    assert (account.basis.split, account.basis.benchmark) == (split.digest, "open version 2")
    assert (account.seeds, account.tested, account.day) == ((0, 1), 2, "2026-01-02")
    assert Account.from_document(json.loads(json.dumps(account.to_document()))) == account


def test_a_corpus_that_is_no_benchmark_has_none(sequences, split):
    assert Basis.of({"name": "mine"}, split, sequences, sequences.assign(checksum="")).benchmark == ""


def test_the_same_data_are_not_stale(account, sequences, split):
    assert account.stale(basis(sequences, split)) == ""
    assert replace(account, changes={}).remarks(basis(sequences, split)) == ()


def test_other_data_are_named(account, sequences, split):
    fewer, turned = sequences.iloc[6:], SubjectSplit(split.test, split.train, 0)
    assert "9 and 54" in account.stale(basis(fewer, split))
    assert split.digest[:8] in account.stale(basis(sequences, turned))
    assert "not on voices" in account.stale(replace(account.basis, corpus="voices"))
    relabelled = sequences.assign(expression=sequences["expression"].iloc[::-1].to_numpy())
    assert "other sequences" in account.stale(basis(relabelled, split))


def test_other_pictures_code_and_parameters_are_remarked_on_and_count(account, sequences, split):
    present = replace(basis(sequences, split, "drawn anew"), code="another")
    assert account.stale(present) == ""
    assert account.remarks(present) == (
        "other pictures of the same scans", "other code (abcdef01)", "changed: model.towers.width=64"
    )  # fmt: skip
    assert replace(account, changes=None).remarks(account.basis) == ("parameters not recorded",)


def test_a_corpus_that_is_not_as_frozen_says_so(sequences, split):
    made = {"name": "faces", "benchmark": {**CORPUS["benchmark"], "verdict": "changed recipe"}}
    found = Basis.of(made, split, sequences, sequences.assign(checksum=""))
    assert found.benchmark == "open version 2 (changed recipe)"


def test_many_changes_are_told_by_a_few_and_their_number():
    changes = {"a": 1, "b.c": [0, 1], "d": "x"}
    assert changes_told(changes) == "a=1, b.c=[0, 1], d=x"
    assert changes_told(changes, most=2) == "a=1, b.c=[0, 1] and 1 more"
    assert changes_told({}, most=2) == ""


def test_changed_code_is_told_from_the_commit(account, sequences, split):
    present = replace(basis(sequences, split), code="another")
    assert "other code (abcdef01+)" in replace(account, commit="abcdef01" * 5 + "+").remarks(present)


def test_what_to_type_again_has_the_changed_parameters(account):
    changes = {"studies.ablation.seeds": [0, 1], "train.epochs": 3, "raw_corpus.subjects": 4}
    assert replace(account, changes=changes).command("ablation") == (
        f"kedro run --pipeline=study_ablation --params corpus={account.basis.corpus},"
        "studies.ablation.seeds=0+1,train.epochs=3"
    )
