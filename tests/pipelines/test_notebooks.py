"""The notebooks carry outputs of their code and of this version, small and without paths; and they run."""

import base64
import json
import re
import runpy
import shutil
import tempfile

import nbformat
import pytest
from nbclient import NotebookClient

import affect4d

NAMES = (
    "01_query_a_face",
    "02_your_own_scans",
    "03_your_own_prompts_and_action_units",
    "04_train_and_change_a_parameter",
    "05_read_the_report",
)
PATHS = re.compile(r"/(?:tmp|home|root|work|Users|private|mnt)/|[A-Z]:\\\\")


@pytest.fixture(scope="module")
def script(project_root):
    return runpy.run_path(str(project_root / "scripts/execute_notebooks.py"))


@pytest.fixture(params=NAMES)
def notebook(request, project_root):
    return nbformat.read(project_root / "notebooks" / f"{request.param}.ipynb", as_version=4)


def outputs_of(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_these_are_all(project_root):
    assert tuple(sorted(path.stem for path in (project_root / "notebooks").glob("*.ipynb"))) == NAMES


def test_outputs_are_of_this_version_and_of_the_code_above_them(notebook, script):
    remedy = "python scripts/execute_notebooks.py executes it again"
    made = {"version": affect4d.__version__, "code": script["code_digest"](notebook)}
    assert notebook.metadata.get("affect4d") == made, remedy
    counts = [cell["execution_count"] for cell in notebook.cells if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1)), remedy
    assert sum("data" in output for output in outputs_of(notebook)) >= 3, remedy


def test_outputs_have_no_error_warning_or_path(notebook):
    for output in outputs_of(notebook):
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr", output
        written = {kind: text for kind, text in output.get("data", {}).items() if kind != "image/png"}
        assert not PATHS.search(json.dumps([written, output.get("text")]))


def test_outputs_are_small(project_root, notebook):
    images = [output["data"]["image/png"] for output in outputs_of(notebook) if "image/png" in output.get("data", {})]
    assert all(len(base64.b64decode(image)) <= 60_000 for image in images)
    assert sum(path.stat().st_size for path in (project_root / "notebooks").glob("*.ipynb")) <= 400_000


def test_an_edited_cell_has_another_digest(script):
    cells = [nbformat.v4.new_markdown_cell("text"), nbformat.v4.new_code_cell("1 + 1")]
    before = script["code_digest"](nbformat.v4.new_notebook(cells=cells))
    cells[0]["source"] = "other text"
    assert script["code_digest"](nbformat.v4.new_notebook(cells=cells)) == before
    cells[1]["source"] = "1 + 2"
    assert script["code_digest"](nbformat.v4.new_notebook(cells=cells)) != before


def test_an_output_with_a_path_of_this_machine_is_refused(script):
    output = nbformat.v4.new_output("stream", text=f"read {tempfile.gettempdir()}/scan.ply")
    cell = nbformat.v4.new_code_cell("read()", outputs=[output])
    with pytest.raises(ValueError, match=r"path of this machine.*scan\.ply"):
        script["tidy"](nbformat.v4.new_notebook(cells=[cell]))


def test_colours_of_a_terminal_and_empty_lines_are_dropped(script):
    table = nbformat.v4.new_output("display_data", {"text/plain": "\x1b[1;36m0\x1b[0m  happiness"})
    cell = nbformat.v4.new_code_cell(
        "table", outputs=[nbformat.v4.new_output("display_data", {"text/plain": ""}), table]
    )
    script["tidy"](nbformat.v4.new_notebook(cells=[cell]))
    assert [output["data"]["text/plain"] for output in cell["outputs"]] == ["0  happiness"]


def test_a_folder_of_ones_own_is_given_as_text(project_root, tmp_path):
    notebook = nbformat.read(project_root / "notebooks/02_your_own_scans.ipynb", as_version=4)
    first = next(cell["source"] for cell in notebook.cells if cell["cell_type"] == "code")
    told: dict[str, object] = {}
    exec(first.replace("FOLDER = None", f"FOLDER = {str(tmp_path)!r}"), told)
    assert told["FOLDER"] == tmp_path
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_first_three_run_on_a_fresh_installation(project_root, tmp_path):
    first, second, third = executed(project_root, NAMES[:3], tmp_path)
    assert "a joyful smile" in first
    assert "truncated" in second
    assert "displeased" in third


@pytest.mark.slow
def test_the_others_run_on_the_results_of_the_smallest_corpus(project_root, finished, tmp_path):
    own = shutil.copytree(finished[0].folder, tmp_path / "own", symlinks=True)  # the fourth trains
    fourth, fifth = executed(project_root, NAMES[3:], own)
    assert "train.epochs" in fourth
    assert "AffectVLM" in fifth


def executed(project_root, names, folder):
    """What each notebook shows when it is run in a folder, as JSON; in one process, whose start costs most."""
    notebooks = [nbformat.read(project_root / "notebooks" / f"{name}.ipynb", as_version=4) for name in names]
    for notebook in notebooks:
        notebook.cells = [cell for cell in notebook.cells if cell["cell_type"] == "code"]
        notebook.cells.append(nbformat.v4.new_code_cell("%reset -f"))  # none sees the names of another
    every = nbformat.v4.new_notebook(cells=[cell for notebook in notebooks for cell in notebook.cells])
    for place, cell in enumerate(every.cells):
        cell["id"] = f"cell-{place}"
    NotebookClient(every, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return [json.dumps([cell.get("outputs") for cell in notebook.cells]) for notebook in notebooks]
