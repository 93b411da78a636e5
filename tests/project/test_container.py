"""The Dockerfile, as far as it can be tried without Docker: what it copies and runs exists, what stays out, stays."""

import re
import subprocess

import pytest


def git(folder, *words):
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.fixture
def left_out(project_root, tmp_path):
    """.dockerignore in git's words: Docker's patterns begin at the top, git's anywhere."""
    lines = (project_root / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    file = tmp_path / "patterns"
    file.write_text("\n".join(f"!/{line[1:]}" if line.startswith("!") else f"/{line}" for line in patterns))
    return file


def test_what_the_image_copies_and_runs_exists(project_root):
    text = (project_root / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY --chown=\S+ (.+) \S+$", text, re.MULTILINE) for word in line.split()]
    assert "requirements.lock" in copied
    assert all((project_root / name).exists() for name in copied)
    targets = set(re.findall(r"^([a-z-]+):", (project_root / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r'make"?,? "?([a-z-]+)"?\]?$', text, re.MULTILINE)) == {"setup", "run"}
    assert {"setup", "run"} <= targets


def test_every_file_of_the_project_reaches_the_image(project_root, left_out):
    """Else a run in it would be recorded as one of changed code."""
    assert git(project_root, "ls-files", "-ci", "-X", str(left_out)) == []


def test_nothing_of_yours_reaches_the_image(tmp_path, left_out):
    project = tmp_path / "project"
    yours = ["conf/local/globals.yml", "conf/local/keys/a.pem", "data/01_raw/a/b.obj", "mlflow.db", ".venv/bin/python"]
    for name in yours:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    git(project, "init", "-q")
    assert sorted(git(project, "ls-files", "-oi", "-X", str(left_out))) == sorted(yours)
