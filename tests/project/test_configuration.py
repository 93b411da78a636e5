"""The project keeps what its owner and its users were promised."""

import re
import subprocess
import tomllib

import yaml


def test_kedro_yml_mirrors_pyproject(project_root):
    declared = tomllib.loads((project_root / "pyproject.toml").read_text())["tool"]["kedro"]
    mirrored = yaml.safe_load((project_root / ".kedro.yml").read_text())
    assert mirrored == declared


def test_the_top_level_is_the_one_asked_for(project_root):
    for name in ("conf", "src", "data", "notebooks", "tests", "pyproject.toml", ".kedro.yml"):
        assert (project_root / name).exists(), name


def test_the_lock_pins_exactly_and_names_no_address(project_root):
    lines = (project_root / "requirements.lock").read_text().splitlines()
    assert all(re.match(r"^[A-Za-z0-9_.\[\]-]+==[^ ]+( ; .*)?$", line) for line in lines if line.strip())
    assert not any("://" in line for line in lines)


def test_every_declared_dependency_is_locked(project_root):
    project = tomllib.loads((project_root / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = {re.split(r"[\[<>=!; ]", item)[0].lower().replace("_", "-") for item in wanted}
    locked = {
        re.split(r"[\[=]", line)[0].lower().replace("_", "-")
        for line in (project_root / "requirements.lock").read_text().splitlines()
    }
    assert names <= locked, names - locked


def test_no_face_weight_or_database_is_committed(project_root):
    done = subprocess.run(["git", "ls-files"], cwd=project_root, capture_output=True, text=True, check=True)
    forbidden = re.compile(r"\.(wrl|bnt|bnd|obj|ply|pt|pth|ckpt|pkl|pickle|db|parquet|safetensors)$")
    assert not [name for name in done.stdout.splitlines() if forbidden.search(name)]


def test_telemetry_is_declined_for_everybody(project_root):
    assert yaml.safe_load((project_root / ".telemetry").read_text()) == {"consent": False}
