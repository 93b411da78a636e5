"""Training in processes of their own: reported once, started again when one is lost, and never left behind."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from affect4d.training.launch import PACKAGES, TrainingFailedError, TrainingJob, torchrun_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

SCRIPT = Path(__file__).with_name("small_job.py")
_SPEC = importlib.util.spec_from_file_location("small_job", SCRIPT)
small_job = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(small_job)

ALLOWED = ("torch", "open-clip-torch", "safetensors", "pydantic", "numpy", "jaxtyping", "lazy-loader")

KILLER = """
    import os, signal, threading, time
    from pathlib import Path

    def wait():
        job, done = Path({folder!r}), Path({folder!r}) / "killed"
        while not (job / "checkpoints" / "step-00000004").exists():
            time.sleep(0.005)
        if not done.exists():
            done.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    if os.environ.get("RANK") == "1":
        threading.Thread(target=wait, daemon=True).start()
"""


@pytest.fixture
def in_every_process(tmp_path, monkeypatch):
    """Run some code at the start of every process that is started."""

    def put(code):
        folder = tmp_path / "site"
        folder.mkdir(exist_ok=True)
        with (folder / "sitecustomize.py").open("a") as file:
            file.write(textwrap.dedent(code))
        monkeypatch.setenv("PYTHONPATH", str(folder))

    return put


def processes_of(folder):
    """Processes with this job on their command line."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(str(folder).encode() in word for word in words):
            found.append(int(place.name))
    return found


def wait_for(condition, seconds=400):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def plain_python(tmp_path, monkeypatch):
    """An interpreter that finds :data:`ALLOWED` with what they require, and nothing else of this environment."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for file in {Path(file.parts[0]) for name in closure(ALLOWED) for file in distribution(name).files or ()}:
        place = Path(distribution("torch").locate_file(file))
        if place.exists() and file.name not in ("..", "__pycache__"):
            (packages / file.name).symlink_to(place)
    monkeypatch.setenv("PYTHONPATH", str(packages))
    interpreter = tmp_path / "python"
    interpreter.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    interpreter.chmod(0o755)
    for foreign in ("kedro", "mlflow", "pandas", "pyvista", "streamlit", "dask", "rich"):
        assert subprocess.run([interpreter, "-c", f"import {foreign}"], capture_output=True, check=False).returncode
    return str(interpreter)


def closure(names):
    """Names of distributions and of all they require."""
    found, waiting = set(), [Requirement(name) for name in names]
    while waiting:
        wanted = waiting.pop()
        if wanted.name in found or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        try:
            requires = distribution(wanted.name).requires or []
        except PackageNotFoundError:
            continue
        found.add(wanted.name)
        waiting += [Requirement(line) for line in requires]
    return found


def test_two_processes_report_every_epoch_once_and_leave_the_logs(tmp_path):
    told = []
    _, state = small_job.small_launch(
        tmp_path / "job", processes=2, on_epoch=lambda epoch, terms: told.append((epoch, terms["loss"]))
    )
    _, alone = small_job.small_run()
    assert [epoch for epoch, _ in told] == [0, 1, 2]
    assert state["history"][0]["loss"] == pytest.approx(alone.history[0]["loss"], rel=1e-5)
    assert state["cost"]["processes"] == 2
    assert state["validation"] == {}  # no subject was held out
    assert state["cost"]["samples"] == alone.cost.samples
    assert len(list((tmp_path / "job" / "logs").rglob("stderr.log"))) == 2
    assert not processes_of(tmp_path)


def test_a_carried_job_trains_in_a_plain_python(plain_python, tmp_path, monkeypatch):
    small_job.write_job(tmp_path / "job", processes=2)
    folder = Path(shutil.copytree(tmp_path / "job", tmp_path / "elsewhere" / "job"))
    command = torchrun_command(TrainingJob.load(folder), folder)
    paths = os.pathsep.join([os.environ["PYTHONPATH"], str(PACKAGES)])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHON_EXEC": plain_python}
    subprocess.run([plain_python, *command[1:]], env=environment, check=True)
    assert len(json.loads((folder / "result" / "state.json").read_text())["history"]) == small_job.STEPS


def test_a_lost_process_costs_a_restart_and_changes_nothing(in_every_process, tmp_path):
    model, state = small_job.small_launch(tmp_path / "straight", processes=2)
    folder = tmp_path / "job"
    in_every_process(KILLER.format(folder=str(folder)))
    told = []
    again, restarted = small_job.small_launch(folder, processes=2, on_epoch=lambda epoch, _: told.append(epoch))
    assert (folder / "killed").exists()
    assert told == [0, 1, 2]
    assert restarted["history"] == state["history"]
    expected = model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())


def test_the_first_that_fails_is_shown_with_its_traceback(in_every_process, tmp_path):
    in_every_process(
        """
        import os, sys
        if os.environ.get("RANK") == "1":
            import affect4d.training.trainer as trainer
            def fall(*_):
                raise RuntimeError("the encoder fell")
            trainer.train = fall
        """
    )
    with pytest.raises(TrainingFailedError, match=r"(?s)Process 1 failed.*the encoder fell.*output of every process"):
        small_job.small_launch(tmp_path / "job", processes=2, restarts=0, timeout_minutes=0.5)
    assert not processes_of(tmp_path)


def test_one_process_becomes_two_without_losing_its_place_or_its_order(tmp_path):
    folder = tmp_path / "job"
    told = []

    def stop(done, *_):
        if done == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(RuntimeError, match="same command"):
        small_job.small_run(folder=folder / "checkpoints", on_step=stop)
    _, state = small_job.small_launch(folder, processes=2, on_epoch=lambda epoch, _: told.append(epoch))
    _, alone = small_job.small_run()
    assert state["history"][:5] == alone.history[:5]
    assert [(row["epoch"], row["step"]) for row in state["history"]] == [
        (row["epoch"], row["step"]) for row in alone.history
    ]
    assert state["history"][5]["loss"] == pytest.approx(alone.history[5]["loss"], rel=1e-4)
    assert told == [0, 1, 2]


@pytest.fixture
def heeding_ctrl_c():
    """Processes started from here heed SIGINT, also where the tests run in the background of a script, which do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_when_the_program_goes_every_process_goes(signal_, heeding_ctrl_c, tmp_path):
    folder = tmp_path / "job"
    train = [sys.executable, str(SCRIPT), str(folder), "affect_vlm", "launch", "2"]
    program = subprocess.Popen(train, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={
        **os.environ, "SMALL_JOB_EPOCHS": "100"})  # fmt: skip
    try:
        assert wait_for((folder / "checkpoints" / "step-00000003").exists)
        assert len(processes_of(folder)) >= 4  # program, agent, two workers
        program.send_signal(signal_)
        assert program.wait(180)  # it was ended: it did not train to its end
        assert wait_for(lambda: not processes_of(folder))
    finally:
        for process in processes_of(folder):
            os.kill(process, signal.SIGKILL)
    steps = [json.loads((path / "state.json").read_text())["step"] for path in (folder / "checkpoints").glob("step-*")]
    assert max(steps) >= 3
