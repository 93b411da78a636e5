"""Execute the notebooks and keep their outputs: ``python scripts/execute_notebooks.py [01 05 …]``; all by default.

Notebooks on a run's results are executed in a copy of the project after ``kedro run --env=ci``, the others in an empty
folder. A notebook's metadata keep the version and a digest of its code, by which a test finds outdated outputs.
"""

import base64
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

from affect4d import __version__

ROOT = Path(__file__).resolve().parents[1]
ON_RESULTS = ("04", "05")
QUIET = {"TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore:IProgress not found"}
COLOURS = 64  # of a stored image
PNG = "image/png"
TERMINAL_COLOUR = re.compile(r"\x1b\[[\d;]*m")


def main(chosen: Sequence[str]) -> None:
    """Execute the notebooks whose names begin with one of those chosen."""
    os.environ |= {"PYTHONPATH": str(ROOT / "src"), **QUIET}
    paths = [
        path for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if path.name.startswith(tuple(chosen or "0"))
    ]
    with tempfile.TemporaryDirectory() as folder:
        empty, project = Path(folder) / "empty", Path(folder) / "project"
        empty.mkdir()
        for path in paths:
            on_results = path.name.startswith(ON_RESULTS)
            if on_results and not project.exists():
                run_smallest(project)
            sys.stdout.write(f"{path.name}\n")
            notebook = nbformat.read(path, as_version=4)
            execute(notebook, project if on_results else empty)
            nbformat.write(notebook, path)


def run_smallest(project: Path) -> None:
    """Copy the project without its data and local parameters, and run it with ``--env=ci``."""
    shutil.copytree(ROOT / "conf", project / "conf", ignore=shutil.ignore_patterns("local"))
    shutil.copytree(ROOT / "src", project / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (project / "conf" / "local").mkdir()
    for file in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / file, project)
    subprocess.run([Path(sys.executable).with_name("kedro"), "run", "--env=ci"], cwd=project, check=True)


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Execute a notebook in a folder, and write down of which code its outputs are."""
    NotebookClient(notebook, timeout=1800, record_timing=False, resources={"metadata": {"path": str(folder)}}).execute()
    tidy(notebook)
    notebook.metadata["affect4d"] = {"version": __version__, "code": code_digest(notebook)}


def tidy(notebook: NotebookNode) -> None:
    """Make outputs small, without colours of a terminal; ValueError if one names a path of this machine."""
    for cell in notebook.cells:
        if "outputs" in cell:  # rich, which Kedro's logging brings, displays an empty line beside each table
            cell["outputs"] = [output for output in cell["outputs"] if output.get("data", {}).get("text/plain") != ""]
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        if "text/plain" in output.get("data", {}):
            output["data"]["text/plain"] = TERMINAL_COLOUR.sub("", output["data"]["text/plain"])
        if PNG in output.get("data", {}):
            output["data"][PNG] = small_png(output["data"][PNG])
        if any(str(place) in json.dumps(output) for place in (ROOT, Path.home(), tempfile.gettempdir())):
            raise ValueError(f"An output names a path of this machine: {json.dumps(output)[:400]}")


def code_digest(notebook: NotebookNode) -> str:
    """Digest of the code cells."""
    code = [cell["source"] for cell in notebook.cells if cell["cell_type"] == "code"]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()[:16]


def small_png(encoded: str) -> str:
    """A PNG, base64, with few colours."""
    stored = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB").quantize(COLOURS).save(
        stored, "PNG", optimize=True
    )
    return base64.b64encode(stored.getvalue()).decode()


if __name__ == "__main__":
    main(sys.argv[1:])
