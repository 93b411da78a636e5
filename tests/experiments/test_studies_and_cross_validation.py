"""Cross-validation with stand-ins for training: what counts, what continues, and every leak it must catch."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from affect4d.evaluation.frozen_features import probe_linearly
from affect4d.evaluation.metrics import score_folds
from affect4d.evaluation.prediction_tables_and_leak_checks import LeakError, prediction_table
from affect4d.experiments import trials
from affect4d.experiments.settings import CrossValidationOptions, ExperimentSettings
from affect4d.experiments.studies_and_cross_validation import (
    check_methods,
    check_no_copied_scans,
    combined,
    cross_corpus_fold,
    cross_validate,
    link_entries,
    with_corpus_names,
    with_sides,
)
from affect4d.experiments.trials import TrialData
from affect4d.pipelines.experiments.nodes import draw_protocol
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.protocols import Fold, draw_all, protocol_named
from affect4d.scans.scan_source_and_corpus_folder import prefixed
from affect4d.scans.splits import SubjectLeakError, SubjectSplit
from affect4d.store import ContentStore

SETTINGS = {"affect_vlm": ExperimentSettings()}


@pytest.fixture
def described(sequences):
    return sequences.assign(label=sequences["expression"], level=pd.NA, task=pd.NA)


@pytest.fixture
def folds(described):
    return draw_all(protocol_named("bu4dfe", "5-fold"), described, validation=0.2)


@pytest.fixture
def data(sequences, tmp_path):
    scans = sequences.assign(frame=0, landmarks=None, checksum=[f"{place:04x}" for place in range(len(sequences))])
    views = sequences.assign(checksum="c")
    return TrialData(views, sequences, scans, ContentStore(tmp_path / "views"))


def said(sequences, subjects, model="landmark_logistic", seed=0):
    """Predictions about some subjects, three in four of them right."""
    generator = np.random.default_rng(seed)
    rows = sequences[sequences["subject"].isin(subjects)]
    truth = rows["expression"].map(EXPRESSIONS.index).to_numpy()
    shown = np.where(generator.random(len(rows)) < 0.75, truth, generator.integers(6, size=len(rows)))
    return prediction_table(rows, (0.5 * np.eye(6)[shown] + 0.5 / 6), model)


@pytest.fixture
def fitted(monkeypatch, sequences):
    """Stands in for fitting a simple classifier; lists the folds it was really fitted in."""
    made = []

    def fit(trial, data):
        made.append((trial.variant.method, trial.split.train))
        return said(sequences, trial.split.test, trial.variant.method)

    monkeypatch.setattr(trials, "_fit_baseline", fit)
    return made


def run(folds, data, folder, methods=("landmark_logistic", "pseudo_labels"), **more):
    return cross_validate(folds, methods, 0, data, SETTINGS, ContentStore(folder), **more)


def test_every_sequence_is_tested_once_and_calibrated_by_others(folds, data, fitted, tmp_path, sequences):
    told = []
    table = run(folds, data, tmp_path / "s", on_fold=lambda fold, part: told.append((fold.number, len(part))))
    assert sorted(number for number, _ in told) == [0, 1, 2, 3, 4]
    assert sum(count for _, count in told) == len(table)
    for _, own in table.groupby("model"):
        tested = own[own["side"] == "test"]
        assert sorted(tested["sequence"]) == sorted(sequences["sequence"])
        for fold in folds:
            aside = own[(own["fold"] == fold.number) & (own["side"] == "validation")]
            assert set(aside["subject"]) == set(fold.validation)


def test_an_interrupted_cross_validation_goes_on_where_it_stopped(folds, data, fitted, tmp_path, monkeypatch):
    whole = run(folds, data, tmp_path / "full")
    fitted.clear()
    honest = trials._fit_baseline

    def broken(trial, data):
        if len(fitted) == 5:
            raise KeyboardInterrupt
        return honest(trial, data)

    monkeypatch.setattr(trials, "_fit_baseline", broken)
    with pytest.raises(KeyboardInterrupt):
        run(folds, data, tmp_path / "cut")
    monkeypatch.setattr(trials, "_fit_baseline", honest)
    again = run(folds, data, tmp_path / "cut")
    assert len(fitted) == len(set(fitted)) == 10
    pd.testing.assert_frame_equal(again, whole)


def test_a_method_that_fails_is_named_with_its_fold(folds, data, monkeypatch, tmp_path):
    def broken(*parts):
        raise ValueError("a wall")

    monkeypatch.setattr(trials, "_fit_baseline", broken)
    with pytest.raises(RuntimeError, match="landmark_logistic in fold 1 failed: a wall"):
        run(folds, data, tmp_path)


def test_an_unknown_method_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"clip; there are affect_vlm, smile_vlm"):
        check_methods(("clip",))


# ------------------------------------------------------------------------------------------------ leaks


def test_a_leaking_split_is_caught_where_it_is_made_and_where_it_answers(folds, sequences):
    with pytest.raises(SubjectLeakError, match="s01"):
        SubjectSplit(("S00", "S01"), ("s01 ", "S02"), 0)
    fold = folds[0]
    tampered = SubjectSplit(fold.split.train, fold.split.test, 0)
    object.__setattr__(tampered, "train", (*tampered.train, *tampered.test))  # past the check
    leaking = SimpleNamespace(number=0, round=0, split=fold.split, validation=fold.validation, fitted=tampered,
                              sequences=fold.sequences)  # fmt: skip
    with pytest.raises(LeakError, match=r"Fold 1 predicts subjects it was fitted on"):
        with_sides(said(sequences, fold.split.test), leaking)


def test_an_answer_about_a_training_subject_is_caught(folds, sequences):
    with pytest.raises(LeakError, match="fitted on"):
        with_sides(said(sequences, sequences["subject"].unique()), folds[0])


def test_an_answer_about_a_sequence_that_takes_no_part_is_caught(folds, sequences):
    answers = said(sequences, folds[0].split.test)
    with pytest.raises(LeakError, match="take no part: extra"):
        with_sides(answers.assign(sequence="extra"), folds[0])


def test_a_scan_copied_to_an_unseen_person_is_caught_before_anything_is_fitted(folds, data, fitted, tmp_path):
    copied = data.scans.copy()
    tested, trained = folds[0].split.test[0], folds[0].fitted.train[0]
    source = copied.index[copied["subject"] == trained][0]
    target = copied.index[copied["subject"] == tested][0]
    copied.loc[target, "checksum"] = copied.loc[source, "checksum"]
    with pytest.raises(LeakError, match="byte for byte"):
        run(folds, TrialData(data.views, data.sequences, copied, data.store), tmp_path)
    assert fitted == []
    check_no_copied_scans(data.scans, folds[0].fitted)


def test_a_sample_that_counts_twice_is_caught(folds, sequences):
    answers = said(sequences, folds[0].split.test)
    with pytest.raises(LeakError, match="more than once"):
        with_sides(pd.concat([answers, answers.iloc[:1]]), folds[0])


def moved_by_unseen_labels(answer, sequences, split):
    """Whether answers change when the labels of everybody unseen are dealt out anew: they may not."""
    unseen = sequences["subject"].isin(split.test)
    shuffled = sequences["expression"].to_numpy(object).copy()
    shuffled[unseen] = np.random.default_rng(1).permutation(shuffled[unseen])
    honest, asked = answer(sequences), answer(sequences.assign(expression=shuffled))
    columns = [name for name in honest if name.startswith("prob_")]
    return not np.array_equal(honest[columns].to_numpy(), asked[columns].to_numpy())


def test_a_label_leak_is_caught_and_an_honest_probe_is_not(sequences, folds, generator):
    features = generator.normal(size=(len(sequences), 8)).astype(np.float32)
    split = folds[0].fitted

    def honest(table):
        return probe_linearly(features, table, split, "probe")

    def leaking(table):
        """A feature chosen by looking at every label."""
        codes = table["expression"].map(EXPRESSIONS.index).to_numpy(np.float32)
        return probe_linearly(np.column_stack([features, codes]).astype(np.float32), table, split, "probe")

    assert not moved_by_unseen_labels(honest, sequences, split)
    assert moved_by_unseen_labels(leaking, sequences, split)


# ------------------------------------------------------------------------------------------------ scores


def test_scores_over_folds_are_those_of_scikit_learn_on_all_answers(folds, data, fitted, tmp_path):
    table = run(folds, data, tmp_path)
    scores = score_folds(table, np.random.default_rng(0))["models"]["pseudo_labels"]
    tested = table[(table["side"] == "test") & (table["model"] == "pseudo_labels")]
    truth, named = tested["expression"], tested["predicted"]
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth, named))
    assert scores["uf1"] == pytest.approx(f1_score(truth, named, average="macro"))
    assert np.mean(scores["folds"]) == pytest.approx(scores["accuracy"])
    assert len(scores["calibration"]["temperatures"]) == 5
    assert scores["calibration"]["after"]["nll"] > 0


def test_without_validation_people_calibration_afterwards_is_not_measured(described, data, fitted, tmp_path):
    folds = draw_all(protocol_named("bu4dfe", "2-fold"), described)
    scores = score_folds(run(folds, data, tmp_path), np.random.default_rng(0))
    assert scores["models"]["landmark_logistic"]["calibration"]["after"] is None


def test_rounds_count_every_answer(described, data, fitted, tmp_path):
    folds = draw_all(protocol_named("bu4dfe", "2-fold"), described, rounds=2)
    scores = score_folds(run(folds, data, tmp_path), np.random.default_rng(0))
    assert scores["models"]["landmark_logistic"]["sequences"] == 2 * len(described)


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
