"""Loops as machine code."""

import ast
import subprocess
import sys

from affect4d.jit import compiled

CALLED = """
from affect4d.jit import compiled

@compiled
def called(number):
    return FACTOR * number
"""
CALLING = """
from called import called
from affect4d.jit import compiled

@compiled
def calling(number):
    return called(number)

print(calling(2), sum(calling.dispatcher.stats.cache_hits.values()))
"""


def test_a_function_that_nothing_can_keep_is_compiled_all_the_same():
    """As where neither the package's folder nor the user's home can be written: this one has no file at all."""
    space = {}
    exec("def double(number):\n    return 2 * number", space)
    double = compiled(space["double"])
    assert double(3) == 6
    assert double.dispatcher.signatures


def test_what_calls_a_function_whose_file_changed_is_compiled_anew(tmp_path):
    def run(factor):
        (tmp_path / "called.py").write_text(CALLED.replace("FACTOR", str(factor)))
        command = [sys.executable, "calling.py"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()

    (tmp_path / "calling.py").write_text(CALLING)
    assert run(10) == ["20", "0"]
    assert run(10) == ["20", "1"]
    assert run(30) == ["60", "0"]


def test_jit_functions_call_those_of_their_own_folder_alone(project_root):
    modules = {
        file: ast.parse(file.read_text())
        for file in (project_root / "src").rglob("*.py")
        if "from affect4d.jit import" in file.read_text()
    }
    names = {".".join(file.relative_to(project_root / "src").with_suffix("").parts): file for file in modules}
    compiled = {
        (file, function.name)
        for file, tree in modules.items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and "compiled" in map(ast.unparse, function.decorator_list)
    }
    taken = [
        (file, names[found.module])
        for file, tree in modules.items()
        for found in ast.walk(tree)
        if isinstance(found, ast.ImportFrom) and found.module in names
        if any((names[found.module], alias.name) in compiled for alias in found.names)
    ]
    assert len(modules) > 5
    assert taken, "text_numbers.py is used by others"
    assert [pair for pair in taken if pair[0].parent != pair[1].parent] == []


def test_the_compiler_is_loaded_on_the_first_call():
    program = (
        "import sys, numpy as np\n"
        "from affect4d.scans import readers\n"
        "from affect4d.scans.readers import obj, ply, vrml\n"
        "from affect4d.scans.geometry import vertex_normals\n"
        "before = 'numba' in sys.modules\n"
        "vertex_normals(np.eye(3, dtype=np.float32), np.arange(3, dtype=np.int32)[None])\n"
        "print(before, 'numba' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
