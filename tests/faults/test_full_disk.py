"""A disk that fills up: what was made stays whole, the message says where and how much, a run with room finishes."""

import subprocess
import sys

import pytest
from faulty_source import FaultySource

from affect4d.rendering.options import RenderOptions
from affect4d.rendering.render_corpus import render_corpus, render_report
from affect4d.rendering.shards import Shard
from affect4d.scans.ingest import IngestOptions, ingest_source
from affect4d.store import ContentStore, StoreFullError

OPTIONS = RenderOptions(size=48)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 128 kB in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_fills_up_loses_nothing_and_a_run_with_room_finishes(corpus, small_disk, tmp_path):
    source, store = FaultySource(corpus), ContentStore(small_disk / "views")
    manifest = ingest_source(source, IngestOptions(), ContentStore(tmp_path / "scans")).manifest
    with pytest.raises(StoreFullError, match=rf"No room left in {small_disk}.*need about .*B") as refused:
        render_corpus(manifest, source, OPTIONS, store)
    assert "run again" in str(refused.value)
    made = {path: path.stat().st_ino for path in small_disk.rglob("*.safetensors")}
    assert 1 <= len(made) < 8
    for path in made:
        assert Shard(path).stack("normals").shape == (3, 3, 48, 48, 3)
    assert not list(small_disk.rglob(".partial-*"))

    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    table = render_corpus(manifest, source, OPTIONS, store)
    assert len(table) == 8
    assert render_report(table).empty
    assert {path: path.stat().st_ino for path in made} == made, "what was made is made again"


def test_a_quota_is_met_with_the_same_words(tmp_path):
    """RLIMIT_FSIZE, for machines where nothing can be mounted: a file that may not grow further."""
    program = f"""
import resource, signal
from pathlib import Path
from affect4d.store import ContentStore, StoreFullError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
store = ContentStore(Path({str(tmp_path)!r}))
try:
    with store.write("large") as path:
        path.write_bytes(b"x" * 200_000)
except StoreFullError as error:
    print("full:", error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert f"full: No room left in {tmp_path}" in done.stdout
    assert list(tmp_path.iterdir()) == []
