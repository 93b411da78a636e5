import pandas as pd
import pytest

from affect4d.experiments.settings import CrossValidationOptions
from affect4d.experiments.trials import TrialData
from affect4d.experiments.two_corpora import combined, cross_corpus_fold, link_entries, prefixed, with_corpus_names
from affect4d.pipelines.cross_validate.nodes import draw_protocol
from affect4d.scans.folds import Fold
from affect4d.scans.protocols import protocol_named
from affect4d.store import ContentStore


@pytest.fixture
def corpus(sequences, tmp_path):
    def make(name):
        store = ContentStore(tmp_path / name)
        with store.write(f"views/{name}.safetensors") as path:
            path.write_text(name)
        table = sequences.assign(label=sequences["expression"], level=pd.NA, task=pd.NA)
        return TrialData(table.assign(shard=f"views/{name}.safetensors"), table, table, store)

    return make


def test_everybody_of_one_corpus_is_tested_on_everybody_of_the_other(corpus):
    one, other = (prefixed(name, corpus(name).sequences) for name in ("one", "other"))
    fold = cross_corpus_fold(protocol_named("bu4dfe", "cross-dataset"), one, other, seed=0, validation=0.2)
    assert {name.split(":")[0] for name in fold.split.train} == {"one"}
    assert {name.split(":")[0] for name in fold.split.test} == {"other"}
    assert len(fold.validation) == 2
    assert len(fold.sequences) == 120
    assert Fold.from_dict(fold.to_dict()) == fold


def test_two_corpora_with_the_same_names_are_kept_apart_and_their_pictures_found(corpus):
    one, other = (with_corpus_names(name, corpus(name)) for name in ("one", "other"))
    both = combined(one, other)
    assert both.sequences["sequence"].is_unique
    assert both.sequences["subject"].nunique() == 20
    assert all(both.store.has(shard) for shard in both.views["shard"])
    assert both.store.path("views/one.safetensors").read_text() == "one"


def test_linking_again_changes_nothing(corpus):
    one, other = corpus("one"), corpus("other")
    for _ in range(2):
        link_entries(["views/one.safetensors"], one.store, other.store)
    assert other.store.path("views/one.safetensors").samefile(one.store.path("views/one.safetensors"))


def test_a_protocol_across_corpora_needs_to_be_told_the_other(corpus):
    rows = corpus("one").sequences
    receipt = {"name": "one", "layout": "bu4dfe"}
    for trained_on in (None, "one"):
        options = CrossValidationOptions(protocol="cross-dataset", trained_on=trained_on)
        with pytest.raises(ValueError, match="trained_on=NAME"):
            draw_protocol(rows, rows, receipt, options)
    drawn = draw_protocol(rows, rows, receipt, CrossValidationOptions(protocol="cross-dataset", trained_on="two"))
    assert len(drawn["folds"]) == 1


def test_a_corpus_without_the_six_expressions_is_told_so(corpus):
    rows = corpus("one").sequences.assign(expression=None)
    with pytest.raises(ValueError, match="one of the six expressions"):
        draw_protocol(rows, rows, {"name": "micro", "layout": "bu4dfe"}, CrossValidationOptions())


def test_methods_may_be_joined_by_a_plus():
    assert CrossValidationOptions(methods="affect_vlm+pixel_knn").methods == ("affect_vlm", "pixel_knn")


@pytest.mark.parametrize(
    ("asked", "opened", "told"),
    [
        ({"trained_on": "two"}, {}, r"trained_on is two, .* of no other corpus: write --params trained_on=NAME, not"),
        ({"trained_on": "two"}, {"trained_on": "three"}, r"trained_on is two, .* of three: write"),
        ({}, {"trained_on": "three"}, r"trained_on is None, .* of three: write"),
        (
            {"protocol": "5-fold"},
            {"protocol": "10-fold"},
            r"protocol is 5-fold, .* of 10-fold: write --params protocol=NAME",
        ),
    ],
)
def test_what_the_catalog_did_not_open_is_refused(corpus, asked, opened, told):
    rows = corpus("one").sequences
    asked = {"protocol": "cross-dataset", **asked}
    options = CrossValidationOptions(**asked, opened={"protocol": asked["protocol"], **opened})
    with pytest.raises(ValueError, match=told):
        draw_protocol(rows, rows, {"name": "one", "layout": "bu4dfe"}, options)


def test_a_protocol_within_a_corpus_is_trained_on_no_other(corpus):
    rows = corpus("one").sequences
    options = CrossValidationOptions(protocol="2-fold", trained_on="two")
    with pytest.raises(ValueError, match=r"2-fold trains on the corpus it tests: trained_on=two goes with"):
        draw_protocol(rows, rows, {"name": "one", "layout": "bu4dfe"}, options)
