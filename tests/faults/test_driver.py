"""A driver that is killed leaves whole entries and no processes; the next run makes the rest and tidies up."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import drive
import drive_ingest
import pandas as pd
import psutil
import pytest

from affect4d.rendering.render_corpus import render_report
from affect4d.rendering.shards import Shard
from affect4d.store import file_digest

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(600)]


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def kill_when_two_are_made(program, corpus, store, pattern):
    """Start a driver, and kill it as soon as its store holds two such entries; return its process."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, program, str(corpus), str(store)]
    driver = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL)
    wait_until(lambda: driver.poll() is None and len(list(store.glob(pattern))) >= 2)
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(signal.SIGKILL)
    driver.wait(30)
    assert len(children) >= 2
    assert psutil.wait_procs(children, timeout=60)[1] == [], "workers outlive their driver"
    return driver


def test_a_killed_ingest_goes_on_where_it_was(corpus, tmp_path):
    store, pattern = tmp_path / "store", "outcomes/*.parquet"
    kill_when_two_are_made(drive_ingest.__file__, corpus, store, pattern)
    made = {portion: portion.stat().st_ino for portion in store.glob(pattern)}
    assert 2 <= len(made) < 8
    assert not list(store.glob("ingest-*")), "an ingest that was killed is taken for whole"

    ingest, whole = drive_ingest.main(corpus, store, 0.0), drive_ingest.main(corpus, tmp_path / "fresh", 0.0)
    for name in ("manifest", "report", "completeness"):
        pd.testing.assert_frame_equal(getattr(ingest, name), getattr(whole, name), check_exact=True)
    assert len(list(store.glob(pattern))) == 8
    assert {portion: portion.stat().st_ino for portion in made} == made, "what was read is read again"
    assert not list(store.rglob(".partial-*"))


def test_a_killed_driver_loses_nothing_that_was_made(corpus, tmp_path):
    views = tmp_path / "store" / "views"
    driver = kill_when_two_are_made(drive.__file__, corpus, tmp_path / "store", "views/*.safetensors")

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
