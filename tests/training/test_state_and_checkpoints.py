"""A checkpoint is there whole or not at all, and what was changed on disk is noticed."""

import json
import logging

import pytest
import torch

from affect4d.training.state_and_checkpoints import (
    MARKER,
    NUMBERS,
    Checkpoint,
    CheckpointFolder,
    DamagedCheckpointError,
)

IDENTITY = {"configuration": "a", "data": "b"}


def checkpoint(value):
    return Checkpoint({"model.safetensors": {"weight": torch.full((64,), float(value))}}, {"position": [value, 0]})


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(tmp_path / "checkpoints", IDENTITY, keep=2)


@pytest.fixture
def three(folder):
    return [folder.save(step, checkpoint(step)) for step in (1, 2, 3)]


def newest(folder):
    found = folder.newest()
    return None if found is None else found.numbers["step"]


def flip(file, place=-1):
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


def test_there_is_none_at_first(folder):
    assert folder.newest() is None


def test_the_newest_comes_back_as_it_was_and_the_oldest_is_forgotten(folder, three):
    found = folder.newest()
    assert torch.equal(found.tensors["model.safetensors"]["weight"], torch.full((64,), 3.0))
    assert found.numbers["position"] == [3, 0]
    assert [path.exists() for path in three] == [False, True, True]


@pytest.mark.parametrize("name", ["model.safetensors", NUMBERS, MARKER])
def test_one_flipped_bit_falls_back_to_the_one_before_with_the_reason(folder, three, name, caplog):
    flip(three[2] / name, place=20)
    with caplog.at_level(logging.WARNING):
        assert newest(folder) == 2
    assert "step-00000003 is skipped" in caplog.text


def test_every_flipped_byte_of_the_weights_is_noticed(folder, three):
    file = three[2] / "model.safetensors"
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        flip(file, place)
        with pytest.raises(DamagedCheckpointError, match="checksum differs"):
            folder.load(three[2])
        file.write_bytes(whole)
    assert folder.load(three[2]).numbers["step"] == 3


def test_a_file_that_is_missing_or_cut_short_falls_back(folder, three):
    (three[2] / "model.safetensors").unlink()
    (three[1] / NUMBERS).write_text("{")
    assert newest(folder) is None
    folder.save(4, checkpoint(4))
    assert newest(folder) == 4


def test_a_save_that_was_never_finished_is_passed_over_and_made_again(folder, three):
    (three[2] / MARKER).unlink()
    three[1].rename(three[1].with_suffix(".partial"))
    assert newest(folder) is None
    folder.save(2, checkpoint(2))
    assert newest(folder) == 2


def test_a_checkpoint_of_another_run_is_not_loaded(folder, three, caplog):
    other = CheckpointFolder(folder.root, {**IDENTITY, "data": "c"})
    with caplog.at_level(logging.WARNING):
        assert other.newest() is None
    assert "another data" in caplog.text


def test_a_disk_that_is_full_leaves_the_last_good_one(folder, three, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("affect4d.training.state_and_checkpoints.save_file", full)
    with pytest.raises(OSError, match="No space"):
        folder.save(4, checkpoint(4))
    assert newest(folder) == 3


def test_nothing_is_pickled(three):
    assert {file.suffix for file in three[2].iterdir()} == {".safetensors", ".json"}
    assert json.loads((three[2] / NUMBERS).read_text())["identity"] == IDENTITY
