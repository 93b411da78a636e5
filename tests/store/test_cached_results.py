"""Results are computed once for the same inputs and code."""

import functools
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from affect4d.store import ContentStore, cached, cached_folder


@pytest.mark.parametrize(
    "result",
    [{"accuracy": 0.5, "names": ["a"]}, [1, 2], "text", None, ({"a": 1}, pd.DataFrame({"x": [1.5, 2.5]}))],
    ids=["dict", "list", "text", "none", "tuple"],
)
def test_a_result_is_computed_once_and_read_as_it_was(tmp_path, result):
    calls = []

    def make():
        calls.append(1)
        return result

    store = ContentStore(tmp_path)
    for _ in range(2):
        again = cached(store, "scores", make, seed=0)
        if isinstance(result, tuple):
            assert again[0] == result[0]
            pd.testing.assert_frame_equal(again[1], result[1])
        else:
            assert again == result
    assert len(calls) == 1


def test_a_table_names_its_entry(tmp_path):
    table = cached(ContentStore(tmp_path), "prompts", lambda: pd.DataFrame({"x": [1]}), seed=0)
    assert (tmp_path / table.attrs["entry"]).is_dir()
    assert table.attrs["entry"].startswith("prompts/")


def test_an_image_is_kept_to_the_pixel(tmp_path):
    image = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    again = cached(ContentStore(tmp_path), "sheets", lambda: image)
    assert np.array_equal(np.asarray(again), np.asarray(image))


def test_other_inputs_names_and_code_are_other_results(tmp_path, monkeypatch):
    store, numbers = ContentStore(tmp_path), iter(range(9))
    make = functools.partial(next, numbers)
    monkeypatch.setattr("affect4d.store.content_store.code_version", lambda module: module)

    def make_here():
        return make()

    assert cached(store, "a", make_here, seed=0) == cached(store, "a", make_here, seed=0) == 0
    assert cached(store, "a", make_here, seed=1) == 1
    assert cached(store, "b", make_here, seed=0) == 2
    make_here.__module__ = "affect4d.elsewhere"
    assert cached(store, "a", functools.partial(make_here), seed=0) == 3


def test_a_result_that_cannot_be_written_leaves_no_entry(tmp_path):
    store = ContentStore(tmp_path)
    with pytest.raises(TypeError):
        cached(store, "scores", lambda: Decimal(1))
    assert not list(tmp_path.rglob("*.json"))


def test_a_folder_is_filled_once(tmp_path):
    store = ContentStore(tmp_path)
    first = cached_folder(store, "model", lambda folder: (folder / "weights").write_text("w"), seed=0)
    assert cached_folder(store, "model", lambda folder: pytest.fail("filled again"), seed=0) == first
    assert (store.path(first) / "weights").read_text() == "w"
