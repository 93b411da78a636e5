import pytest
import torch

from affect4d.evaluation.evaluator import Evaluator
from affect4d.evaluation.leakage import labelled_rows
from affect4d.evaluation.sequence_embeddings import window_rows
from affect4d.views.input_options import InputOptions


@pytest.fixture
def evaluator(bank, sequences, split):
    return Evaluator(bank, sequences, split, InputOptions(channels=("grey", "shading"), size=16), quiet=True)


def test_a_window_is_what_is_asked_about_anyway(evaluator):
    assert evaluator.at("window") is evaluator


def test_every_scan_of_a_window_is_asked_about_once_and_alone(evaluator):
    single = evaluator.at("scan")
    assert len(single.sequences) == int(evaluator.bank.in_window.sum()) == 3 * len(evaluator.sequences)
    assert single.sequences["sequence"].is_unique
    for name in single.sequences["sequence"][:7]:
        rows = window_rows(single.bank, name)
        whole, frame = name.rsplit("#", 1)
        assert len(rows) == 1
        assert int(single.bank.frame[rows[0]]) == int(frame)
        assert rows[0] in window_rows(evaluator.bank, whole)
    assert single.bank.images is evaluator.bank.images


def test_a_scan_has_the_subject_and_expression_of_its_sequence(evaluator):
    rows = evaluator.at("scan").sequences
    assert (rows["sequence"].str.split("/").str[0] == rows["subject"]).all()
    assert (rows["sequence"].str.split("/").str[1].str.split("#").str[0] == rows["expression"]).all()


def test_a_whole_sequence_takes_every_frame(evaluator):
    whole = evaluator.at("sequence")
    assert len(window_rows(whole.bank, "S00/fear")) == 5
    assert torch.equal(whole.bank.neutral, evaluator.bank.neutral)


@pytest.mark.parametrize("level", ["scan", "window", "sequence"])
def test_nobody_changes_sides_at_any_level(evaluator, level, split):
    asked = evaluator.at(level)
    fold = labelled_rows(asked.sequences, asked.split)
    assert set(asked.sequences.iloc[fold.test]["subject"]) == set(split.test)
