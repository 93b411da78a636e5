"""The notebooks run, on what a run of the smallest corpus made; in git they carry no output."""

import json
import shutil

import nbformat
import pytest
from nbclient import NotebookClient


def test_notebooks_are_stripped(project_root):
    for path in sorted((project_root / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells), path.name


def test_a_folder_of_ones_own_is_given_as_text(project_root, tmp_path):
    cells = json.loads((project_root / "notebooks/02_bring_your_corpus.ipynb").read_text())["cells"]
    first = "".join(next(cell for cell in cells if cell["cell_type"] == "code")["source"])
    told: dict[str, object] = {}
    exec(first.replace("ROOT, LAYOUT = None", f"ROOT, LAYOUT = {str(tmp_path)!r}"), told)
    assert told["ROOT"] == tmp_path


@pytest.mark.slow
def test_the_first_notebook_runs(project_root, finished):
    project, _ = finished
    shutil.copy(project.folder / "conf/ci/parameters.yml", project.folder / "conf/local/parameters.yml")
    assert "AffectVLM" in executed(project_root / "notebooks/01_first_run.ipynb", project.folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("notebook", "shown"),
    [
        ("02_bring_your_corpus", "truncated"),
        ("03_your_own_prompts", "flabbergasted"),
        ("04_compare_and_explain", "image/png"),
    ],
)
def test_the_others_run_on_a_fresh_installation(project_root, tmp_path, notebook, shown):
    assert shown in executed(project_root / "notebooks" / f"{notebook}.ipynb", tmp_path)


def executed(path, folder):
    """What a notebook shows when it is run in a folder, as JSON."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return json.dumps([cell.get("outputs", []) for cell in notebook.cells])
