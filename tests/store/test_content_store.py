"""The content store: an entry that exists is whole, in a folder and at a URL."""

import errno
import http.server
import os
import subprocess
import sys
import threading

import fsspec
import pandas as pd
import pytest

from affect4d.datasets import StoreDataset
from affect4d.store import ContentStore, Mirror, StoreFullError, cached, content_store
from affect4d.store.content_store import LIST_SUFFIX, DamagedEntryError


def test_an_entry_appears_only_when_its_block_ends_well(tmp_path):
    store = ContentStore(tmp_path)
    with pytest.raises(UnicodeEncodeError), store.write("entry") as partial:
        partial.write_text("half, then a crash: é", encoding="ascii")
    assert not store.has("entry")
    assert not list(tmp_path.iterdir())
    with store.write("entry") as partial:
        partial.write_text("whole")
        assert not store.has("entry")
    assert store.path("entry").read_text() == "whole"


def test_the_first_of_two_writers_wins(tmp_path):
    store = ContentStore(tmp_path)
    with store.write("folder") as outer:
        outer.mkdir()
        (outer / "who").write_text("outer")
        with store.write("folder") as inner:
            inner.mkdir()
            (inner / "who").write_text("inner")
    assert (store.path("folder") / "who").read_text() == "inner"


def test_the_first_of_two_writers_of_a_file_wins(tmp_path):
    store = ContentStore(tmp_path)
    with store.write("file") as outer:
        outer.write_text("outer")
        with store.write("file") as inner:
            inner.write_text("inner")
    assert store.path("file").read_text() == "inner"


def test_to_ask_for_an_entry_counts_as_its_use(tmp_path):
    store = ContentStore(tmp_path)
    with store.write("entry") as partial:
        partial.write_text("old")
    os.utime(store.path("entry"), (0, 0))
    assert store.has("entry")
    assert store.path("entry").stat().st_mtime > 0
    assert not store.has("another")


def test_what_a_killed_writer_left_goes_with_the_next_write_and_what_a_live_one_writes_stays(tmp_path):
    program = f"""
import os, signal
from pathlib import Path
from affect4d.store import ContentStore
with ContentStore(Path({str(tmp_path)!r})).write("half") as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    store = ContentStore(tmp_path)
    assert not store.has("half")
    with store.write("outer") as outer:
        outer.write_text("outer")
        with store.write("inner") as inner:
            inner.write_text("inner")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inner", "outer"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left"),
        OSError(errno.EDQUOT, "quota"),
        ValueError("No space left on device (28)"),
    ],
)
def test_a_full_disk_is_named_with_the_folder_and_what_is_there(tmp_path, error):
    def fill(store):
        with store.write("views/one") as path:
            path.write_bytes(b"1234")
            raise error

    with pytest.raises(StoreFullError, match=rf"{tmp_path}.*grown to 4 B.*make prune"):
        fill(ContentStore(tmp_path))
    assert not list((tmp_path / "views").iterdir())


def test_an_entry_that_cannot_be_put_in_place_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(
        content_store, "_put_in_place", lambda partial, target: (_ for _ in ()).throw(OSError("refused"))
    )
    with pytest.raises(OSError, match="refused"), ContentStore(tmp_path).write("entry") as partial:
        partial.write_text("whole")


@pytest.fixture(params=["file", "memory"])
def mirror(request, tmp_path):
    url = f"file://{tmp_path / 'far'}" if request.param == "file" else f"memory://{tmp_path.name}"
    yield Mirror(url)
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()


def write(store, name="views/one", text="a picture"):
    with store.write(name) as path:
        path.write_text(text)


def test_what_one_host_writes_another_reads(mirror, tmp_path):
    here, there = ContentStore(tmp_path / "here", mirror), ContentStore(tmp_path / "there", mirror)
    assert not there.has("views/one")
    write(here)
    assert there.has("views/one")
    assert there.path("views/one").read_text() == "a picture"
    assert there.path("views/one") == tmp_path / "there" / "views/one"


def test_a_folder_travels_whole(mirror, tmp_path):
    here, there = ContentStore(tmp_path / "here", mirror), ContentStore(tmp_path / "there", mirror)
    with here.write("model") as folder:
        (folder / "inner").mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / "inner" / "weights").write_bytes(b"\0" * 1000)
    assert sorted(path.name for path in there.path("model").rglob("*")) == ["config.json", "inner", "weights"]
    assert there.path("model/inner").is_dir()


def test_a_table_made_on_one_host_is_not_made_on_another(mirror, tmp_path):
    table = pd.DataFrame({"a": [1, 2]})
    cached(ContentStore(tmp_path / "here", mirror), "prompts", lambda: table)
    found = cached(ContentStore(tmp_path / "there", mirror), "prompts", lambda: pytest.fail("made again"))
    pd.testing.assert_frame_equal(found, table)


def test_an_entry_whose_list_is_missing_is_not_there_yet(mirror, tmp_path):
    write(ContentStore(tmp_path / "here", mirror))
    place, root = mirror._open()
    place.rm_file(f"{root}/views/one{LIST_SUFFIX}")
    assert not ContentStore(tmp_path / "there", mirror).has("views/one")


def test_bytes_that_changed_on_the_way_are_refused_and_leave_nothing(mirror, tmp_path):
    write(ContentStore(tmp_path / "here", mirror))
    place, root = mirror._open()
    place.pipe_file(f"{root}/views/one", b"A picture")
    there = ContentStore(tmp_path / "there", mirror)
    with pytest.raises(DamagedEntryError, match="not those that were sent"):
        there.path("views/one")
    assert not list((tmp_path / "there" / "views").iterdir())


def test_a_sender_that_fails_leaves_the_entry_nowhere(mirror, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("the network is gone")

    monkeypatch.setattr(Mirror, "send", fail)
    here = ContentStore(tmp_path / "here", mirror)
    with pytest.raises(OSError, match="network is gone"):
        write(here)
    assert not here.has("views/one")


@pytest.fixture
def web(tmp_path):
    """A folder served over HTTP on a port of this machine."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *words, **more):
            super().__init__(*words, directory=str(folder), **more)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_a_web_server_can_be_read_from_not_written_to(web, tmp_path):
    folder, url = web
    write(ContentStore(tmp_path / "here", Mirror(f"file://{folder}")))
    there = ContentStore(tmp_path / "there", Mirror(url))
    assert there.has("views/one")
    assert not there.has("views/two")
    assert there.path("views/one").read_text() == "a picture"
    with pytest.raises(OSError, match=r"views/two.*could not be written"):
        write(there, "views/two")


def test_a_catalog_entry_names_a_folder_and_perhaps_a_url(tmp_path):
    assert StoreDataset(filepath=str(tmp_path)).load() == ContentStore(tmp_path)
    far = StoreDataset(filepath=str(tmp_path), url="s3://faces/views")
    assert far.load() == ContentStore(tmp_path, Mirror("s3://faces/views"))
