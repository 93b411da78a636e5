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


@pytest.mark.slow
def test_the_first_notebook_runs(project_root, finished):
    project, _ = finished
    shutil.copy(project.folder / "conf/ci/parameters.yml", project.folder / "conf/local/parameters.yml")
    notebook = nbformat.read(project_root / "notebooks/01_first_run.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(project.folder)}}).execute()
    assert "AffectVLM" in json.dumps(notebook.cells)
