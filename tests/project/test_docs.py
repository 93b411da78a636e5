"""What the docs point at exists: every link, every test file, every function of the papers page."""

import pkgutil
import re
import subprocess
import sys

import pytest


def pages(project_root):
    return [
        project_root / "README.md",
        project_root / "CONTRIBUTING.md",
        *sorted((project_root / "docs").rglob("*.md")),
    ]


def test_every_local_link_leads_somewhere(project_root):
    for page in pages(project_root):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_pages_can_be_made_and_no_link_or_heading_is_missing(project_root, tmp_path):
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-t", "pages", "-b", "dummy"]
    told = [str(project_root / "docs"), str(tmp_path / "pages"), "-d", str(tmp_path / "doctrees")]
    done = subprocess.run([*command, *told], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_test_the_papers_page_names_exists(project_root):
    text = (project_root / "docs/papers.md").read_text()
    named = re.findall(r"`(tests/[\w/]+(?:\.py)?/?)`", text)
    assert len(named) > 10
    for name in named:
        assert (project_root / name).exists(), name


def test_every_python_file_that_a_page_names_exists(project_root):
    done = subprocess.run(["git", "ls-files"], cwd=project_root, capture_output=True, text=True, check=True)
    files = {f"/{name}" for name in done.stdout.splitlines()}
    for page in [*pages(project_root), project_root / "Makefile"]:
        for name in re.findall(r"(?<![\w<>/*])[\w./]*\w\.py\b", page.read_text()):
            assert any(file.endswith(f"/{name}") for file in files) or "NAME" in name, f"{page.name}: {name}"


@pytest.mark.slow
def test_every_function_the_papers_page_names_exists(project_root):
    text = (project_root / "docs/papers.md").read_text()
    packages = "|".join(sorted(path.stem for path in (project_root / "src/affect4d").iterdir() if path.stem[0] != "_"))
    named = sorted(set(re.findall(rf"`((?:{packages})\.[\w.]+)`", text)))
    assert len(named) > 20
    assert {"experiments", "pseudo_labels"} <= {name.split(".")[0] for name in named}
    for name in named:
        pkgutil.resolve_name(f"affect4d.{name}")
