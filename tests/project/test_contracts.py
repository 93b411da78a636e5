"""The import contracts bite: a planted violation is found."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

VIOLATIONS = {
    "the domain imports kedro": ("losses/contrastive.py", "import kedro"),
    "a loss imports the training that uses it": ("losses/contrastive.py", "import affect4d.training.trainer"),
    "a second door to pyvista": ("views/mixing.py", "import pyvista"),
    "a second door to open_clip": ("training/trainer.py", "import open_clip"),
    "a model sees a loss": ("models/vision_language_models.py", "import affect4d.losses.contrastive"),
    "pipelines meet outside the catalog": (
        "pipelines/training/nodes.py",
        "import affect4d.pipelines.data.nodes",
    ),
    "a new room without a layer": ("attic.py", ""),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the package in a folder that holds src/ and pyproject.toml."""
    program = (
        "import sys; sys.path.insert(0, 'src'); from importlinter.cli import lint_imports; "
        "sys.exit(lint_imports(no_cache=True))"
    )
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copied(project_root, tmp_path):
    shutil.copytree(project_root / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(project_root / "pyproject.toml", tmp_path)
    return tmp_path


def test_contributing_lists_the_layers_of_the_contract(project_root):
    contracts = tomllib.loads((project_root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    section = (project_root / "CONTRIBUTING.md").read_text().split("## What may import what")[1].split("\n## ")[0]
    assert re.findall(r"^    (\w+(?: \| \w+)*)", section, re.M) == layers


def test_the_contracts_hold(copied):
    done = lint(copied)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_planted_violation_is_found(copied, violation):
    name, line = VIOLATIONS[violation]
    file = copied / "src" / "affect4d" / name
    file.write_text(f"{file.read_text() if file.exists() else ''}\n{line}\n")
    done = lint(copied)
    assert done.returncode != 0, done.stdout
    assert "BROKEN" in done.stdout or "attic" in done.stdout + done.stderr
