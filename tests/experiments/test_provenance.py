"""What a study says of itself, and whether that is about what is there now."""

import datetime
import json
from dataclasses import replace

import pandas as pd
import pytest

from affect4d.experiments.provenance import DataProvenance, StudyProvenance, describe_changes
from affect4d.experiments.settings import StudyOptions
from affect4d.scans.splits import SubjectSplit

CORPUS = {"name": "faces", "benchmark": {"name": "open", "version": 2, "verdict": "equal"}}
STARTED = {"changes": {"model.encoder.width": 64}, "commit": "abcdef0123456789"}


def basis(sequences, split, pictures="full"):
    views = sequences[["sequence"]].assign(checksum=pictures, views="front")
    return DataProvenance.of(CORPUS, split, sequences, views)


@pytest.fixture
def provenance(sequences, split):
    options = StudyOptions(name="convergence", seeds=(0, 1))
    tested = pd.DataFrame({"subject": ["A", "B", "A"]})
    made = datetime.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=datetime.UTC)
    return StudyProvenance.of(basis(sequences, split), options, tested, STARTED, made)


def test_an_account_tells_what_was_run_and_survives_json(provenance, sequences, split):
    assert (provenance.basis.subjects, provenance.basis.sequences) == (sequences["subject"].nunique(), len(sequences))
    assert (provenance.basis.split, provenance.basis.benchmark) == (split.digest, "open version 2")
    assert (provenance.seeds, provenance.tested, provenance.day) == ((0, 1), 2, "2026-01-02")
    assert StudyProvenance.from_document(json.loads(json.dumps(provenance.to_document()))) == provenance


def test_a_corpus_that_is_no_benchmark_has_none(sequences, split):
    assert DataProvenance.of({"name": "mine"}, split, sequences, sequences.assign(checksum="")).benchmark == ""


def test_the_same_data_are_not_stale(provenance, sequences, split):
    assert provenance.stale(basis(sequences, split)) == ""
    assert replace(provenance, changes={}).remarks(basis(sequences, split)) == ()


def test_other_data_are_named(provenance, sequences, split):
    fewer, turned = sequences.iloc[6:], SubjectSplit(split.test, split.train, 0)
    assert "the present data are faces with 9 subjects and 54 sequences" in provenance.stale(basis(fewer, split))
    assert split.digest[:8] in provenance.stale(basis(sequences, turned))
    voices = DataProvenance.of({"name": "voices"}, split, sequences, sequences.assign(checksum=""))
    assert "made on faces with 10 subjects" in provenance.stale(voices)
    relabelled = sequences.assign(expression=sequences["expression"].iloc[::-1].to_numpy())
    assert basis(relabelled, split).data[:8] in provenance.stale(basis(relabelled, split))


def test_other_pictures_code_and_parameters_are_remarked_on_and_count(provenance, sequences, split):
    present = replace(basis(sequences, split, "drawn anew"), code="another")
    assert provenance.stale(present) == ""
    assert provenance.remarks(present) == (
        "other images of the same scans", "other code (abcdef01)", "changed: model.encoder.width=64"
    )  # fmt: skip
    assert replace(provenance, changes=None).remarks(provenance.basis) == ("parameters not recorded",)


def test_a_corpus_that_is_not_as_frozen_says_so(sequences, split):
    made = {"name": "faces", "benchmark": {**CORPUS["benchmark"], "verdict": "changed recipe"}}
    found = DataProvenance.of(made, split, sequences, sequences.assign(checksum=""))
    assert found.benchmark == "open version 2 (changed recipe)"


def test_many_changes_are_told_by_a_few_and_their_number():
    changes = {"a": 1, "b.c": [0, 1], "d": "x"}
    assert describe_changes(changes) == "a=1, b.c=[0, 1], d=x"
    assert describe_changes(changes, most=2) == "a=1, b.c=[0, 1] and 1 more"
    assert describe_changes({}, most=2) == ""


def test_changed_code_is_told_from_the_commit(provenance, sequences, split):
    present = replace(basis(sequences, split), code="another")
    assert "other code (abcdef01+)" in replace(provenance, commit="abcdef01" * 5 + "+").remarks(present)


def test_what_to_type_again_has_the_changed_parameters(provenance):
    changes = {"studies.ablation.seeds": [0, 1], "train.epochs": 3, "raw_corpus.subjects": 4}
    assert replace(provenance, changes=changes).command("ablation") == (
        f"kedro run --pipeline=study_ablation --params corpus={provenance.basis.corpus},"
        "studies.ablation.seeds=0+1,train.epochs=3"
    )
