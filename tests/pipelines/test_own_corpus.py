"""A corpus of one's own, by the two lines of the README: the user's settings are read by a plain `kedro run`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_a_corpus_named_in_the_users_settings_is_the_one_that_is_read(make_project, project_root):
    project = make_project("own corpus")
    project.run("generate", raw_files=True, subjects=2)
    root = Path(project.load("raw_corpus", raw_files=True, subjects=2)["root"])
    readme = (project_root / "README.md").read_text()
    line = re.search(r"^ {4}(echo .*corpus_roots.* > conf/local/globals\.yml)$", readme, re.MULTILINE)
    assert line is not None
    told = line[1].replace("/data/BU4DFE", str(root))
    assert str(root) in told
    subprocess.run(told, shell=True, cwd=project.folder, check=True)
    command = [sys.executable, "-m", "kedro", "run", "--pipeline=ingest"]
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    receipt = project.load("raw_corpus", corpus="bu4dfe", corpus_root=str(root))
    assert receipt["root"] == str(root)
    assert set(project.load("scan_manifest", corpus="bu4dfe", corpus_root=str(root))["subject"]) == {"F001", "M001"}
