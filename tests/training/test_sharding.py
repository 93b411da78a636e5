"""Weights sharded over two processes (FSDP): each holds a part, they train as one, and checkpoints are whole."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

SCRIPT = Path(__file__).with_name("sharded.py")


def test_sharded_encoders_train_as_whole_ones_also_after_an_interruption(tmp_path, monkeypatch):
    command = [sys.executable, str(SCRIPT)]
    started = [
        subprocess.Popen([*command, str(rank), "2", str(tmp_path / "store"), str(tmp_path)], stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    for process in started:
        _, errors = process.communicate(timeout=1200)
        assert process.returncode == 0, errors.decode()[-3000:]
    found = load_file(tmp_path / "sharded.safetensors")

    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("sharded", SCRIPT)
    sharded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sharded)
    monkeypatch.delitem(sys.modules, "small_job")
    model, state = sharded.small_job.small_run("affect_vlm", None, sharded.TRAIN)

    held, whole = found.pop("held").tolist()
    assert held < 0.9 * whole
    losses = found.pop("losses")
    assert found.keys() == model.state_dict().keys()
    assert len(losses) == len(state.history) == sharded.small_job.STEPS
    assert losses[0, 0] == pytest.approx(state.history[0]["loss"], rel=1e-5)
    assert losses[0, 1] == pytest.approx(state.history[0]["gradient_norm"], rel=1e-4)
    assert losses[:, 0].tolist() == pytest.approx([row["loss"] for row in state.history], rel=1e-4)
