"""What can be read off a project and a pipeline before anything runs."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.pipeline import Pipeline


def code_state(project: Path) -> dict[str, str]:
    """Git commit of the project and whether the tree differs from it; empty where git cannot tell."""
    try:
        commit = _git(project, "rev-parse", "HEAD")
        dirty = bool(_git(project, "status", "--porcelain"))
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"git.commit": commit, "git.dirty": str(dirty).lower()}


def used_parameters(parameters: Mapping[str, Any], pipeline: Pipeline) -> dict[str, Any]:
    """The parameters some node of this run reads."""
    names = {name.removeprefix("params:") for name in pipeline.inputs() if name.startswith("params:")}
    return {
        path: value
        for path, value in parameters.items()
        if any(path == name or path.startswith(f"{name}.") for name in names)
    }


def _git(project: Path, *words: str) -> str:
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(["git", *words], cwd=project, env=quiet, capture_output=True, text=True, check=True)
    return done.stdout.strip()
