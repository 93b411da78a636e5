"""What the docs point at exists: links, test files, functions of the papers page, results by path, messages."""

import ast
import json
import pkgutil
import re
import subprocess
import sys

import numpy as np
import pytest
from kedro.config import OmegaConfigLoader

from affect4d.settings import CONFIG_LOADER_ARGS

FEWEST_LETTERS = 12
"""Of a quoted message that are its own, so that it is found by more than a common word."""


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


def test_the_pages_can_be_made_with_every_link_and_heading_and_searched(project_root, tmp_path):
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-t", "pages", "-b", "html"]
    told = [str(project_root / "docs"), str(tmp_path / "pages"), "-d", str(tmp_path / "doctrees")]
    done = subprocess.run([*command, *told], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "pages/searchindex.js").read_text()
    found = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))
    encoder = "encod"  # its stem, under which the search looks
    numbers = (number for terms in ("terms", "titleterms") for number in np.atleast_1d(found[terms][encoder]))
    assert {found["docnames"][number] for number in numbers} >= {"encoders", "configuration", "glossary"}


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


def results_of(loader):
    """Path of each result in the catalog → whether it is a folder of versions; placeholders as on the page."""
    places = {}
    entries = (entry for entry in loader["catalog"].values() if isinstance(entry, dict))
    for entry in entries:
        named = [entry.get("filepath"), entry.get("path"), (entry.get("metadata") or {}).get("latest")]
        for path in filter(None, named):
            shown = path.replace("{model}", "MODEL").replace("{study}", "STUDY")
            places[shown] = bool(entry.get("versioned")) and path == entry.get("filepath")
    return places


def test_every_result_on_getting_started_is_where_the_catalog_puts_it(project_root):
    arguments = {**CONFIG_LOADER_ARGS, "default_run_env": "base"}
    loader = OmegaConfigLoader(str(project_root / "conf"), runtime_params={"corpus": "CORPUS"}, **arguments)
    section = (project_root / "docs/index.md").read_text().split("## Where results are")[1].split("\n## ")[0]
    named = dict(re.findall(r"`(data/[\w./-]+)`(\*?)", section))
    assert len(named) > 15
    assert {path: star == "*" for path, star in named.items()} == {
        path: versioned for path, versioned in results_of(loader).items() if path in named
    }
    mlflow = loader["mlflow"]
    assert f"`{mlflow['tracking_uri'].removeprefix('sqlite:///')}`, `{mlflow['artifacts']}`" in section


def messages(project_root):
    """Sentences of the code that a user may read, with … for what is filled in; docstrings are none."""
    for file in sorted((project_root / "src/affect4d").rglob("*.py")):
        tree = ast.parse(file.read_text())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                yield node.value.replace("%s", "…")
    for file in sorted((project_root / "scripts").iterdir()):
        yield from file.read_text().splitlines() if file.is_file() else ()


def quoted_messages(project_root):
    page = (project_root / "docs/troubleshooting.md").read_text()
    return [quoted.strip() for _, quoted in re.findall(r"^\| (`+)(.+?)\1 \|", page, re.M)]


def occurs(quoted, written):
    """Whether the parts of a quoted message stand in one sentence of the code, in this order."""
    pattern = re.compile(".*".join(map(re.escape, quoted.split("…"))))
    return any(pattern.search(message) for message in written)


def test_every_message_on_troubleshooting_is_one_of_the_code(project_root):
    quoted, written = quoted_messages(project_root), list(messages(project_root))
    assert len(quoted) >= 20
    assert [message for message in quoted if not occurs(message, written)] == []
    assert [message for message in quoted if len(message.replace("…", "").strip()) < FEWEST_LETTERS] == []
    assert not occurs("No face is called …", written)


@pytest.mark.slow
def test_every_function_the_papers_page_names_exists(project_root):
    text = (project_root / "docs/papers.md").read_text()
    packages = "|".join(sorted(path.stem for path in (project_root / "src/affect4d").iterdir() if path.stem[0] != "_"))
    named = sorted(set(re.findall(rf"`((?:{packages})\.[\w.]+)`", text)))
    assert len(named) > 20
    assert {"experiments", "pseudo_labels"} <= {name.split(".")[0] for name in named}
    for name in named:
        pkgutil.resolve_name(f"affect4d.{name}")
