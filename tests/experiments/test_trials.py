"""A study on tiny pictures: interrupted, it goes on; a trial is a pure function of what it is made from."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace

import pandas as pd
import pytest

from affect4d.evaluation.evaluate_models import Evaluator
from affect4d.evaluation.prediction_tables_and_leak_checks import labelled_rows
from affect4d.experiments import trials
from affect4d.experiments.settings import ExperimentSettings, StudyOptions
from affect4d.experiments.studies_and_cross_validation import _trial, run_study
from affect4d.experiments.trials import Trial, TrialResult, as_many_steps, limit_labels
from affect4d.experiments.variants import CONVERGENCE, FINE_TUNING, LABEL_EFFICIENCY, SMILE_REGIMES, Variant
from affect4d.models import EncoderOptions, ModelOptions, build_model
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore
from affect4d.training.options import StartingPoint


@pytest.fixture
def store(tmp_path):
    return ContentStore(tmp_path)


@pytest.fixture
def split():
    return SubjectSplit(train=tuple("ABCDEF"), test=tuple("GH"), seed=0)


def training(variant, split, store, data=None):
    return trials._Training(variant, ExperimentSettings().changed(variant.changes), split, data, store)


@pytest.fixture
def calls(monkeypatch):
    """Trials that were really run; each gives the subjects it was to be tested on."""
    seen = []

    def stand_in(trial, data, store):
        seen.append((trial.variant.name, trial.seed, trial.split.test))
        table = pd.DataFrame({"model": trial.variant.name, "subject": list(trial.split.test)})
        return TrialResult(table, pd.DataFrame({"epoch": [0]}))

    monkeypatch.setattr("affect4d.experiments.studies_and_cross_validation.run_trial", stand_in)
    return seen


def test_every_variant_and_seed_meets_the_same_test_subjects(calls, split, store):
    result = run_study(
        CONVERGENCE[:2], StudyOptions(name="convergence", seeds=(0, 1, 2)), split, None, ExperimentSettings(), store
    )
    assert [call[:2] for call in calls] == [(variant.name, seed) for seed in range(3) for variant in CONVERGENCE[:2]]
    assert {test for _, _, test in calls} == {split.test}
    assert set(result.predictions.columns) == {"variant", "seed", "subject"}


def drawn(own, seed, options, split, data, *, tracked=False):
    """A study's trial of a variant that trains on ``own`` subjects."""
    return _trial(Variant("v", "", "affect_vlm", tracked=tracked), seed, None, own, options, split, data)


def test_training_subjects_are_drawn_by_the_seed_and_are_the_same_for_all_variants(split):
    rows = [(name, f"{name}/{number}") for name in "ABCDEFGHI" for number in range(2)]
    data = SimpleNamespace(sequences=pd.DataFrame(rows, columns=["subject", "sequence"]))
    few, more = (
        [drawn(0, seed, StudyOptions(name="convergence", training_subjects=count), split, data) for seed in range(3)]
        for count in (2, 3)
    )
    assert [len(trial.split.train) for trial in few] == [2, 2, 2]
    assert len({trial.split.train for trial in few}) > 1
    for small, large in zip(few, more, strict=True):
        assert set(small.split.train) < set(large.split.train) <= set(split.train)
        assert small.split.test == split.test
        assert {name[0] for name in small.sequences} == {*small.split.train, *small.split.test}


def test_speed_is_measured_on_subjects_that_are_neither_trained_on_nor_tested(split):
    rows = [(name, f"{name}/{number}") for name in "ABCDEFGHI" for number in range(2)]
    data = SimpleNamespace(sequences=pd.DataFrame(rows, columns=["subject", "sequence"]))
    options = StudyOptions(name="convergence", training_subjects=2)
    tracked = drawn(0, 0, options, split, data, tracked=True)
    assert set(tracked.validation) == set(split.train) - set(tracked.split.train)
    assert {name[0] for name in tracked.sequences} == {*split.train, *split.test}
    assert drawn(0, 0, options, split, data).validation == ()
    every = drawn(0, 0, StudyOptions(name="convergence"), split, data, tracked=True)
    assert (every.split, every.validation, every.sequences) == (split, (), None)


def test_the_curve_is_of_validation_subjects_where_there_are_some():
    split, tested = SubjectSplit(tuple("ABC"), tuple("DE"), 0), []
    rows = [(f"{subject}/{word}", subject, word) for subject in "ABCDE" for word in ("anger", "fear")]
    sequences = pd.DataFrame(rows, columns=["sequence", "subject", "expression"])

    class Fake:
        def by_prompts(self, model, name, prompts):
            own = self.sequences.iloc[labelled_rows(self.sequences, self.split).test]
            tested.append(set(own["subject"]))
            return own.assign(predicted="anger")[["predicted", "expression"]]

    @dataclass(frozen=True)
    class FakeEvaluator(Fake):
        sequences: pd.DataFrame
        split: SubjectSplit
        quiet: bool = False

    variant = Variant("affect_vlm", "", "affect_vlm", tracked=True)
    less = SubjectSplit(split.train[1:], split.test, split.seed)
    for validation, expected in ((split.train[:1], split.train[:1]), ((), split.test)):
        training = trials._Training(variant, ExperimentSettings(), less, None, None, validation)
        accuracy = trials._accuracy_of(training, FakeEvaluator(sequences, less))(None)
        assert accuracy == 0.5
        assert tested[-1] == set(expected)
        final = trials._on_subjects_of(FakeEvaluator(sequences, less), less)
        final.by_prompts(None, "", None)
        assert tested[-1] == set(split.test)


def test_a_tracked_variant_is_tested_on_test_subjects_alone(monkeypatch):
    split = SubjectSplit(tuple("AB"), tuple("DE"), 0)
    rows = [(f"{subject}/anger", subject, "anger") for subject in "ABCDE"]
    sequences = pd.DataFrame(rows, columns=["sequence", "subject", "expression"])
    bank = SimpleNamespace(only=lambda views: None)
    everything = Evaluator(bank, sequences, split, ExperimentSettings().inputs)
    monkeypatch.setattr(Evaluator, "prepare", lambda *given, **options: everything)
    monkeypatch.setattr(trials, "_trained", lambda training, evaluator: (None, pd.DataFrame()))
    monkeypatch.setattr(trials, "_predict", lambda variant, settings, evaluator, model: evaluator.sequences)
    variant = Variant("affect_vlm", "", "affect_vlm", tracked=True)
    data = SimpleNamespace(views=None, store=None)
    training = trials._Training(variant, ExperimentSettings(), split, data, None, ("C",))
    assert set(trials._train_and_evaluate(training).predictions["subject"]) == set("ABDE")


def test_more_training_subjects_than_there_are_is_refused(split, store):
    options = StudyOptions(name="convergence", training_subjects=500)
    with pytest.raises(ValueError, match="500 training subjects are wanted"):
        run_study(CONVERGENCE[:1], options, split, None, ExperimentSettings(), store)


def test_a_variant_may_have_training_subjects_of_its_own_and_too_many_are_left_out(calls, split, store, caplog):
    data = SimpleNamespace(sequences=pd.DataFrame({"subject": list("ABCDEFGH"), "sequence": list("ABCDEFGH")}))
    sized = tuple(
        Variant(f"affect_vlm_{count}", "", "affect_vlm", changes={"training_subjects": count}) for count in (2, 4, 80)
    )
    own = {"affect_vlm": ExperimentSettings(), "smile_vlm": ExperimentSettings(views=("front",))}
    options = StudyOptions(name="scale", seeds=(0,))
    run_study((*sized, Variant("smile", "", "smile_vlm")), options, split, data, own, store)
    assert [call[0] for call in calls] == ["affect_vlm_2", "affect_vlm_4", "smile"]
    assert "1 variants want more than the 6 training subjects there are" in caplog.text
    small, large = (drawn(count, 0, StudyOptions(name="scale"), split, data).split for count in (2, 4))
    assert set(small.train) < set(large.train)
    with pytest.raises(ValueError, match="80 training subjects are wanted, and there are 6"):
        run_study(sized[2:], options, split, data, own, store)


def test_one_part_of_a_mixture_may_be_trained_on_and_all_are_tested(store):
    split = SubjectSplit(train=("one:A", "two:A", "one:B"), test=("one:C", "two:C"), seed=0)
    rows = [(name, f"{name}/1") for name in (*split.train, *split.test)]
    data = SimpleNamespace(sequences=pd.DataFrame(rows, columns=["subject", "sequence"]))
    trial = drawn(0, 0, StudyOptions(name="scale", trained_on="one"), split, data)
    assert (set(trial.split.train), trial.split.test) == ({"one:A", "one:B"}, split.test)
    assert "two:A/1" not in trial.sequences
    with pytest.raises(ValueError, match=r"trained_on=three names no part of the corpus"):
        drawn(0, 0, StudyOptions(name="scale", trained_on="three"), split, data)


def test_a_study_that_compares_with_a_start_needs_one(split, store):
    with pytest.raises(ValueError, match=r"fine_tuning compares .*, --params train\.start_from=affect_vlm"):
        run_study(FINE_TUNING, StudyOptions(name="fine_tuning"), split, None, ExperimentSettings(), store)


def test_the_start_counts_by_its_weights_wherever_they_lie(split, store, tmp_path, monkeypatch):
    start = StartingPoint(name="a", digest="d", folder=tmp_path, views=("front",), channels=("grey",))
    keys = [
        ExperimentSettings(start=start.model_copy(update=changes)).key_parts
        for changes in ({}, {"folder": tmp_path / "moved"}, {"digest": "e"})
    ]
    assert keys[0] == keys[1] != keys[2]
    scratch = {variant.name: variant for variant in FINE_TUNING}["scratch_3"]
    assert ExperimentSettings(start=start).changed(scratch.changes).start is None


def test_a_trial_that_fails_is_named(monkeypatch, store, split):
    def broken(*parts, **more):
        raise ValueError("a wall")

    monkeypatch.setattr("affect4d.experiments.studies_and_cross_validation.run_trial", broken)
    with pytest.raises(RuntimeError, match="affect_vlm with seed 0 failed: a wall"):
        run_study(
            CONVERGENCE[:1], StudyOptions(name="convergence", seeds=(0,)), split, None, ExperimentSettings(), store
        )


def test_a_trial_that_was_kept_is_not_run_again(monkeypatch, store, split):
    made = []
    monkeypatch.setattr(trials, "_key", lambda *parts: {"key": "key"})
    result = TrialResult(pd.DataFrame({"a": [1]}), pd.DataFrame({"epoch": [0]}))
    monkeypatch.setattr(trials, "_train_and_evaluate", lambda *parts: made.append(1) or result)
    trial = Trial(CONVERGENCE[0], 0, split, ExperimentSettings())
    first, again = (trials.run_trial(trial, data=None, store=store) for _ in range(2))
    assert len(made) == 1
    pd.testing.assert_frame_equal(first.predictions, again.predictions)


def test_labels_of_few_subjects_are_remembered_and_more_include_the_fewer(split):
    sequences = pd.DataFrame({"subject": list("ABCDEFGH") * 2, "expression": "fear"})
    two, four = (limit_labels(sequences, split, count, seed=3) for count in (2, 4))
    known = [set(table.dropna()["subject"]) for table in (two, four)]
    assert set("GH") < known[0] < known[1]
    assert [len(people) for people in known] == [4, 6]
    assert limit_labels(sequences, split, 0, seed=3) is sequences
    assert two["subject"].equals(sequences["subject"])
    with pytest.raises(ValueError, match="7 labelled subjects are wanted, of 6"):
        limit_labels(sequences, split, 7, seed=3)


def test_few_subjects_are_trained_on_for_as_many_steps():
    settings = ExperimentSettings(labelled_subjects=5)
    assert as_many_steps(settings, 30).train.samples_per_sequence == 6 * settings.train.samples_per_sequence
    assert as_many_steps(ExperimentSettings(), 30) == ExperimentSettings()


def test_a_model_without_labels_is_trained_once_for_every_number_of_labelled_subjects(store, split, monkeypatch):
    encoders = EncoderOptions(text="compact", image_width=32, text_width=16, text_heads=2, text_layers=1)
    made = []

    def train(training, evaluator):
        made.append(training.variant.name)
        return build_model("smile_vlm", ModelOptions(encoder=encoders, dim=16)), pd.DataFrame({"epoch": [0]})

    monkeypatch.setattr(trials, "_train", train)

    def key(training):
        return {"key": [training.variant.method, training.settings.labelled_subjects]}

    monkeypatch.setattr(trials, "_key", key)
    for variant in LABEL_EFFICIENCY:
        trials._trained(training(variant, split, store), None)
    assert made == ["smile_3", "scratch_3", "scratch_5", "scratch_10"]


def test_one_model_answers_every_way_of_asking_its_views(store, split, monkeypatch):
    asked, unread = [], []
    expected = {"few_labels_full", "one_view_full", "other_view_full"}

    def key(training):
        unread.append(training.settings)
        return {"key": training.settings == ExperimentSettings()}

    def train(training, evaluator):
        asked.append(training.variant.name)
        return None, pd.DataFrame({"epoch": [0]})

    monkeypatch.setattr(trials, "_train", train)
    monkeypatch.setattr(trials, "save_model", lambda model, folder: None)
    monkeypatch.setattr(trials, "load_model", lambda folder, device: None)
    monkeypatch.setattr(trials, "_key", key)
    variants = [variant for variant in SMILE_REGIMES if variant.name in expected]
    for variant in variants:
        trials._trained(training(variant, split, store), None)
    assert asked == ["few_labels_full"]
    assert unread == [ExperimentSettings()] * len(expected)


def test_a_variant_that_is_asked_by_other_views_is_shown_the_whole_bank(split, monkeypatch, sequences):
    bank = SimpleNamespace(views=("front", "left", "right"))
    bank.only = lambda views: SimpleNamespace(views=views or bank.views)
    calls = []

    class Stand(Evaluator):
        def by_probe_across_views(self, model, name, trained, fitted, asked):
            calls.append((self.bank, trained, fitted, asked))

    monkeypatch.setattr(trials.Evaluator, "prepare", lambda *_, **__: Stand(bank, sequences, split, None))
    monkeypatch.setattr(trials, "_trained", lambda *_: (None, None))
    data = SimpleNamespace(views=None, store=None)
    for variant in SMILE_REGIMES:
        if variant.name in ("one_view_full", "other_view_full", "unseen_angle_full"):
            trials._train_and_evaluate(training(variant, split, None, data))
    every, two = ("front", "left", "right"), ("front", "left")
    assert calls == [
        (bank, every, every, ("left",)),
        (bank, every, ("front",), ("left",)),
        (bank, two, two, ("right",)),
    ]


def test_side_by_side_a_model_without_labels_is_trained_once(store, split, monkeypatch):
    made = []

    def train(training, evaluator):
        made.append(training.variant.name)
        time.sleep(0.2)
        return None, pd.DataFrame({"epoch": [0]})

    monkeypatch.setattr(trials, "_train", train)
    monkeypatch.setattr(trials, "save_model", lambda model, folder: None)
    monkeypatch.setattr(trials, "load_model", lambda folder, device: None)
    monkeypatch.setattr(trials, "_key", lambda *_: {"key": "key"})
    unlabelled = [variant for variant in LABEL_EFFICIENCY if variant.method == "smile_vlm"]
    with ThreadPoolExecutor(len(unlabelled)) as pool:
        waits = [pool.submit(trials._trained, training(variant, split, store), None) for variant in unlabelled]
    assert [len(wait.result()[1]) for wait in waits] == [1, 1, 1]
    assert len(made) == 1


@dataclass
class _Rows:
    """A bank of which only its size is asked."""

    rows: int
    views: tuple[str, ...] = ("front",)

    def only(self, views):
        return self


def test_who_learns_without_labels_learns_from_sequences_of_no_expression_too(store, split, monkeypatch):
    """A sequence that shows none of the six is not examined, but it is trained on, as by `train_smile`."""
    seen = {}
    monkeypatch.setattr(trials, "load_view_bank", lambda views, *_: _Rows(len(views)))
    monkeypatch.setattr(trials, "_prompts", lambda *_: (None, seen.get("groups")))
    monkeypatch.setattr(trials, "_plan", lambda *_: None)
    monkeypatch.setattr(trials, "_accuracy_of", lambda *_: None)

    def train(method, bank, *_):
        seen["rows"] = bank.rows
        return SimpleNamespace(model=None)

    monkeypatch.setattr(trials, "train_model", train)
    views = pd.DataFrame({"sequence": ["a", "b"], "expression": ["fear", None]})
    data = SimpleNamespace(views=views, store=None)
    labelled = SimpleNamespace(bank=_Rows(1))
    for variant, groups, rows in ((LABEL_EFFICIENCY[0], None, 2), (CONVERGENCE[0], {"a": "fear"}, 1)):
        seen["groups"] = groups
        trials._train(trials._Training(variant, ExperimentSettings(), split, data, store), labelled)
        assert seen["rows"] == rows


def test_too_few_people_for_the_labels_are_told_before_the_first_trial(calls, split, store):
    with pytest.raises(
        ValueError, match=r"10 labelled .* 6 to train on: .*variants=smile_3\+scratch_3\+smile_5\+scratch_5\."
    ):
        run_study(LABEL_EFFICIENCY, StudyOptions(name="label_efficiency"), split, None, ExperimentSettings(), store)
    assert not calls
