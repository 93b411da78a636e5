"""`kedro run` killed in the middle of rendering: the next one finishes, from where it was."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from affect4d.store import file_digest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SHARDS = "*/views/views/*.safetensors"


def test_a_killed_run_leaves_no_version_and_the_next_finishes(make_project):
    project = make_project("killed")
    primary = project.folder / "data/03_primary"
    command = [sys.executable, "-m", "kedro", "run", "--env=ci", "--pipelines=render", "--params=engine.workers=2"]
    run = subprocess.Popen(command, cwd=project.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 600
    while not list(primary.glob(SHARDS)):
        assert run.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.02)
    workers = psutil.Process(run.pid).children(recursive=True)
    os.kill(run.pid, signal.SIGKILL)
    run.wait(30)
    assert psutil.wait_procs(workers, timeout=60)[1] == [], "workers outlive their driver"
    made = {shard: shard.stat().st_ino for shard in primary.glob(SHARDS)}
    assert not list(primary.glob("*/view_manifest.parquet")), "a run that was killed left a version"

    project.run("render")
    table = project.load("view_manifest")
    assert set(table["sequence"]) == set(project.load("sequences")["sequence"])
    assert project.load("render_report").empty
    store = project.load("view_store")
    assert all(file_digest(store.path(row.shard)) == row.checksum for row in table.itertuples())
    assert {shard: shard.stat().st_ino for shard in made} == made, "what was made is made again"
    assert not list(project.folder.rglob(".partial-*"))
