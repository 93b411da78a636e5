"""The wheel is the package: what is installed somewhere else lacks nothing."""

import re
import subprocess
import sys
import tomllib
import zipfile

import pytest
import yaml

import affect4d


def test_version_and_date_are_one_wherever_they_stand(project_root):
    cited = yaml.safe_load((project_root / "CITATION.cff").read_text())
    headings = re.findall(r"^## \[(\d.*?)\] - (\S+)$", (project_root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert (cited["version"], str(cited["date-released"])) == headings[0]
    declared = tomllib.loads((project_root / "pyproject.toml").read_text())["project"]["version"]
    assert declared == affect4d.__version__ == cited["version"]


@pytest.mark.slow
def test_every_file_of_the_package_is_in_the_wheel(project_root, tmp_path):
    """Of what git holds, built without a network."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", project_root, clone], check=True)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, clone]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    listed = subprocess.run(["git", "ls-files", "src"], cwd=clone, capture_output=True, text=True, check=True)
    wanted = {name.removeprefix("src/") for name in listed.stdout.splitlines()}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == wanted
