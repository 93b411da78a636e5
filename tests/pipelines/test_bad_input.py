"""What a person gets to read when something is wrong: the thing, and the remedy."""

import subprocess
import sys

import pytest

MISTAKES = {
    "an unknown corpus": ({"corpus": "atlantis"}, "atlantis.*known corpora: bosphorus, bp4d, .*open-4dfer-s"),
    "an unknown parameter": ({"ingest": {"sharpness": 3}}, "sharpness"),
    "an absurd parameter": ({"split": {"test_share": -3}}, "test_share"),
    "a licensed corpus without a folder": ({"corpus": "bu4dfe"}, "corpus_roots"),
    "a folder that is not there": ({"corpus": "bu4dfe", "corpus_root": "/nowhere/at/all"}, "/nowhere/at/all"),
    "an unknown layout": ({"layout": "cave"}, "cave.*Known layouts: bu3dfe.*bosphorus"),
    "4DME without a pattern": ({"corpus": "fourdme", "corpus_root": "docs"}, "corpus_patterns"),
    "too few people": ({"subjects": 1}, "subjects"),
    "an unknown value in a recipe": (
        {"raw_corpus": {"known": {"open-4dfer-s": {"changes": {"sensor": {"hats": 3}}}}}},
        "hats",
    ),
    "ICT geometry without a clone": ({"corpus": "open-4dfer-ict"}, "ict_folder"),
}


@pytest.fixture(scope="module")
def project(make_project):
    return make_project("mistaken")


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_message_names_the_thing_and_the_remedy(project, mistake):
    parameters, words = MISTAKES[mistake]
    with pytest.raises(Exception, match=f"(?s){words}"):
        project.run("ingest", **parameters)


@pytest.mark.slow
def test_an_error_ends_with_the_remedy_and_no_traceback(project):
    command = [sys.executable, "-m", "kedro", "run", "--params", "corpsu=mine"]
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False, timeout=300)
    told = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert done.returncode == 1
    assert "--verbose" in told[-1]
    assert "nothing was computed." in told[-2]
    assert "did you mean corpus?" in " ".join(" ".join(told[-5:]).split())
    assert "Traceback" not in "".join(told)


@pytest.mark.slow
def test_one_broken_scan_is_one_row_in_the_report(make_project, finished, tmp_path):
    import shutil

    finished_project, _ = finished
    root = finished_project.load("raw_corpus")["root"]
    shutil.copytree(root, tmp_path / "corpus")
    (tmp_path / "corpus" / "F001" / "Angry" / "001.wrl").write_bytes(b"#VRML V2.0 utf8\nnot a face")
    (tmp_path / "corpus" / "F001" / "Angry" / "002.jpg").unlink()
    project = make_project("broken")
    project.run("render", corpus="bu4dfe", corpus_root=str(tmp_path / "corpus"))
    report = project.load("ingest_report", corpus="bu4dfe", corpus_root=str(tmp_path / "corpus"))
    outcome = report.set_index("scan")["status"].to_dict()
    assert outcome["F001/Angry/001.wrl"] == "refused"
    assert outcome["F001/Angry/002.wrl"] == "repaired"
    assert "texture" in report.set_index("scan")["reason"]["F001/Angry/002.wrl"]
