"""Two network namespaces as two hosts: a scheduler here, a worker in each, one cut off midway; the batch completes.

Everything travels over TLS. Traffic stays on the addresses of these namespaces.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from faulty_source import nap_somewhere

from affect4d.parallel import EngineOptions, TlsOptions, map_chunks
from affect4d.parallel.dask_client_and_workers import open_client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BRIDGE = f"a4d{os.getpid() % 100_000}"
NETWORK = "10.213.77"
TASKS = 200


def ip(*words, check=True):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=check)


@dataclass
class Host:
    """A network namespace with one cable to the bridge."""

    number: int

    @property
    def name(self):
        return f"{BRIDGE}h{self.number}"

    @property
    def cable(self):
        return f"{BRIDGE}c{self.number}"

    @property
    def address(self):
        return f"{NETWORK}.{self.number}"

    def plug_in(self):
        ip("netns", "add", self.name)
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("link", "set", self.cable, "master", BRIDGE, "up")
        ip("-n", self.name, "addr", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            ip("-n", self.name, "link", "set", device, "up")

    def cut_off(self):
        ip("link", "set", self.cable, "down")

    def start(self, command, environment):
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command],
            env={**environment, "FAULTS_HOST": self.address},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def unplug(self):
        ip("netns", "delete", self.name, check=False)


@pytest.fixture
def hosts():
    """Two hosts on one network that this process sees too."""
    if shutil.which("ip") is None:
        pytest.skip("needs the command 'ip' (Debian package iproute2)")
    made = ip("link", "add", BRIDGE, "type", "bridge", check=False)
    if made.returncode:
        pytest.skip(f"network namespaces are not permitted here: {made.stderr.strip()}")
    pair = (Host(2), Host(3))
    try:
        ip("addr", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for host in pair:
            host.plug_in()
        yield pair
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces are not permitted here: {error.stderr.strip()}")
    finally:
        for host in pair:
            host.unplug()
        ip("link", "delete", BRIDGE, check=False)


@pytest.fixture
def tls(tmp_path):
    """Certificates of one authority, made for this test."""
    from distributed.security import Security

    made = Security.temporary()
    files = {"ca_file": made.tls_ca_file, "cert_file": made.tls_client_cert, "key_file": made.tls_client_key}
    for name, text in files.items():
        (tmp_path / f"{name}.pem").write_text(text)
    return TlsOptions(**{name: tmp_path / f"{name}.pem" for name in files})


@pytest.fixture
def scheduler(hosts, tls, tmp_path):
    """A scheduler on the bridge and a worker on each host; yields its address."""
    words = ["--tls-ca-file", tls.ca_file, "--tls-cert", tls.cert_file, "--tls-key", tls.key_file]
    path = os.pathsep.join(map(str, [Path(__file__).parent, os.environ.get("PYTHONPATH", "")]))
    impatient = {
        "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s",
        "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "8s",
    }
    environment = {**os.environ, "PYTHONPATH": path, **impatient}
    dask = [sys.executable, "-m", "dask"]
    found = tmp_path / "scheduler.json"
    place = ["--protocol", "tls", "--host", f"{NETWORK}.1", "--port", "0", "--no-dashboard", "--scheduler-file", found]
    log = (tmp_path / "scheduler.log").open("w")
    command = [*dask, "scheduler", *place, *words]
    running = [subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)]
    try:
        wait_until(found.exists)
        address = json.loads(found.read_text())["address"]
        work = [*dask, "worker", address, "--nthreads", "1", "--no-dashboard", "--local-directory", tmp_path, *words]
        running += [host.start([*work, "--host", host.address], environment) for host in hosts]
        yield address
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def test_a_host_that_is_cut_off_midway_costs_nothing(hosts, scheduler, tls):
    engine = EngineOptions(address=scheduler, tls=tls, seconds=30)
    client = open_client(engine)
    client.wait_for_workers(2, timeout=90)
    seen = {worker["host"] for worker in client.scheduler_info()["workers"].values()}
    assert seen == {host.address for host in hosts}
    done = {}
    for chunk, outcome in map_chunks(nap_somewhere, list(range(TASKS)), "napping on two hosts", engine):
        done[chunk] = outcome
        if len(done) == TASKS // 4:
            hosts[1].cut_off()
    client.close()
    assert {chunk: number for chunk, (number, _) in done.items()} == {number: number for number in range(TASKS)}
    by_host = [host for _, host in done.values()]
    assert TASKS // 10 < by_host.count(hosts[1].address) < TASKS // 3, "both hosts worked, until one was cut off"
