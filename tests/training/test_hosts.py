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

from affect4d.training.launch import RESULT, TrainingJob, torchrun_command

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


def worker_in(name):
    """The process that trains in a namespace."""
    for process in ip("netns", "pids", name).split():
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"affect4d.training.torchrun_worker" in words and b"torch.distributed.run" not in words:
            return int(process)
    return None


def test_two_hosts_train_together_and_survive_the_loss_of_a_process(two_hosts, tmp_path):
    (first, address), (second, other) = two_hosts
    folder = tmp_path / "job"
    small_job.write_job(folder, hosts=2, endpoint=f"{address}:29511", timeout_minutes=8)
    surroundings = {
        **os.environ,
        "GLOO_SOCKET_IFNAME": "cable",
        "OMP_NUM_THREADS": "1",
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    here = torchrun_command(TrainingJob.load(folder), folder)
    there = [
        *[sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--max-restarts=3"],
        *["--rdzv-id=affect4d", "--rdzv-backend=c10d", f"--rdzv-endpoint={address}:29511", "--rdzv-conf=is_host=0"],
        *[f"--local-addr={other}", f"--log-dir={folder / 'logs'}", "--redirects=3"],
        *["-m", "affect4d.training.torchrun_worker", str(tmp_path)],  # finds the job below
    ]
    agents = [
        subprocess.Popen(["ip", "netns", "exec", name, *command], env=surroundings, stderr=subprocess.DEVNULL)
        for name, command in ((first, here), (second, there))
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
