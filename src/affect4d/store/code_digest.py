"""Digest of the code that a result depends on: a module and everything that it imports from this package."""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
NAME = PACKAGE.name
INFRASTRUCTURE = frozenset({"array_types", "datasets", "hooks", "memory", "parallel", "progress", "store", "tracking"})
"""Top-level modules that schedule, store, count and display, and change no result."""


@functools.cache
def closure_digest(module: str) -> str:
    """Digest of the code of a module and of its import closure.

    Raises:
        ValueError: If the module does not exist.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(import_closure(module)):
        digest.update(f"{name}\0{code_digest(_file_of(name))}\0".encode())
    return digest.hexdigest()


def import_closure(module: str) -> frozenset[str]:
    """A module and the modules of this package that it imports, at any depth, also within functions.

    An import from a package counts as an import from the module that defines the name; the package's other names do
    not. Imports for type checking and :data:`INFRASTRUCTURE` are left out. The closure of another package's module is
    empty.

    Raises:
        ValueError: If the module does not exist.
    """
    if module.split(".")[0] != NAME:
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
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == NAME:
            yield node.module or NAME, tuple(alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names if alias.name.split(".")[0] == NAME)


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
            return _home(home, name) if home.split(".")[0] == NAME else source
    return source


def _file_of(module: str) -> Path:
    place = PACKAGE.joinpath(*module.split(".")[1:])
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
