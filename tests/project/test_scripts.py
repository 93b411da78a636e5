"""What `make` runs beside the pipelines."""

import os
import subprocess
import sys


def what_next(project_root, folder):
    script = project_root / "scripts" / "what_next.py"
    return subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_run_without_a_page_says_nothing_and_does_not_fail(project_root, tmp_path):
    assert not what_next(project_root, tmp_path)


def test_the_newest_page_is_named_whichever_it_is(project_root, tmp_path):
    for age, page in ((1, "old/report.html"), (0, "new/ingest.html")):
        file = tmp_path / "data" / "08_reporting" / page
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (1e9 - age, 1e9 - age))
    said = what_next(project_root, tmp_path)
    assert "new/ingest.html" in said
    assert "old/report.html" not in said


def clean(project_root, folder, *words):
    script = project_root / "scripts" / "clean"
    return subprocess.run(["bash", script, *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_cleaning_asks_first_and_spares_what_is_not_synthetic(project_root, tmp_path):
    synthetic = ["data/06_models/open-4dfer-s", "data/06_models/studies/open-4dfer-m", "data/03_primary/open-4dmer"]
    others = [
        "data/01_raw/BU4DFE",
        "data/06_models/bu4dfe",
        "data/06_models/exports",
        "data/07_model_output/predictions",
    ]
    for folder in (*synthetic, *others, ".venv"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").touch()
    listed = clean(project_root, tmp_path)
    assert all(folder in listed for folder in (*synthetic, ".venv"))
    assert not any(folder in listed for folder in others)
    assert "make clean YES=1" in listed
    assert all((tmp_path / folder).exists() for folder in (*synthetic, *others, ".venv"))
    clean(project_root, tmp_path, "--yes")
    assert not any((tmp_path / folder).exists() for folder in (*synthetic, ".venv"))
    assert all((tmp_path / folder).exists() for folder in others)
    assert "Nothing" in clean(project_root, tmp_path)
