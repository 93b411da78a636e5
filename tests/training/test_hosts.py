"""Two network namespaces as two hosts: they train together, and the loss of a process costs a restart."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from affect4d.training.options import DistributedOptions, KeepingOptions
from affect4d.training.processes.job import RESULT, Job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

_SPEC = importlib.util.spec_from_file_location("small_job", Path(__file__).with_name("small_job.py"))
small_job = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(small_job)


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def two_hosts():
    """Names and addresses of two namespaces joined by a cable."""
    names, addresses = [f"affect-{os.getpid()}-{side}" for side in "ab"], ["10.77.13.1", "10.77.13.2"]
    try:
        for name in names:
            ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"network namespaces are not permitted here: {error}")
    try:
        ip("link", "add", "cable", "netns", names[0], "type", "veth", "peer", "name", "cable", "netns", names[1])
        for name, address in zip(names, addresses, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", name, "link", "set", device, "up")
        yield list(zip(names, addresses, strict=True))
    finally:
        for name in names:
            for process in ip("netns", "pids", name).split():
                os.kill(int(process), signal.SIGKILL)
            ip("netns", "delete", name)


def write_job(folder, **distributed):
    bank, recipe = small_job.small_bank(), small_job.small_recipe("affect_vlm")
    keeping = KeepingOptions(checkpoint_minutes=0, checkpoints=100)
    options = DistributedOptions(**distributed)
    job = Job("affect_vlm", recipe, bank.views, bank.sequences, small_job.IDENTITY, keeping, options)
    stored = folder.with_suffix(".bank")
    small_job.save_file({"pictures": bank.pictures, "neutral": bank.neutral}, stored)
    job.save(
        folder,
        small_job.make_schedules("affect_vlm", bank, *small_job.small_tables(bank, "affect_vlm"), recipe),
        stored,
    )


def worker_in(name):
    """The process that trains in a namespace."""
    for process in ip("netns", "pids", name).split():
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"affect4d.training.processes.worker" in words:
            return int(process)
    return None


def test_two_hosts_train_together_and_survive_the_loss_of_a_process(two_hosts, tmp_path):
    (first, address), (second, _) = two_hosts
    folder = tmp_path / "job"
    write_job(folder, hosts=2, endpoint=f"{address}:29511", patience_minutes=8)
    surroundings = {**os.environ, "GLOO_SOCKET_IFNAME": "cable", "OMP_NUM_THREADS": "1"}
    agent = [sys.executable, "-m", "affect4d.training.agent", str(folder)]
    agents = [
        subprocess.Popen(["ip", "netns", "exec", name, *agent, *more], env=surroundings, stderr=subprocess.DEVNULL)
        for name, more in ((first, ["--host"]), (second, []))
    ]
    deadline = time.monotonic() + 600
    while not (folder / "checkpoints" / "step-00000004").exists():
        assert time.monotonic() < deadline, [one.poll() for one in agents]
        time.sleep(0.02)
    os.kill(worker_in(second), signal.SIGKILL)
    assert [one.wait(600) for one in agents] == [0, 0]
    state = json.loads((folder / RESULT / "state.json").read_text())
    _, alone = small_job.small_run()
    assert [(row["epoch"], row["step"]) for row in state["history"]] == [
        (row["epoch"], row["step"]) for row in alone.history
    ]
    assert state["history"][0]["loss"] == pytest.approx(alone.history[0]["loss"], rel=1e-5)
    assert state["cost"]["processes"] == 2
    assert list((folder / "logs").rglob("attempt_1"))
