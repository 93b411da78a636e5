"""However training is launched, the run is one: one node that runs once, one MLflow run, one curve, one model."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from affect4d.training import cached_training as run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

LOSE_ONE = """
    import os, signal, threading, time
    from pathlib import Path

    def lose():
        lost = Path({folder!r}) / "lost"
        while not list(Path({folder!r}).rglob("jobs/affect_vlm/*/checkpoints/step-00000002")):
            time.sleep(0.005)
        if not lost.exists():
            lost.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    if os.environ.get("RANK") == "1":
        threading.Thread(target=lose, daemon=True).start()
"""


@contextlib.contextmanager
def in_this_process(folder, monkeypatch):
    yield {}


@contextlib.contextmanager
def in_two_processes(folder, monkeypatch):
    yield {"processes": 2}


@contextlib.contextmanager
def in_two_processes_one_of_which_is_lost(folder, monkeypatch):
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(textwrap.dedent(LOSE_ONE.format(folder=str(folder))))
    monkeypatch.setenv("PYTHONPATH", str(site))
    yield {"processes": 2}
    assert (folder / "lost").exists()


@contextlib.contextmanager
def on_two_hosts(folder, monkeypatch):
    """The second is another torchrun on this machine, waiting for the job."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{probe.getsockname()[1]}"
    torchrun = (
        f"{sys.executable} -m torch.distributed.run --nnodes=2 --nproc-per-node=1 --rdzv-id=affect4d"
        f" --rdzv-backend=c10d --rdzv-endpoint={endpoint} --rdzv-conf=is_host=0 --local-addr=127.0.0.1"
        f" -m affect4d.training.torchrun_worker {folder / 'data' / '06_models'}"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    loop = f"while sleep 1; do {torchrun}; done"
    other = subprocess.Popen(["bash", "-c", loop], env=environment, start_new_session=True)
    try:
        yield {"hosts": 2, "endpoint": endpoint}
    finally:
        os.killpg(other.pid, signal.SIGTERM)
        other.wait(120)


LAUNCHERS = [in_this_process, in_two_processes, in_two_processes_one_of_which_is_lost, on_two_hosts]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_training_node_runs_once_under_every_launcher(finished, launcher, monkeypatch):
    project, _ = finished
    before = set((project.folder / "data").rglob("affect_vlm.json/*"))
    calls, run_node = [], run.train_cached
    monkeypatch.setattr(run, "train_cached", lambda *told: calls.append(told[0]) or run_node(*told))
    with launcher(project.folder, monkeypatch) as distributed:
        keeping = {"fresh": True, "checkpoint_minutes": 0}
        version = project.run("train_affect", distributed=distributed, train=keeping)
    assert calls == ["affect_vlm"]
    (made,) = set((project.folder / "data").rglob("affect_vlm.json/*")) - before
    assert made.name == version
    record = json.loads((made / "affect_vlm.json").read_text())
    assert record["cost"]["samples_per_second"] > 0
    with sqlite3.connect(project.folder / "mlflow.db") as database:
        runs = database.execute("SELECT run_uuid FROM tags WHERE key = 'run_id' AND value = ?", (version,)).fetchall()
        assert len(runs) == 1
        told = "SELECT step FROM metrics WHERE run_uuid = ? AND key = 'training/affect_vlm loss' ORDER BY step"
        assert [step for (step,) in database.execute(told, runs[0])] == [0, 1]  # every epoch once
    assert not list((project.folder / "data").rglob("jobs/affect_vlm/*"))
    again = project.run("train_affect")
    assert project.load("affect_vlm_model", version=again) == record
