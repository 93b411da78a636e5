"""A study on tiny pictures: interrupted, it goes on; a trial is a pure function of what it is made from."""

import pandas as pd
import pytest
import torch

from affect4d.content import ContentStore
from affect4d.scans.splits import SubjectSplit
from affect4d.studies import trial as trials
from affect4d.studies.arms import CONVERGENCE
from affect4d.studies.options import StudyOptions
from affect4d.studies.setting import Setting
from affect4d.studies.study import run_study
from affect4d.studies.trial import Trial, only_views
from affect4d.views.bank import ViewBank


@pytest.fixture
def store(tmp_path):
    return ContentStore(tmp_path)


@pytest.fixture
def split():
    return SubjectSplit(train=tuple("ABCDEF"), test=tuple("GH"), seed=0)


@pytest.fixture
def calls(monkeypatch):
    """Trials that were really run; each gives the subjects it was to be tested on."""
    seen = []

    def stand_in(arm, seed, split, data, setting, store):
        seen.append((arm.name, seed, split.test))
        table = pd.DataFrame({"model": arm.name, "subject": list(split.test)})
        return Trial(table, pd.DataFrame({"epoch": [0]}))

    monkeypatch.setattr("affect4d.studies.study.run_trial", stand_in)
    return seen


def test_every_arm_meets_the_same_people_and_seeds_meet_others(calls, split, store):
    result = run_study(CONVERGENCE[:2], StudyOptions(name="convergence", seeds=(0, 1, 2)), split, None, Setting(), store)
    assert [call[:2] for call in calls] == [(arm.name, seed) for seed in range(3) for arm in CONVERGENCE[:2]]
    people = {seed: {test for _, one, test in calls if one == seed} for seed in range(3)}
    assert all(len(sets) == 1 for sets in people.values())
    assert people[0] == {split.test}
    assert len(set.union(*people.values())) > 1
    assert set(result.predictions.columns) == {"arm", "seed", "subject"}


def test_without_redrawing_all_seeds_meet_the_same_people(calls, split, store):
    options = StudyOptions(name="convergence", seeds=(0, 1), redraw=False)
    run_study(CONVERGENCE[:1], options, split, None, Setting(), store)
    assert {test for _, _, test in calls} == {split.test}


def test_a_trial_that_fails_is_named(monkeypatch, store, split):
    def broken(*parts):
        raise ValueError("a wall")

    monkeypatch.setattr("affect4d.studies.study.run_trial", broken)
    with pytest.raises(RuntimeError, match="affect_vlm with seed 0 failed: a wall"):
        run_study(CONVERGENCE[:1], StudyOptions(name="convergence", seeds=(0,)), split, None, Setting(), store)


def test_a_trial_that_was_kept_is_not_run_again(monkeypatch, store, split):
    made = []
    monkeypatch.setattr(trials, "_key", lambda *parts: "key")
    monkeypatch.setattr(
        trials,
        "_train_and_examine",
        lambda *parts: made.append(1) or Trial(pd.DataFrame({"a": [1]}), pd.DataFrame({"epoch": [0]})),
    )
    setting = trials.Setting()
    first = trials.run_trial(CONVERGENCE[0], 0, split, None, setting, store)
    again = trials.run_trial(CONVERGENCE[0], 0, split, None, setting, store)
    assert len(made) == 1
    pd.testing.assert_frame_equal(first.predictions, again.predictions)


def test_a_bank_can_be_cut_to_some_views():
    rows = torch.arange(4)
    pictures = torch.arange(4 * 2).view(4, 2, 1, 1, 1).to(torch.uint8)
    bank = ViewBank(pictures, rows, rows, rows, rows > 1, tuple("abcd"), ("front", "left"))
    cut = only_views(bank, ("left",))
    assert cut.views == ("left",)
    assert torch.equal(cut.pictures[:, 0], bank.pictures[:, 1])
    assert only_views(bank, ()) is bank
    with pytest.raises(ValueError, match=r"above.*front, left"):
        only_views(bank, ("above",))
