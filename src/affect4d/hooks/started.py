"""What can be read off a project and a pipeline before anything runs."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.config import AbstractConfigLoader, OmegaConfigLoader
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


def base_configuration(loader: AbstractConfigLoader, key: str) -> dict[str, Any]:
    """What ``conf/base`` alone says.

    Kedro asks the newest loader of a process what ``${globals:…}`` means, whoever resolves it: the run's own, with the
    user's settings, is put back.
    """
    try:
        return OmegaConfigLoader(str(loader.conf_source), base_env="base", default_run_env="base")[key]
    finally:
        if isinstance(loader, OmegaConfigLoader):
            loader._register_globals_resolver()


def _git(project: Path, *words: str) -> str:
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(["git", *words], cwd=project, env=quiet, capture_output=True, text=True, check=True)
    return done.stdout.strip()
