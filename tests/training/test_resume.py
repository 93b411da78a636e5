"""Interrupted anywhere, training ends with the weights it would have had: to the last bit."""

import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from affect4d.training.state_and_checkpoints import TrainingInterruptedError

SCRIPT = Path(__file__).with_name("small_job.py")
_SPEC = importlib.util.spec_from_file_location("small_job", SCRIPT)
small_job = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(small_job)


@functools.cache
def straight(method):
    return small_job.small_run(method)


def assert_as_if_never_stopped(finished, method="affect_vlm"):
    (model, state), (expected_model, expected) = finished, straight(method)
    weights = expected_model.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    assert state.history == expected.history
    assert state.steps_done == small_job.STEPS


def stop_after(step):
    return lambda done, loss, samples: os.kill(os.getpid(), signal.SIGTERM) if done == step else None


@pytest.mark.parametrize("method", ["affect_vlm", "smile_vlm", "cross_entropy"])
def test_told_to_stop_it_saves_and_goes_on_from_there(method, tmp_path):
    for step in (1, 4, 7):  # noticed after the step that follows
        with pytest.raises(TrainingInterruptedError, match="same command again"):
            small_job.small_run(method, tmp_path, on_step=stop_after(step))
    assert_as_if_never_stopped(small_job.small_run(method, tmp_path), method)


@pytest.mark.parametrize("moment", ["on_step", "on_epoch"])
def test_told_to_stop_after_the_last_step_it_ends_as_anywhere_and_is_finished_at_once(moment, tmp_path):
    tell = {
        "on_step": stop_after(small_job.STEPS),
        "on_epoch": lambda epoch, _: os.kill(os.getpid(), signal.SIGTERM) if epoch == small_job.EPOCHS - 1 else None,
    }
    with pytest.raises(TrainingInterruptedError, match="same command again"):
        small_job.small_run(folder=tmp_path, **{moment: tell[moment]})
    taken = []
    assert_as_if_never_stopped(small_job.small_run(folder=tmp_path, on_step=lambda done, *_: taken.append(done)))
    assert not taken


def test_curves_of_earlier_epochs_are_told_again(tmp_path):
    with pytest.raises(TrainingInterruptedError):
        small_job.small_run(folder=tmp_path, on_step=stop_after(7))
    told, expected = {}, {}
    small_job.small_run(folder=tmp_path, on_epoch=told.__setitem__)
    small_job.small_run(on_epoch=expected.__setitem__)
    assert told == expected
    assert sorted(told) == [0, 1, 2]


def test_a_damaged_checkpoint_costs_a_step_not_the_run(tmp_path):
    with pytest.raises(TrainingInterruptedError):
        small_job.small_run(folder=tmp_path, on_step=stop_after(5))
    newest = max(tmp_path.glob("step-*"))
    file = newest / "optimizer.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    told = []
    finished = small_job.small_run(folder=tmp_path, on_step=lambda done, *_: told.append(done))
    assert told[0] == 6  # saved after 6, which was damaged: goes on from 5
    assert_as_if_never_stopped(finished)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["step 4", "epoch 1", "file 18"])
def test_killed_it_goes_on_as_if_nothing_had_happened(moment, tmp_path):
    command = [sys.executable, str(SCRIPT), str(tmp_path), "affect_vlm", *moment.split()]
    done = subprocess.run(command, capture_output=True, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    assert bool(list(tmp_path.glob("*.partial"))) == moment.startswith("file")
    assert json.loads((max(tmp_path.glob("step-????????")) / "state.json").read_text())["step"] >= 3
    assert_as_if_never_stopped(small_job.small_run(folder=tmp_path))
