"""A store whose entries live at a URL: written there whole, read through a local cache, checked on the way."""

import http.server
import threading

import fsspec
import pandas as pd
import pytest

from affect4d.datasets import StoreDataset
from affect4d.store import ContentStore, cached
from affect4d.store.mirror import LIST_SUFFIX, DamagedEntryError, Mirror


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
