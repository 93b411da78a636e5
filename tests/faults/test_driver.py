"""A driver that is killed leaves whole entries and no processes; the next run makes the rest and tidies up."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import drive
import psutil
import pytest

from affect4d.content import file_digest
from affect4d.content.shards import Shard
from affect4d.rendering.batch import render_report

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(600)]


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_a_killed_driver_loses_nothing_that_was_made(corpus, tmp_path):
    views = tmp_path / "store" / "views"
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, drive.__file__, str(corpus), str(tmp_path / "store")]
    driver = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL)
    wait_until(lambda: driver.poll() is None and len(list(views.glob("*.safetensors"))) >= 2)
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(signal.SIGKILL)
    driver.wait(30)
    assert len(children) >= 2
    assert psutil.wait_procs(children, timeout=60)[1] == [], "workers outlive their driver"

    made = {shard: shard.stat().st_ino for shard in views.glob("*.safetensors")}
    assert 2 <= len(made) < 8
    for shard in made:
        assert Shard(shard).stack("texture").shape == (3, 3, 32, 32, 3)
    scratch = views / f".partial-{os.uname().nodename}~{driver.pid}~left"
    scratch.mkdir()

    table = drive.main(corpus, tmp_path / "store", 0.0)
    assert len(table) == 8
    assert render_report(table).empty
    assert all(file_digest(views.parent / row.shard) == row.checksum for row in table.itertuples())
    assert {shard: shard.stat().st_ino for shard in made} == made, "what was made is made again"
    assert not list(views.glob(".partial-*"))
