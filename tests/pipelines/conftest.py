"""A copy of the project to run in: configuration and source copied; everything made lands in a temporary folder."""

import functools
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog


@dataclass(frozen=True)
class Project:
    """A project folder that can be run."""

    folder: Path

    def run(self, pipeline: str = "__default__", load_versions: dict[str, str] | None = None, **parameters: Any) -> str:
        """`kedro run --env=ci --pipelines=… --params …`; returns the save version."""
        bootstrap_project(self.folder)
        with KedroSession.create(self.folder, env="ci", runtime_params=parameters) as session:
            session.run(pipeline_names=[pipeline], load_versions=load_versions)
            return session.session_id

    def load(self, dataset: str, version: str | None = None, **parameters: Any) -> Any:
        """Load an artefact, the newest or a named version."""
        catalog = self._catalog(json.dumps(parameters, sort_keys=True))
        catalog.release(dataset)  # it remembers which version was the newest
        return catalog.load(dataset, version=version)

    @functools.cache  # noqa: B019  (projects live as long as the tests)
    def _catalog(self, parameters: str) -> DataCatalog:
        """The catalog for some parameters, as JSON; to read it takes a second."""
        bootstrap_project(self.folder)
        with KedroSession.create(self.folder, env="ci", runtime_params=json.loads(parameters)) as session:
            return session.load_context().catalog


@pytest.fixture(scope="session")
def make_project(project_root, tmp_path_factory) -> Callable[[str], Project]:
    """Make a fresh project folder."""

    def make(name: str) -> Project:
        folder = tmp_path_factory.mktemp(name)
        shutil.copytree(project_root / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
        (folder / "conf" / "local").mkdir()
        for file in ("pyproject.toml", ".telemetry", ".gitignore"):
            shutil.copy(project_root / file, folder)
        shutil.copytree(
            project_root / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
        for words in ("init -q", "add .", "-c user.name=Test -c user.email=test@example.org commit -q -m project"):
            subprocess.run(["git", *words.split()], cwd=folder, check=True)
        return Project(folder)

    return make


@pytest.fixture(scope="session")
def finished(make_project) -> tuple[Project, str]:
    """A project after `kedro run --env=ci`, and the version of that run."""
    project = make_project("finished")
    return project, project.run()
