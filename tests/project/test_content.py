"""The content store: an entry that exists is whole."""

import pandas as pd
import pytest

from affect4d.content import ContentStore, code_version, content_key, table_digest


def test_the_key_depends_on_values_not_on_their_order():
    assert content_key(a=1, b=[1.5, "x"]) == content_key(b=[1.5, "x"], a=1)
    assert content_key(a=1) != content_key(a=2)


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


def test_code_version_names_a_missing_room():
    assert code_version("content") == code_version("content")
    with pytest.raises(ValueError, match="no room 'attic'"):
        code_version("attic")


def test_the_digest_of_a_table_sees_values_names_and_lists_but_not_the_index():
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [[1, 2], None]})
    assert table_digest(table) == table_digest(table.set_index(pd.Index([7, 9])))
    changes = (table.rename(columns={"a": "c"}), table.assign(a=[1.0, 3.0]), table.assign(b=[[1, 3], None]))
    assert len({table_digest(table), *map(table_digest, changes)}) == 4
