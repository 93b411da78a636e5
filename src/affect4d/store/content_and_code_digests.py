"""Content keys: a digest of everything a result depends on, its inputs, parameters, code and libraries."""

import ast
import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

KEY_LENGTH = 24
LIBRARIES = (
    "numba",
    "numpy",
    "open_clip_torch",
    "pandas",
    "pillow",
    "scikit-learn",
    "scipy",
    "tokenizers",
    "torch",
    "vtk",
)
"""Whose arithmetic results rest on."""
PACKAGE = Path(__file__).parents[1]
PACKAGE_NAME = PACKAGE.name
INFRASTRUCTURE = frozenset({"array_types", "datasets", "hooks", "memory", "parallel", "store", "tracking"})
"""Top-level modules that schedule, store, count and display, and change no result."""


def content_key(**parts: Any) -> str:
    """Digest of named parts (JSON-able values, paths, or anything whose ``repr`` is its value), in any order."""
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=KEY_LENGTH // 2).hexdigest()


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value)
    return repr(value)


def file_digest(path: Path) -> str:
    """Digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:KEY_LENGTH]


def table_digest(table: pd.DataFrame) -> str:
    """Digest of a table's column names and values, its index left out; cells may be lists or arrays of numbers."""
    digest = hashlib.blake2b(json.dumps(list(table.columns)).encode(), digest_size=KEY_LENGTH // 2)
    for name in table.columns:
        column = table[name]
        if any(np.ndim(cell) for cell in column.dropna().head(1)):
            for cell in column:
                digest.update(_cell_bytes(cell))
        else:
            digest.update(pd.util.hash_pandas_object(column, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def _cell_bytes(cell: Any) -> bytes:
    """A cell of a column of lists: whether it is null, its type, its shape and its values; a list is as its array."""
    values = np.asarray(cell)
    if not values.ndim and pd.isna(cell):
        return b"null;"
    if values.dtype.kind in "OU":  # the bytes of objects are addresses, other ones in every process
        text = json.dumps(values.tolist(), default=_listed).encode()
        return b"plain%d;" % len(text) + text
    return f"{values.dtype.str}{values.shape};".encode() + values.tobytes()


def _listed(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    # the repr of anything else may differ in another process
    raise TypeError(f"A table's digest needs plain values in its lists; {value!r} is none.")


@functools.cache
def code_version(module: str) -> str:
    """Digest of the code that runs when a module does, and of the libraries.

    A result whose key holds this is made again when the code of that module, or of one that it imports at any depth,
    changes, or a library's version does. Docstrings, comments, annotations and layout do not count, nor does
    infrastructure that changes no result.
    """
    return content_key(code=closure_digest(module), libraries=library_versions())


@functools.cache
def library_versions() -> dict[str, str]:
    """Installed version of each of :data:`LIBRARIES`; "" of one that is not, as beside a bare training process."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = ""
    return versions


def local_digest(*names: str | None) -> list[str]:
    """Digests of the files at names of weights, which may be files, folders (``local-dir:…``) or no local ones."""
    places = [Path(name.removeprefix("local-dir:")) for name in names if name]
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*")))]
    return [file_digest(file) for file in files if file.is_file()]


@functools.cache
def closure_digest(module: str) -> str:
    """Digest of the code of a module and of its import closure."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(import_closure(module)):
        digest.update(f"{name}\0{code_digest(_file_of(name))}\0".encode())
    return digest.hexdigest()


def import_closure(module: str) -> frozenset[str]:
    """A module and the modules of this package that it imports, at any depth, also within functions.

    An import from a package counts as an import from the module that defines the name; the package's other names do
    not. Imports for type checking and :data:`INFRASTRUCTURE` are left out. The closure of another package's module is
    empty.
    """
    if module.split(".")[0] != PACKAGE_NAME:
        return frozenset()
    if not _file_of(module).exists():
        raise ValueError(f"There is no module {module!r} in {PACKAGE}.")
    found, waiting = {module}, [module]
    while waiting:
        for name in _imports(_file_of(waiting.pop())) - found:
            if name.split(".")[1:2] and name.split(".")[1] not in INFRASTRUCTURE:
                found.add(name)
                waiting.append(name)
    return frozenset(found)


@functools.cache
def code_digest(file: Path) -> str:
    """Digest of a file's syntax tree, without docstrings, comments, annotations and layout."""
    tree = _Executed().visit(ast.parse(file.read_bytes()))
    return hashlib.blake2b(ast.dump(tree).encode(), digest_size=16).hexdigest()


class _Executed(ast.NodeTransformer):
    """Keep what runs: strings that stand alone and annotations go, blocks for type checking too."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if alone else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if _is_for_typing(node) else self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def _is_for_typing(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@functools.cache
def _imports(file: Path) -> frozenset[str]:
    """Modules of this package that a file imports."""
    return frozenset(name for source, names in _import_statements(file) for name in _modules(source, names))


@functools.cache
def _import_statements(file: Path) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(module, names) of every import from this package that runs; only stubs have relative ones."""
    tree = _Executed().visit(ast.parse(file.read_bytes()))
    return tuple(_own_imports(tree))


def _own_imports(tree: ast.AST) -> Iterator[tuple[str, tuple[str, ...]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE_NAME:
            yield node.module or PACKAGE_NAME, tuple(alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names if alias.name.split(".")[0] == PACKAGE_NAME)


def _modules(source: str, names: tuple[str, ...]) -> Iterator[str]:
    """Modules that define the names imported from a module or a package."""
    if not names:
        yield source
    for name in names:
        inner = f"{source}.{name}"
        yield inner if _file_of(inner).exists() else _home(source, name)


def _home(source: str, name: str) -> str:
    """The module that defines a name that a package's ``__init__`` hands on, eagerly or lazily; else the source."""
    file = _file_of(source)
    if file.name != "__init__.py":
        return source
    stub = file.with_suffix(".pyi")
    for node in ast.walk(ast.parse((stub if stub.exists() else file).read_bytes())):
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            home = f"{source}.{node.module}" if node.level else str(node.module)
            return _home(home, name) if home.split(".")[0] == PACKAGE_NAME else source
    return source


def _file_of(module: str) -> Path:
    place = PACKAGE.joinpath(*module.split(".")[1:])
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
