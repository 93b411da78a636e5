"""A changed word computes nothing again; changed code does, wherever a result depends on it."""

import pytest

from affect4d.store import code_digest as code

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
        getattr(code, name).cache_clear()
    monkeypatch.setattr(code, "PACKAGE", tmp_path)
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
        getattr(code, name).cache_clear()


def digest_of(package, text):
    code.code_digest.cache_clear()
    code.closure_digest.cache_clear()
    (package / "main.py").write_text(text)
    return code.closure_digest("affect4d.main")


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
    code._imports.cache_clear()
    code._import_statements.cache_clear()
    assert digest_of(package, SOURCE.replace(old, new)) != before


def test_the_closure_follows_imports_to_the_module_that_defines_a_name(package):
    assert code.import_closure("affect4d.main") == {"affect4d.main", "affect4d.pack.part", "affect4d.pack.lazily"}


def test_the_stub_of_a_lazy_package_says_where_its_names_are(package):
    (package / "pack/__init__.py").write_text("import lazy_loader\n")
    (package / "pack/__init__.pyi").write_text("from .unrelated import handed_on as handed_on\n")
    assert "affect4d.pack.unrelated" in code.import_closure("affect4d.main")


def test_imports_for_type_checking_do_not_count(package):
    (package / "pack/part.py").write_text("if TYPE_CHECKING:\n    from affect4d.pack import handed_on\n")
    assert code.import_closure("affect4d.main") == {"affect4d.main", "affect4d.pack.part"}


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"no module 'affect4d\.attic'"):
        code.closure_digest("affect4d.attic")


def test_the_drawing_of_views_depends_on_neither_training_nor_reporting():
    closure = code.import_closure("affect4d.rendering.sequence")
    assert any(name.startswith("affect4d.scans.") for name in closure)
    assert not [
        name for name in closure if name.split(".")[1] in {"training", "models", "reporting", "app", "pipelines"}
    ]
