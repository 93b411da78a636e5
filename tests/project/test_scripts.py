"""What `make` runs beside the pipelines."""

import os
import runpy
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest

from affect4d.scans.alignment.pose_by_landmark_detection import mean_landmarks
from affect4d.synthetic.action_units import ACTION_UNITS, weights_of


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


FAKE_PYTHON = """#!/bin/bash
case "$*" in
  "-m venv --clear .venv") rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python; echo cleared ;;
  "-m venv"*) echo left as it is ;;
  *) echo "$*" ;;
esac
"""


@pytest.fixture
def set_up(project_root, tmp_path):
    """The script in a folder of its own, with stubs that say how they were called; a uv among them if asked."""

    def run(uv=False, **given):
        for name, text in (("python", FAKE_PYTHON), (".venv/bin/python", "#!/bin/bash\nexit 1\n")):
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o755)
        (tmp_path / "scripts").mkdir()
        script = shutil.copy(project_root / "scripts" / "setup", tmp_path / "scripts")
        tools = tmp_path / "tools"
        tools.mkdir()
        for tool in ("bash", "dirname", "rm", "mkdir", "cp", "touch", "grep"):
            (tools / tool).symlink_to(shutil.which(tool))
        if uv:
            (tools / "uv").write_text('#!/bin/bash\necho "uv $*"\n')
            (tools / "uv").chmod(0o755)
        shutil.copy(project_root / "requirements.lock", tmp_path)
        (tmp_path / "requirements-pretrained.lock").write_text("# pretrained parts\nlandmarks==1\nsentences==2\n")
        given = {"PATH": str(tools), "PYTHON": str(tmp_path / "python"), **given}
        return subprocess.run(["bash", script], env=given, capture_output=True, text=True, check=False)

    return run


def test_a_set_up_that_broke_off_before_pip_came_starts_over(set_up, tmp_path):
    """As it is left where python3-venv was missing: an interpreter, and no pip."""
    done = set_up()
    assert done.returncode == 0, done.stderr
    assert "cleared" in done.stdout
    assert "-r requirements.lock\n" in done.stdout
    assert "index-url" not in done.stdout
    assert "-q --no-deps landmarks==1\n" in done.stdout
    assert "-q --no-deps sentences==2\n" in done.stdout
    assert "source .venv/bin/activate" in done.stdout
    assert (tmp_path / ".venv" / "ready").exists()


@pytest.mark.parametrize(
    ("uv", "given", "command"),
    [
        (True, {}, "uv pip install -q --torch-backend=cpu -r"),
        (False, {}, "--extra-index-url https://download.pytorch.org/whl/cpu -r"),
        (
            False,
            {"TORCH_INDEX": "https://mirror.example.org/cpu"},
            "--extra-index-url https://mirror.example.org/cpu -r",
        ),
    ],
)
def test_torch_without_cuda_is_installed_where_asked(set_up, tmp_path, project_root, uv, given, command):
    done = set_up(uv=uv, TORCH="cpu", **given)
    assert done.returncode == 0, done.stderr
    assert f"{command} .venv/requirements-cpu.lock\n" in done.stdout
    lock = (project_root / "requirements.lock").read_text().splitlines()
    kept = (tmp_path / ".venv/requirements-cpu.lock").read_text().splitlines()
    assert {line.partition("==")[0] for line in kept} >= {"torch", "torchvision"}
    left_out = {line.partition("==")[0] for line in lock} - {line.partition("==")[0] for line in kept}
    assert {"triton", "cuda-toolkit"} <= left_out
    assert all(name == "triton" or name.startswith(("nvidia-", "cuda-")) for name in left_out)


def test_another_torch_is_refused_before_anything_is_installed(set_up):
    done = set_up(uv=True, TORCH="gpu")
    assert done.returncode == 1
    assert "TORCH=gpu is unknown: TORCH=cpu" in done.stderr
    assert "uv" not in done.stdout


def test_a_port_in_use_is_named_with_the_remedy(project_root):
    def check(port):
        words = ["bash", project_root / "scripts" / "check_port", str(port), "PORT_APP", "app"]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = check(port)
    assert done.returncode == 1
    assert f"Port {port} is in use" in done.stderr
    assert f"make PORT_APP={port + 1} app" in done.stderr
    assert check(port).returncode == 0


def gpu_round(project_root, folder, **given):
    """The script with tools that do nothing but say how they were called."""
    for tool in ("python", "pytest", "kedro"):
        (folder / tool).write_text(f'#!/bin/bash\necho "{tool} $*"\n')
        (folder / tool).chmod(0o755)
    place = folder / "copy"
    (place / "benchmarks").mkdir(parents=True, exist_ok=True)
    (place / "scripts").mkdir(exist_ok=True)
    (place / "benchmarks" / "latest.json").touch()
    script = shutil.copy(project_root / "scripts" / "gpu_round", place / "scripts")
    given = {"PATH": os.environ["PATH"], "BIN": str(folder), **given}
    return subprocess.run(["bash", script], env=given, capture_output=True, text=True, check=False)


def test_a_gpu_round_gives_its_corpus_the_clone_it_is_made_on(project_root, tmp_path):
    refused = gpu_round(project_root, tmp_path, ENVIRONMENT="gpu")
    assert refused.returncode == 1
    assert "open-4dfer-m needs AFFECT4D_ICT" in refused.stderr
    assert "pytest" not in refused.stdout
    (tmp_path / "FaceXModel").mkdir()
    done = gpu_round(project_root, tmp_path, ENVIRONMENT="gpu", AFFECT4D_ICT=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"--params corpus=open-4dfer-m,ict_folder={tmp_path}\n") == 6  # announced, then run
    assert gpu_round(project_root, tmp_path, CORPUS="open-4dfer-s").returncode == 0


@pytest.mark.slow
def test_a_soak_tells_how_memory_goes_on(project_root):
    script = project_root / "scripts" / "soak_predict.py"
    done = subprocess.run([sys.executable, script, "80"], capture_output=True, text=True, check=False)
    assert done.stdout.count(" MB\n") == 40, done.stderr
    assert "MB per 1000 scans" in done.stdout


@pytest.fixture
def serve_records(project_root, tmp_path, monkeypatch):
    """``make mlflow`` in a project with these own settings: what it turns into."""

    def serve(own):
        shutil.copytree(project_root / "conf" / "base", tmp_path / "conf" / "base")
        (tmp_path / "conf" / "local").mkdir()
        (tmp_path / "conf" / "local" / "mlflow.yml").write_text(own)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["mlflow_server.py", "--port", "5001"])
        became = []
        monkeypatch.setattr(os, "execv", lambda _, words: became.append(words[1:]))
        runpy.run_path(str(project_root / "scripts" / "mlflow_server.py"), run_name="__main__")
        return became

    return serve


@pytest.mark.parametrize(
    ("own", "address"),
    [("enabled: true", "sqlite:///mlflow.db"), ("tracking_uri: sqlite:///data/runs.db", "sqlite:///data/runs.db")],
)
def test_mlflow_opens_where_runs_are_recorded(serve_records, own, address):
    assert serve_records(own) == [["server", "--backend-store-uri", address, "--port", "5001"]]


def test_where_a_server_records_its_address_is_told(serve_records, capsys):
    assert serve_records("tracking_uri: https://runs.example.org/") == []
    assert "open https://runs.example.org/" in capsys.readouterr().out


def test_the_stored_mean_landmarks_are_those_that_the_script_finds(project_root):
    script = runpy.run_path(str(project_root / "scripts" / "mean_landmarks.py"))
    mean, _ = script["mean_shape"](script["detected_landmarks"]("open-4dfer-s", {}, 12))
    stored, _ = mean_landmarks()
    assert np.median(np.linalg.norm(mean - stored, axis=1)) < 5  # two face models in the table, one here


def test_timing_and_coactivation_are_what_a_known_track_has(project_root):
    script = runpy.run_path(str(project_root / "scripts" / "compare_motion.py"))
    seconds = np.arange(0.0, 20.0, 1.0 / script["FPS"])
    ramp = np.clip(np.minimum((seconds - 2.0) / 1.0, (12.0 - seconds) / 2.0), 0.0, 1.0)  # up in one second from 2
    track = np.outer(ramp, weights_of({"AU1": 1.0, "AU2": 1.0, "AU12_L": 0.9, "AU12_R": 0.3}))
    for blink in (14.0, 16.0):
        track[(seconds >= blink) & (seconds < blink + 0.2), ACTION_UNITS.index("AU45_L")] = 1.0
        track[(seconds >= blink) & (seconds < blink + 0.2), ACTION_UNITS.index("AU45_R")] = 1.0
    figures = script["describe"]([track])
    assert figures["minutes"] == pytest.approx(1 / 3)
    assert figures["rise of the brows, 10 to 90 %, median s"] == pytest.approx(0.8, abs=2.1 / script["FPS"])
    assert figures["greatest speed of the brows, median 1/s"] == pytest.approx(1.0, abs=0.01)
    assert np.isnan(figures["rise of the jaw, 10 to 90 %, median s"])
    assert figures["blinks a minute"] == pytest.approx(6.0)
    assert figures["blink, median s above half"] == pytest.approx(0.2, abs=0.04)
    assert figures["correlation AU1, AU2"] == pytest.approx(1.0)
    assert figures["asymmetry of what is shown, median"] == 0.0  # two even units beside an uneven one
    uneven = np.outer(ramp, weights_of({"AU12_L": 0.9, "AU12_R": 0.3}))
    assert script["asymmetry"]([uneven]) == pytest.approx(0.5)


def test_motion_is_compared_with_a_generated_benchmark(project_root, monkeypatch, tmp_path, capsys):
    script = runpy.run_path(str(project_root / "scripts" / "compare_motion.py"))
    rise = np.linspace(0.0, 1.0, 60)[:, None] * weights_of({"AU12": 0.9, "AU26": 0.5})
    monkeypatch.setitem(script["main"].__globals__, "recorded", lambda folder: [np.concatenate([rise, rise[::-1]])])
    monkeypatch.setitem(script["main"].__globals__, "SUBJECTS", 1)
    script["main"](str(tmp_path), "open-4dfer-s")
    table = capsys.readouterr().out
    assert "| | recorded | open-4dfer-s |" in table
    assert table.count("\n| correlation AU") == 10


@pytest.fixture
def write_claims(project_root):
    return runpy.run_path(str(project_root / "scripts/write_claims.py"))


def test_the_published_claims_are_those_of_the_claims_files(write_claims):
    for page, text in write_claims["pages"](write_claims["stored_answers"]()).items():
        assert page.read_text() == text, f"python scripts/write_claims.py renews {page.name}"


def test_a_finding_is_written_in_its_unit(write_claims):
    accuracy = {"unit": "accuracy", "values": [0.781, 0.8], "difference": -0.019, "interval": [-0.03, 0.01], "p": 0.2}
    epochs = {"unit": "epochs", "values": [6.5, None], "difference": None, "interval": None, "p": 1e-4, "p_worse": 0.9}
    measured = write_claims["measured"]
    assert measured(accuracy, "inconclusive") == ["78.1 · 80.0", "−1.9", "−3.0 … +1.0", "0.200"]
    assert measured(epochs, "supported") == ["6.5 · never epochs", "–", "–", "<0.001"]
    assert measured(epochs, "refuted")[-1] == "0.900"
    assert measured({**accuracy, "p_worse": None}, "refuted")[-1] == "0.200"
