"""Live mode without a browser: the newest scan is answered, a bad one costs only itself, and memory stays bounded."""

import os
import time

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from affect4d.app import WATCH, live_watch
from affect4d.app.live_page import FIRST
from affect4d.app.live_page import live_watch as shared_watch
from affect4d.app.live_watch import KEPT, SPAN, LiveWatch, Timeline
from affect4d.app.model_predictions import FOLDERS
from affect4d.inference.results import FramePrediction

PATIENCE = 120.0


def frame(file, *probabilities, reason=""):
    named = dict(zip(("anger", "fear"), probabilities, strict=False))
    status = "ok" if named else "refused"
    return FramePrediction(file, 0, status, "", reason, "anger" if named else None, named, False, 0.0)


def test_the_timeline_has_the_mean_of_every_second_with_an_answer():
    timeline = Timeline()
    for now, anger in ((100.1, 0.2), (100.9, 0.4), (103.5, 1.0)):
        timeline.add(frame(f"{now}.ply", anger, 1 - anger), now)
    seconds, probabilities = timeline.bars(104.0)
    np.testing.assert_allclose(seconds, [-3.5, -0.5])
    np.testing.assert_allclose(probabilities, [[0.3, 0.7], [1.0, 0.0]])
    assert timeline.rate(104.0) == pytest.approx(3 / 5)
    assert timeline.rate(107.0) == pytest.approx(1 / 5)
    assert [len(part) for part in timeline.bars(104.0 + SPAN)] == [0, 0]


def test_the_timeline_keeps_a_bounded_number_of_answers():
    timeline = Timeline()
    for number in range(2 * KEPT):
        timeline.add(frame(f"{number}.ply", 0.5, 0.5), 0.001 * number)
    assert len(timeline._moments) == KEPT
    timeline.add(frame("later.ply", 0.5, 0.5), 1000.0)
    assert len(timeline._moments) == 1


def test_a_refused_scan_is_named_until_it_is_answered_or_old():
    timeline = Timeline()
    timeline.add(frame("half.ply", reason="cut off"), 0.0)
    timeline.add(frame("good.ply", 0.5, 0.5), 1.0)
    assert [(one.file, one.reason) for one in timeline.refused(2.0)] == [("half.ply", "cut off")]
    assert timeline.refused(1.5 + SPAN) == []
    timeline.add(frame("half.ply", 0.5, 0.5), 3.0)
    assert timeline.refused(4.0) == []


@pytest.fixture
def write_scan(tmp_path, scan_files):
    """Writes a scan into the watched folder: complete, or cut off."""
    (tmp_path / "scans").mkdir()
    raw = scan_files.ply_bytes(scan_files.synthetic_face())

    def write(name, size=None):
        (tmp_path / "scans" / name).write_bytes(raw[:size])
        return tmp_path / "scans" / name

    return write


@pytest.fixture
def watch(write_scan, model_folders, tmp_path):
    """A watch of an empty folder."""
    from affect4d.inference import Predictor

    opened = LiveWatch(Predictor.load(model_folders[0]), tmp_path / "scans")
    yield opened
    opened.stop()


def until(watch, condition):
    end = time.monotonic() + PATIENCE
    while not condition(state := watch.look()):
        assert time.monotonic() < end, state
        time.sleep(0.02)
    return state


def shows(scan):
    return lambda state: state.newest is not None and state.newest.frame.file == str(scan)


def test_the_newest_scan_is_answered_and_a_half_written_one_costs_only_itself(watch, write_scan):
    assert watch.look().newest is None
    first = write_scan("0.ply")
    state = until(watch, shows(first))
    assert state.neutral == first
    assert state.newest.face is not None
    half = write_scan("1.ply", 3000)
    state = until(watch, lambda state: state.refused)
    assert state.refused[0].file == str(half)
    assert state.refused[0].reason
    assert shows(first)(state)
    assert shows(second := write_scan("1.ply"))(until(watch, shows(second)))
    state = watch.look()
    assert not state.refused
    assert state.probabilities.sum(axis=1) == pytest.approx(np.ones(len(state.seconds)))
    assert state.rate > 0


def test_a_scan_of_the_folder_can_be_chosen_as_the_neutral_one(watch, write_scan):
    first, second = write_scan("0.ply"), write_scan("1.ply")
    until(watch, shows(second))
    watch.choose_neutral(second)
    assert until(watch, lambda state: state.neutral).neutral == second
    watch.choose_neutral(write_scan("2.ply", 3000))
    state = until(watch, lambda state: state.remark and state.neutral)
    assert state.remark.startswith("2.ply is not used as the neutral scan: ")
    assert state.neutral != watch.chosen
    assert not state.error
    watch.choose_neutral(None)
    assert until(watch, lambda state: state.neutral).neutral == first


@pytest.mark.parametrize("at_once", [True, False])
def test_a_folder_that_is_removed_and_made_again_is_watched_again(watch, write_scan, at_once):
    scan = write_scan("0.ply")
    until(watch, shows(scan))
    scan.parent.rename(scan.parent.with_name("removed"))  # its number on the disk is not given to the new one
    thread = watch._thread
    if not at_once:
        until(watch, lambda _: not thread.is_alive())
    scan.parent.mkdir()
    until(watch, shows(write_scan("1.ply")))


def test_nothing_is_answered_while_nobody_looks(watch, write_scan, monkeypatch):
    until(watch, shows(write_scan("0.ply")))
    monkeypatch.setattr(live_watch, "IDLE", 0.2)
    watch._thread.join(PATIENCE)
    assert not watch._thread.is_alive()
    monkeypatch.undo()
    until(watch, shows(write_scan("1.ply")))


def test_an_error_that_ends_the_watch_is_told(watch, write_scan, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("the driver renders wrong images")

    monkeypatch.setattr(live_watch, "answer_scans", fail)
    watch.choose_neutral(None)
    assert "RuntimeError: the driver renders wrong images" in until(watch, lambda state: state.error).error


@pytest.fixture
def open_page(write_scan, model_folders, tmp_path, project_root, monkeypatch):
    monkeypatch.setenv(FOLDERS, os.pathsep.join(map(str, model_folders)))
    monkeypatch.setattr("affect4d.inference.packaged_model_description.PACKAGED", tmp_path / "none")
    monkeypatch.chdir(tmp_path)

    def open_app(folder=tmp_path / "scans"):
        monkeypatch.setenv(WATCH, str(folder))
        page = AppTest.from_file(str(project_root / "src/affect4d/app/streamlit_app.py"), default_timeout=180).run()
        assert not page.exception
        return page

    yield open_app
    shared_watch.clear()


def said(page):
    kinds = (page.markdown, page.caption, page.info, page.warning)
    return " ".join(element.value for kind in kinds for element in kind)


def rerun_until(page, condition):
    end = time.monotonic() + PATIENCE
    while not condition(page.run()):
        assert not page.exception
        assert time.monotonic() < end, said(page)
        time.sleep(0.1)


def test_the_page_shows_the_newest_scan_and_one_line_for_a_bad_one(open_page, write_scan):
    page = open_page()
    assert "No usable scan in **scans** yet" in said(page)
    write_scan("0.ply")
    rerun_until(page, lambda page: r"**0\.ply** · " in said(page))
    write_scan("![x](y).ply", 3000)
    rerun_until(page, lambda page: r"**\!\[x\]\(y\)\.ply** cannot be used: " in said(page))
    assert r"**0\.ply** · " in said(page)
    write_scan("2.ply")
    rerun_until(page, lambda page: r"**2\.ply** · " in said(page))
    assert r"Movement is since **0\.ply**" in said(page)
    assert "Probabilities are not calibrated" in said(page)


def test_the_neutral_scan_is_chosen_by_name_or_as_it_is_shown(open_page, write_scan):
    write_scan("0.ply")
    write_scan("1.ply")
    page = open_page()
    rerun_until(page, lambda page: r"**1\.ply** · " in said(page))
    assert page.selectbox(key="live neutral").options == [FIRST, "0.ply", "1.ply"]
    page.selectbox(key="live neutral").set_value("1.ply").run()
    rerun_until(page, lambda page: r"Movement is since **1\.ply**" in said(page))
    page.selectbox(key="live neutral").set_value(FIRST).run()
    rerun_until(page, lambda page: r"Movement is since **0\.ply**" in said(page) and r"**1\.ply** · " in said(page))
    page.button[0].click().run()
    rerun_until(page, lambda page: r"Movement is since **1\.ply**" in said(page))
    assert page.selectbox(key="live neutral").value == "1.ply"


def test_a_folder_that_is_gone_is_a_sentence(open_page, tmp_path):
    assert "There is no folder **gone** any more" in said(open_page(tmp_path / "gone"))


def test_live_mode_is_only_offered_where_the_app_was_started_with_a_folder(open_page, monkeypatch):
    assert "A watched folder" in open_page().segmented_control(key="where").options
    assert "A watched folder" not in open_page("").segmented_control(key="where").options
