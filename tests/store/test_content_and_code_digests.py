"""Content keys: digests of values, tables and library versions, and of the code that a result depends on."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from affect4d.store import code_version, content_key, table_digest
from affect4d.store import content_and_code_digests as keys

SOURCE = '''"""What it does."""

from affect4d.pack import part

SIZE: int = 3


def area(side: float) -> float:
    """Square of the side."""
    return side * side  # flat
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in place of this one."""
    for name in ("code_digest", "_imports", "_import_statements", "closure_digest"):
        getattr(keys, name).cache_clear()
    monkeypatch.setattr(keys, "PACKAGE", tmp_path)
    files = {
        "main.py": SOURCE,
        "pack/__init__.py": "from affect4d.pack.lazily import handed_on\nimport affect4d.pack.unrelated\n",
        "pack/part.py": "def inner():\n    from affect4d.pack import handed_on\n    from affect4d.store import thing\n",
        "pack/lazily.py": "handed_on = 1\n",
        "pack/unrelated.py": "",
        "store/__init__.py": "thing = 2\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    yield tmp_path
    for name in ("code_digest", "_imports", "_import_statements", "closure_digest"):
        getattr(keys, name).cache_clear()


def digest_of(package, text):
    keys.code_digest.cache_clear()
    keys.closure_digest.cache_clear()
    (package / "main.py").write_text(text)
    return keys.closure_digest("affect4d.main")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("What it does.", "It computes areas."),
        ("Square of the side.", "The area of a square.\n\n    Args:\n        side: In mm."),
        ("# flat", "# of a flat square"),
        ("side: float) -> float", 'side: "int") -> int'),
        ("SIZE: int", "SIZE: float"),
        ("return side * side", "return (\n        side * side\n    )"),
    ],
)
def test_words_and_types_do_not_count(package, old, new):
    assert old in SOURCE
    assert digest_of(package, SOURCE.replace(old, new)) == digest_of(package, SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [("side * side", "side**3"), ("= 3", "= 4"), ("def area", "def square"), ("import part", "import unrelated")],
)
def test_what_runs_counts(package, old, new):
    assert old in SOURCE
    before = digest_of(package, SOURCE)
    keys._imports.cache_clear()
    keys._import_statements.cache_clear()
    assert digest_of(package, SOURCE.replace(old, new)) != before


def test_the_closure_follows_imports_to_the_module_that_defines_a_name(package):
    assert keys.import_closure("affect4d.main") == {"affect4d.main", "affect4d.pack.part", "affect4d.pack.lazily"}


def test_the_stub_of_a_lazy_package_says_where_its_names_are(package):
    (package / "pack/__init__.py").write_text("import lazy_loader\n")
    (package / "pack/__init__.pyi").write_text("from .unrelated import handed_on as handed_on\n")
    assert "affect4d.pack.unrelated" in keys.import_closure("affect4d.main")


def test_imports_for_type_checking_do_not_count(package):
    (package / "pack/part.py").write_text("if TYPE_CHECKING:\n    from affect4d.pack import handed_on\n")
    assert keys.import_closure("affect4d.main") == {"affect4d.main", "affect4d.pack.part"}


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"no module 'affect4d\.attic'"):
        keys.closure_digest("affect4d.attic")


def test_the_drawing_of_views_depends_on_neither_training_nor_reporting():
    closure = keys.import_closure("affect4d.rendering.render_sequence")
    assert any(name.startswith("affect4d.scans.") for name in closure)
    assert not [
        name for name in closure if name.split(".")[1] in {"training", "models", "reporting", "app", "pipelines"}
    ]


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
