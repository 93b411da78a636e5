"""Many recordings: every bad file is a row, and a scan that kills its process is one, too."""

import dataclasses
import importlib.util
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from affect4d.inference import PackagedModelError, batch
from affect4d.inference.batch import _load_pyfunc, predict_recordings
from affect4d.inference.find_recordings import find_recordings
from affect4d.inference.packaged_model_description import DESCRIPTION_FILE
from affect4d.inference.results import ResultTables
from affect4d.parallel import LostChunkError
from affect4d.parallel import chunks as parallel_chunks

EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")


def bad_files():
    """The list of bad files that every reader is tried on."""
    folder = Path(__file__).parents[1] / "scans"
    for name, file in (("scan_files", "scan_files.py"), ("bad_scan_files", "readers/test_bad_files.py")):
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, folder / file)
            sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[name])
    return sys.modules["bad_scan_files"]


@pytest.fixture(scope="module")
def packaged(make_packaged_model):
    return make_packaged_model("compact").folder


def lay_bad_files(root):
    """Every kind of rubbish under every suffix, every format cut short, what never ends, and what is a folder."""
    bad = bad_files()
    for name, (suffix, good) in bad.GOOD.items():
        for kind, raw in bad.ALWAYS_WRONG.items():
            (root / f"{kind} {name}{suffix}").write_bytes(raw)
        raw = good if isinstance(good, bytes) else good.encode()
        for tenth in (3, 9):
            (root / f"cut {tenth} {name}{suffix}").write_bytes(raw[: len(raw) * tenth // 10])
    for kind, (suffix, raw) in bad.NEVER_ENDING.items():
        if suffix != ".lm3":
            (root / f"{kind}{suffix}").write_bytes(raw)
    (root / "loop.ply").symlink_to(root / "loop.ply")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_bad_file_is_one_row_with_its_reason(packaged, raw_scans, tmp_path):
    lay_bad_files(tmp_path)
    for suffix in (".wrl", ".jpg"):
        (tmp_path / f"a face{suffix}").write_bytes((raw_scans / "F001" / "Happy" / f"001{suffix}").read_bytes())
    recordings = find_recordings(tmp_path)
    tables = ResultTables(EXPRESSIONS, ("front", "left", "right"))
    for answer, _ in predict_recordings(recordings, packaged):
        tables.add(answer)
    predictions, timelines = tables.tables()
    assert len(predictions) == len(timelines) == len(recordings) > 100
    told = predictions.set_index("recording")
    assert told.loc["a face.wrl", "expression"] in EXPRESSIONS
    bad = told.drop("a face.wrl")
    refused = bad[bad["status"] == "refused"]
    assert refused["expression"].isna().all()
    assert (refused["code"].str.len() > 0).all()
    assert (refused["reason"].str.len() > 5).all()
    cut_obj = [name for name in bad.index if name.startswith("cut ") and name.endswith(".obj")]
    assert set(bad.index[bad["status"] != "refused"]) <= set(cut_obj)  # nothing in an .obj says where it ends


def test_a_wholly_refused_sequence_is_one_row_and_tells_every_frame(packaged, tmp_path):
    for frame in range(3):
        (tmp_path / f"{frame}.ply").write_bytes(b"garbage")
    ((answer, image),) = predict_recordings(find_recordings(tmp_path), packaged, images=1)
    assert (answer.status, answer.expression, image) == ("refused", None, b"")
    assert [frame.status for frame in answer.frames] == ["refused"] * 3
    assert "none of 3 scans" in answer.reason


DEATHS = {"worker-lost": LostChunkError("its process died"), "failed": IndexError("nobody foresaw this")}


@pytest.fixture(params=DEATHS)
def deadly(monkeypatch, request):
    """Processes die of, or fail on, every chunk that holds the scan ``001.wrl`` of ``Happy``; gives the code of it."""
    work = parallel_chunks.map_chunks

    def map_chunks(function, chunks, *args, **kwargs):
        for job in chunks:
            if any(row["scan"].endswith("Happy/001.wrl") for row in job.recording.rows):
                yield job, DEATHS[request.param]
            else:
                yield from work(function, [job], *args, **kwargs)

    monkeypatch.setattr(parallel_chunks, "map_chunks", map_chunks)
    return request.param


def test_a_scan_that_kills_its_process_costs_itself(deadly, packaged, raw_scans):
    recordings = [one for one in find_recordings(raw_scans / "F001") if one.name in ("Happy", "Sad")]
    answers = {answer.name: answer for answer, _ in predict_recordings(recordings, packaged)}
    assert answers["Sad"].status != "refused"
    happy = answers["Happy"]
    assert [frame.status == "refused" for frame in happy.frames] == [False, True, False]
    assert happy.frames[1].code == happy.code == deadly
    assert happy.expression in EXPRESSIONS
    (recording,) = [one for one in recordings if one.name == "Happy"]
    kept = dataclasses.replace(recording, rows=(recording.rows[0], recording.rows[2]))
    ((rest, _),) = predict_recordings([kept], packaged)
    assert rest.probabilities == pytest.approx(dict(happy.probabilities), abs=1e-5)


def test_a_single_scan_that_kills_its_process_is_a_row(deadly, packaged, raw_scans):
    (recording,) = find_recordings(raw_scans / "F001" / "Happy" / "001.wrl")
    recording = dataclasses.replace(
        recording, root=raw_scans, rows=({**recording.rows[0], "scan": "F001/Happy/001.wrl"},)
    )
    ((answer, _),) = predict_recordings([recording], packaged)
    assert (answer.status, answer.code, len(answer.frames)) == ("refused", deadly, 1)


def test_a_model_at_fault_ends_the_batch_with_a_word(tmp_path, raw_scans):
    recordings = find_recordings(raw_scans / "F001" / "Happy" / "001.wrl")
    with pytest.raises(PackagedModelError, match="is not a packaged model"):
        list(predict_recordings(recordings, tmp_path))


def test_pictures_are_drawn_of_the_first_recordings_only(packaged, raw_scans):
    recordings = find_recordings(raw_scans / "F001")[:2]
    outcomes = list(predict_recordings(recordings, packaged, images=1))
    assert [len(outcome.image) > 1000 for outcome in outcomes] == [True, False]


def test_tables_have_their_columns_whatever_was_refused(packaged, tmp_path):
    (tmp_path / "bad.stl").write_bytes(b"")
    tables = ResultTables(EXPRESSIONS, ("front",))
    for answer, _ in predict_recordings(find_recordings(tmp_path), packaged):
        tables.add(answer)
    predictions, timelines = tables.tables()
    before = ["recording", "file", "subject", "model", "expression"]
    between = ["calibrated", "nearest_prompts", "weight_front"]
    after = ["frames", "usable", "onset", "apex", "offset", "status", "code", "reason"]
    probabilities = [f"prob_{name}" for name in EXPRESSIONS]
    assert list(predictions.columns) == [*before, *probabilities, *between, *after]
    assert predictions["prob_anger"].dtype == timelines["prob_anger"].dtype == "float64"
    assert predictions["onset"].dtype == "Int64"


def test_columns_keep_their_types_when_the_last_part_is_empty(packaged, raw_scans, monkeypatch):
    monkeypatch.setattr("affect4d.inference.results.CHUNK", 1)
    whole, parts = ResultTables(EXPRESSIONS, ("front",)), ResultTables(EXPRESSIONS, ("front",))
    for answer, _ in predict_recordings(find_recordings(raw_scans / "F001" / "Happy"), packaged):
        parts.add(answer)  # packed at once: nothing is left for the last part
        monkeypatch.setattr("affect4d.inference.results.CHUNK", 99)
        whole.add(answer)
    for ours, usual in zip(parts.tables(), whole.tables(), strict=True):
        pd.testing.assert_frame_equal(ours, usual)


def test_mlflow_gets_a_row_for_every_path(packaged, raw_scans, tmp_path):
    scan = raw_scans / "F001" / "Happy" / "001.wrl"
    (tmp_path / "bad.ply").write_bytes(b"")
    model = _load_pyfunc(str(packaged))
    table = model.predict([str(scan), str(tmp_path / "bad.ply")])
    assert table["status"].tolist() == ["ok", "refused"]
    json.dumps(table.to_dict("records"), allow_nan=False)
    one = model.predict(table.assign(path=[str(scan)] * 2)[["path"]].head(1))
    assert one["prob_fear"].item() == pytest.approx(table.set_index("recording").loc["001.wrl", "prob_fear"])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        model.predict(["/nowhere"])


def test_a_process_reads_a_packaged_model_anew_that_was_written_anew(tmp_path, monkeypatch):
    """A worker of a cluster may outlive a training that writes into the same folder."""
    read = []
    model = SimpleNamespace(preprocessor=SimpleNamespace(try_scan=lambda recording: None))
    monkeypatch.setattr("affect4d.inference.predictor.Predictor.load", lambda packaged: read.append(packaged) or model)
    job = SimpleNamespace(model=tmp_path, recording=None)
    for written in (1, 1, 2):
        (tmp_path / DESCRIPTION_FILE).touch()
        os.utime(tmp_path / DESCRIPTION_FILE, ns=(written, written))
        batch.try_scan(job)
    assert read == [tmp_path, tmp_path]
    batch._predictor.cache_clear()
