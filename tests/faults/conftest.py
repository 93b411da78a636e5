"""Modules that worker processes import too, and a corpus to spoil."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent / "scans"):
    sys.path.insert(0, str(folder))  # workers inherit it


@pytest.fixture
def corpus(tmp_path):
    """Four people, two sequences each, three frames long; no two files alike, so that no two shards are."""
    from scan_files import write_corpus

    root = write_corpus(tmp_path / "corpus", ("F001", "F002", "F003", "F004"), frames=3)
    for scan in root.rglob("*.wrl"):
        scan.write_text(f"{scan.read_text()}# {scan.relative_to(root)}\n")
    return root
