"""The content store: an entry that exists is whole."""

import errno
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from affect4d.store import ContentStore, StoreFullError, code_version, content_key, keys, table_digest
from affect4d.store import store as store_module


def test_the_key_depends_on_values_not_on_their_order():
    assert content_key(a=1, b=[1.5, "x"]) == content_key(b=[1.5, "x"], a=1)
    assert content_key(a=1) != content_key(a=2)


def test_another_version_of_a_library_is_another_version_of_the_code(monkeypatch):
    known = keys.library_versions()
    assert set(known) == set(keys.LIBRARIES)
    assert all(known.values())
    before = code_version("affect4d.scans.expression")
    monkeypatch.setattr(keys, "library_versions", lambda: {**known, "torch": "0"})
    assert code_version.__wrapped__("affect4d.scans.expression") != before


def test_a_library_that_is_not_installed_has_no_version(monkeypatch):
    monkeypatch.setattr(keys, "LIBRARIES", ("numpy", "no-such-library"))
    assert keys.library_versions.__wrapped__() == {"numpy": np.__version__, "no-such-library": ""}


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
        store_module, "_put_in_place", lambda partial, target: (_ for _ in ()).throw(OSError("refused"))
    )
    with pytest.raises(OSError, match="refused"), ContentStore(tmp_path).write("entry") as partial:
        partial.write_text("whole")


def test_the_digest_of_a_table_sees_values_names_and_lists_but_not_the_index():
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [[1, 2], None]})
    assert table_digest(table) == table_digest(table.set_index(pd.Index([7, 9])))
    changes = (table.rename(columns={"a": "c"}), table.assign(a=[1.0, 3.0]), table.assign(b=[[1, 3], None]))
    assert len({table_digest(table), *map(table_digest, changes)}) == 4


def test_the_digest_of_lists_sees_nulls_types_and_shapes_and_takes_a_list_for_its_array():
    columns = [
        [[0.0], None],
        [[0.0], [None]],
        [[0.0], [0.0]],
        [[0.0, 0.0], []],
        [[0], [0]],
        [[[0.0]], [0.0]],
        [["a"], ["b", "c"]],
        [["a", "b"], ["c"]],
    ]
    digests = [table_digest(pd.DataFrame({"a": cells})) for cells in columns]
    assert len(set(digests)) == len(columns)
    assert digests[0] == table_digest(pd.DataFrame({"a": [np.zeros(1), None]}))
    assert digests[6] == table_digest(pd.DataFrame({"a": [np.array(["a"], object), np.array(["b", "c"])]}))
    with pytest.raises(TypeError, match="plain values"):
        table_digest(pd.DataFrame({"a": [[object()]]}))


def test_the_digest_of_a_table_is_the_same_in_every_process():
    program = """
import numpy as np, pandas as pd
from affect4d.store import table_digest
print(table_digest(pd.DataFrame({
    "landmarks": [[1.0, 2.0], None], "words": [np.array(["a", "b"], object), None], "mixed": [[1, None], ["x", 2.5]],
})))
"""
    said = {subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout for _ in range(2)}
    assert len(said) == 1
