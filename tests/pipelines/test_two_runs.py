"""Two runs of one new project at once, in surroundings that differ: both make what one alone makes."""

import os
import subprocess
import sys

import pandas as pd
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

SURROUNDINGS = (
    {"LC_ALL": "C", "TZ": "Pacific/Kiritimati", "HOME": "/proc/nowhere"},  # a home that cannot be made
    {"LC_ALL": "tr_TR.UTF-8", "TZ": "America/St_Johns"},
)
MADE = ("scan_manifest", "view_manifest")
CORPUS = {"layout": "bosphorus", "subjects": 3}


@pytest.fixture(scope="module")
def project(make_project):
    """After both runs, in a folder with a space and a letter beyond ASCII."""
    made = make_project("zwei Läufe")
    told = ",".join(f"{name}={value}" for name, value in {**CORPUS, "engine.workers": 1}.items())
    command = [sys.executable, "-m", "kedro", "run", "--env=ci", "--pipeline=render", "--params", told]
    begun = [
        subprocess.Popen(
            command, cwd=made.folder, env={**os.environ, **own}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for own in SURROUNDINGS
    ]
    try:
        for run in begun:
            said, _ = run.communicate(timeout=600)
            assert run.returncode == 0, said.decode()[-4000:]
            assert b"KedroDeprecationWarning" not in said
    finally:
        for run in begun:
            run.kill()
    return made


@pytest.fixture(scope="module")
def alone(make_project):
    """After a single run as usual."""
    made = make_project("alone")
    made.run("render", **CORPUS)
    return made


@pytest.mark.parametrize("name", MADE)
def test_both_runs_make_what_one_alone_makes(project, alone, name):
    wanted = alone.load(name, **CORPUS)
    versions = [place.name for place in project.folder.glob(f"data/*/*/{name}.*/*")]
    assert len(versions) == len(SURROUNDINGS)
    for version in versions:
        pd.testing.assert_frame_equal(project.load(name, version=version, **CORPUS), wanted, check_exact=True)


def test_the_pictures_are_the_same_to_the_bit(project, alone):
    def shards(folder):
        return {path.name: path.read_bytes() for path in folder.glob("data/03_primary/*/views/views/*.safetensors")}

    assert shards(project.folder)
    assert shards(project.folder) == shards(alone.folder)
