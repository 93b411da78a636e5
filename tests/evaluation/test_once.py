import pandas as pd
import pytest

from affect4d.evaluation.once import examine_once
from affect4d.store import ContentStore


@pytest.fixture
def store(tmp_path):
    return ContentStore(tmp_path)


@pytest.fixture
def held():
    return []


def hold(held, value):
    held.append(value)
    return {"accuracy": value}, pd.DataFrame({"sequence": ["a"], "value": [value]})


def test_an_examination_is_held_once(store, held):
    first = examine_once("model", store, lambda: hold(held, 0.5), key="a")
    again = examine_once("model", store, lambda: hold(held, 0.9), key="a")
    assert held == [0.5]
    assert first[0] == again[0] == {"accuracy": 0.5}
    pd.testing.assert_frame_equal(first[1], again[1])


def test_anything_it_depends_on_makes_it_another(store, held):
    for name, key in (("model", "a"), ("model", "b"), ("other", "b")):
        examine_once(name, store, lambda: hold(held, 0.5), key=key)
    assert len(held) == 3


def test_a_failed_examination_leaves_nothing(store, held):
    with pytest.raises(ZeroDivisionError):
        examine_once("model", store, lambda: 1 / 0, key="a")
    examine_once("model", store, lambda: hold(held, 0.5), key="a")
    assert held == [0.5]
