"""Live prediction: a file is answered once it is complete, and a bad one costs only itself."""

import dataclasses
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest

import affect4d
from affect4d.__main__ import main
from affect4d.inference import watch_folder
from affect4d.inference.watch_folder import REMEMBERED, answer_scans, first_scans, watch_scans

PATIENCE = 60.0


@pytest.fixture
def watched(tmp_path):
    """A folder, and the names of scans that a watch of it gives, as a list that grows."""
    stop, found = threading.Event(), []

    def watch():
        for path in watch_scans(tmp_path, settle=0.2, stop=stop):
            found.append((path.name, path.stat().st_size))

    thread = threading.Thread(target=watch)
    thread.start()
    yield tmp_path, found
    stop.set()
    thread.join()


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_a_scan_comes_once_it_is_complete_and_other_files_do_not(watched):
    folder, found = watched
    with (folder / "a.ply").open("wb") as scan:
        for _ in range(8):
            scan.write(b"12345678")
            scan.flush()
            time.sleep(0.02)
    (folder / "notes.txt").write_text("nothing")
    until(lambda: found)
    time.sleep(0.5)
    assert found == [("a.ply", 64)]


def test_a_scan_whose_files_change_comes_again(watched):
    folder, found = watched
    (folder / "a.ply").write_bytes(b"half")
    until(lambda: len(found) == 1)
    (folder / "a.ply").write_bytes(b"whole scan")
    until(lambda: len(found) == 2)
    (folder / ".b.ply.part").write_bytes(b"moved into place")
    (folder / ".b.ply.part").rename(folder / "b.ply")
    until(lambda: len(found) == 3)
    assert found == [("a.ply", 4), ("a.ply", 10), ("b.ply", 16)]


def test_scans_that_are_there_come_in_the_order_of_their_last_change(tmp_path):
    for name in ("10.ply", "9.ply", "8.obj"):
        (tmp_path / name).write_bytes(name.encode())
    stop, found = threading.Event(), []
    for path in watch_scans(tmp_path, settle=0.01, stop=stop):
        found.append(path.name)
        if len(found) == 3:
            stop.set()
    assert found == ["10.ply", "9.ply", "8.obj"]
    assert REMEMBERED < 1000


def test_of_scans_that_are_complete_together_only_the_newest_come_where_asked(tmp_path):
    for number in range(5):
        scan = tmp_path / f"{number}.ply"
        scan.write_bytes(b"scan")
        os.utime(scan, (1e9 + number, 1e9 + number))
    stop, found = threading.Event(), []
    for path in watch_scans(tmp_path, settle=0.01, stop=stop, newest=2):
        found.append(path.name)
        if len(found) == 2:
            (tmp_path / "5.ply").write_bytes(b"later")
        if len(found) == 3:
            stop.set()
    assert found == ["3.ply", "4.ply", "5.ply"]


def test_a_scan_is_complete_some_time_after_it_was_written_or_moved(tmp_path):
    folder, part = tmp_path / "scans", tmp_path / "part"
    folder.mkdir()
    (folder / "old.ply").write_bytes(b"scan")
    time.sleep(0.3)
    stop = threading.Event()
    watch = watch_scans(folder, settle=0.25, stop=stop)
    assert next(watch).name == "old.ply"
    time.sleep(0.3)  # the watch does not look meanwhile
    part.write_bytes(b"scan")
    os.utime(part, (1e9, 1e9))
    moved = time.monotonic()
    part.rename(folder / "moved.ply")
    assert next(watch).name == "moved.ply"
    assert time.monotonic() - moved >= 0.2
    stop.set()


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_a_file_systems_other_clock_makes_no_half_written_scan_complete(tmp_path, monkeypatch, ahead):
    now = time.time
    monkeypatch.setattr(watch_folder.time, "time", lambda: now() + ahead)
    stop = threading.Event()
    watch = watch_scans(tmp_path, settle=0.3, stop=stop)
    (tmp_path / "first.ply").write_bytes(b"scan")
    assert next(watch).name == "first.ply"

    def write():
        time.sleep(0.2)  # the watch looks at an empty folder by then
        with (tmp_path / "a.ply").open("wb") as scan:
            for _ in range(8):
                scan.write(b"12345678")
                scan.flush()
                time.sleep(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    assert next(watch).stat().st_size == 64
    writer.join()
    stop.set()


@dataclasses.dataclass(frozen=True)
class Options:
    answer_unsure: bool = False
    keep_faces: bool = False


class Take:
    """Stands for the preparation of scans; the second scan cannot be rendered."""

    def __init__(self, options, neutral):
        self.read_third = threading.Event()

    def read(self, recording):
        if recording.name == "2.ply":
            self.read_third.set()
        return recording.name

    def render(self, recording, raw):
        if raw == "1.ply":
            assert self.read_third.wait(PATIENCE), "the third scan is not read while the second is rendered"
            raise ArithmeticError("1.ply is bad")
        return raw

    def prepare(self, recording, rendered):
        return types.SimpleNamespace(scans=[types.SimpleNamespace(face=None)], name=rendered)


class Named:
    """Stands for a model: it answers with the name of the scan."""

    preprocessor = Options()

    def classify(self, prepared):
        return types.SimpleNamespace(frames=[types.SimpleNamespace(file=prepared.name, status="ok", reason="")])


def test_an_answer_does_not_wait_for_the_next_scan_and_the_next_is_read_meanwhile(monkeypatch, tmp_path):
    monkeypatch.setattr(watch_folder, "LiveTake", Take)
    scans, stop = queue.SimpleQueue(), object()
    answers = answer_scans(Named(), iter(scans.get, stop))
    scans.put(tmp_path / "0.ply")
    assert next(answers).frame.file == "0.ply"
    for number in range(1, 5):
        scans.put(tmp_path / f"{number}.ply")
    scans.put(stop)
    rest = [answer.frame for answer in answers]
    assert [Path(frame.file).name for frame in rest] == [f"{number}.ply" for number in range(1, 5)]
    assert [frame.status for frame in rest] == ["refused", "ok", "ok", "ok"]
    assert rest[0].reason == "ArithmeticError: 1.ply is bad"


def test_a_program_ends_though_no_more_scans_come(tmp_path):
    code = """
import sys, types
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_watch_folder import Named, Take
from affect4d.inference import watch_folder
watch_folder.LiveTake = Take
for answer in watch_folder.answer_scans(Named(), watch_folder.watch_scans(Path(sys.argv[1]))):
    print(answer.frame.file)
    break
"""
    (tmp_path / "a.ply").write_bytes(b"scan")
    command = [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "a.ply\n"


def test_what_ends_the_scans_ends_the_answers(monkeypatch, tmp_path):
    monkeypatch.setattr(watch_folder, "LiveTake", Take)
    with pytest.raises(FileNotFoundError, match="to watch"):
        next(answer_scans(Named(), watch_scans(tmp_path / "nowhere")))


def test_the_first_scans_of_a_folder_are_in_natural_order(tmp_path):
    for name in ("10.ply", "9.PLY", "1.txt", "b/2.obj", "11.ply"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [scan.name for scan in first_scans(tmp_path, 2)] == ["9.PLY", "10.ply"]
    assert [scan.name for scan in first_scans(tmp_path, 9)] == ["9.PLY", "10.ply", "11.ply", "2.obj"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*elsewhere to watch"):
        next(watch_scans(tmp_path / "elsewhere"))


@pytest.mark.slow
def test_answers_are_those_of_a_single_call_and_a_bad_file_costs_only_itself(make_packaged_model, raw_scans, tmp_path):
    model = make_packaged_model("compact").folder
    first, second = sorted(next(raw_scans.glob("F001/*")).glob("*.wrl"))[:2]
    bad = tmp_path / "half.wrl"
    bad.write_bytes(second.read_bytes()[:3000])
    predictor = affect4d.load(model)
    answers = list(answer_scans(predictor, [first, bad, second], keep_faces=True))
    assert [answer.face is None for answer in answers] == [False, True, False]
    assert [answer.frame.status == "refused" for answer in answers] == [False, True, False]
    assert answers[1].frame.reason
    assert answers[0].frame.activity == 0
    alone = predictor.predict(second, neutral=first).probabilities
    line = answers[2].line()
    assert {name: line[f"prob_{name}"] for name in alone} == pytest.approx(alone, abs=1e-3)
    assert list(answers[1].line()) == ["file", "frame", "expression", "activity", "status", "code", "reason", "seconds"]


@pytest.mark.slow
def test_the_command_answers_each_scan_and_ends_on_an_interrupt(make_packaged_model, raw_scans, tmp_path):
    model = str(make_packaged_model("compact").folder)
    scans = sorted(next(raw_scans.glob("F001/*")).glob("*.wrl"))[:2]
    command = [sys.executable, "-m", "affect4d", "predict", "--watch", str(tmp_path), "--model", model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as watching:
        for scan in scans:
            shutil.copy(scan.with_suffix(".jpg"), tmp_path)
            shutil.copy(scan, tmp_path)
            assert json.loads(watching.stdout.readline())["file"] == str(tmp_path / scan.name)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE) == 1


@pytest.mark.slow
def test_the_command_prints_a_table_or_csv(make_packaged_model, raw_scans, tmp_path, capsys):
    model = str(make_packaged_model("compact").folder)
    first, second = sorted(next(raw_scans.glob("F001/*")).glob("*.wrl"))[:2]
    main(["predict", str(second), "--model", model, "--neutral", str(first)], standalone_mode=False)
    assert "expression" in capsys.readouterr().out
    main(["predict", str(second), "--model", model, "--neutral", str(first), "--csv"], standalone_mode=False)
    header, row = capsys.readouterr().out.splitlines()
    assert header.startswith("recording,file,subject,model,expression,prob_")
    assert "no neutral frame" not in row
    bad = tmp_path / "bad.wrl"
    shutil.copy(__file__, bad)
    with pytest.raises(SystemExit, match="1"):
        main(["predict", str(bad), "--model", model, "--csv"], standalone_mode=False)
    assert "refused" in capsys.readouterr().out


def test_help_names_the_commands(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"], standalone_mode=True)
    shown = capsys.readouterr().out
    assert "predict" in shown
    assert "--pipeline=NAME" in shown


@pytest.mark.parametrize("words", [[], ["scan.ply", "--watch", "folder"]])
def test_the_command_wants_scans_or_a_folder(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["predict", *words], standalone_mode=True)
    assert "Give scans, or a folder to --watch." in capsys.readouterr().err


def test_an_unknown_model_is_a_sentence(capsys):
    with pytest.raises(SystemExit, match="1"):
        main(["predict", "scan.ply", "--model", "nobody"], standalone_mode=True)
    assert "nobody" in capsys.readouterr().err
