import re
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError
from scan_files import bnd_text, bumpy_grid, mean_face, obj_text, write_corpus, write_picture, wrl_text

from affect4d.parallel import CodeMismatchError, EngineOptions, LostChunkError, chunks
from affect4d.scans import alignment
from affect4d.scans import ingest as ingest_module
from affect4d.scans.alignment.mean_face import MEAN_LANDMARKS
from affect4d.scans.corpora import CORPORA, corpus_named
from affect4d.scans.corpora.corpus_class_and_scan_table import SCAN_COLUMNS
from affect4d.scans.geometry import apply_pose
from affect4d.scans.ingest import (
    CorpusRefusedError,
    IngestOptions,
    ingest_source,
    load_canonical_scan,
)
from affect4d.scans.ingest_tables import REMEDIES, REPORT_COLUMNS, SCAN_MANIFEST, landmarks_in, pose_in, reasons_table
from affect4d.scans.readers.range_image import Intrinsics
from affect4d.scans.scan import ScanError
from affect4d.scans.scan_source_and_corpus_folder import FileSource
from affect4d.store import ContentStore

HERE = IngestOptions()


@pytest.fixture
def store(tmp_path):
    return ContentStore(tmp_path / "store")


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "corpus")


def test_a_whole_corpus_gives_a_valid_manifest_and_a_row_a_scan(corpus, store):
    ingest = ingest_source(FileSource(corpus, "bu4dfe"), HERE, store)
    SCAN_MANIFEST.validate(ingest.manifest)
    assert len(ingest.manifest) == 8
    assert list(ingest.report.columns) == list(REPORT_COLUMNS)
    assert ingest.report["scan"].tolist() == ingest.manifest["scan"].tolist()
    assert set(ingest.report["method"]) == {"detection", "tracking"}
    assert set(ingest.report["landmark_source"]) == {"given"}
    assert set(ingest.report["texture_size"]) == {"8 × 6"}
    assert (ingest.report["raw_vertices"] > ingest.report["vertices"]).all()
    assert ingest.completeness.set_index("item").loc["subjects", "found"] == 2
    assert set(ingest.manifest["status"]) == {"ok"}
    assert set(ingest.manifest["expression"]) == {"anger", "happiness"}
    assert ingest.manifest["confidence"].min() > 0.95
    first = ingest.manifest.iloc[0]
    given = MEAN_LANDMARKS + np.float32(0.5)
    np.testing.assert_allclose(landmarks_in(first), apply_pose(given, pose_in(first)), atol=1e-3)
    np.testing.assert_allclose(landmarks_in(first), MEAN_LANDMARKS, atol=10)


def test_the_size_of_a_texture_is_its_file_s_and_a_cut_one_is_found(corpus, store):
    write_picture(corpus / "F001/Angry/000.jpg", (320, 240))
    cut = corpus / "F001/Angry/001.jpg"
    write_picture(cut, (320, 240))
    cut.write_bytes(cut.read_bytes()[:-600])
    report = ingest_source(FileSource(corpus, "bu4dfe"), HERE, store).report.set_index("scan")
    assert report.loc["F001/Angry/000.wrl", "texture_size"] == "320 × 240"
    assert "texture unreadable" in report.loc["F001/Angry/001.wrl", "reason"]


def test_a_canonical_scan_is_read_again_from_its_row(corpus, store):
    row = ingest_source(FileSource(corpus, "bu4dfe"), HERE, store).manifest.iloc[3]
    scan = load_canonical_scan(corpus, row)
    assert (len(scan.vertices), len(scan.faces)) == (row["vertices"], row["faces"])
    assert np.linalg.norm(scan.vertices, axis=1).max() <= HERE.crop_radius
    assert scan.texture.shape == (6, 8, 3)
    assert scan.landmarks.shape == (83, 3)
    with pytest.raises(ScanError, match="empty-crop"):
        load_canonical_scan(corpus, {**row, "crop_radius": 0.1})


def test_what_is_mended_is_mended_alike_when_it_is_read_again(corpus, store):
    scan = bumpy_grid(60)
    scan.vertices[30 * 60 + 40, 2] += 25
    (corpus / "F001/Angry/001.wrl").write_text(wrl_text(scan, "001.jpg"))
    ingest = ingest_source(FileSource(corpus, "bu4dfe"), HERE, store)
    row = ingest.manifest.set_index("scan", drop=False).loc["F001/Angry/001.wrl"]
    assert ingest.report.set_index("scan").loc["F001/Angry/001.wrl", "spikes"] == 1
    again = load_canonical_scan(corpus, row)
    assert (len(again.vertices), len(again.faces)) == (row["vertices"], row["faces"])
    assert again.vertices[:, 2].max() < 3


def test_one_broken_scan_is_one_report_row(corpus, store):
    (corpus / "F001/Angry/001.wrl").write_text("garbage")
    (corpus / "M001/Happy/000.jpg").unlink()
    (corpus / "BU4DFE_BND_V1.1/M001/Happy/001.bnd").write_text("garbage")
    ingest = ingest_source(FileSource(corpus, "bu4dfe"), HERE, store)
    assert len(ingest.manifest) == 7
    report = ingest.report[ingest.report["status"] != "ok"].set_index("scan")
    assert list(report.index) == ["F001/Angry/001.wrl", "M001/Happy/000.wrl", "M001/Happy/001.wrl"]
    assert report["status"].tolist() == ["refused", "repaired", "repaired"]
    assert report["code"].iloc[:2].tolist() == ["not-vrml", "repaired"]
    assert report["method"].iloc[2] == "tracking"
    assert report["landmark_source"].iloc[2] == "found"
    assert pd.isna(report["confidence"].iloc[0])
    assert "texture missing" in report["reason"].iloc[1]
    assert "landmarks refused" in report["reason"].iloc[2]


def test_a_second_ingest_reads_nothing(corpus, store, monkeypatch):
    first = ingest_source(FileSource(corpus, "bu4dfe"), HERE, store)
    monkeypatch.setattr(ingest_module, "map_splitting_failures", lambda *_, **__: pytest.fail("read again"))
    begun = time.perf_counter()
    second = ingest_source(FileSource(corpus, "bu4dfe"), HERE, store, EngineOptions(workers=2))
    assert time.perf_counter() - begun < 0.5
    pd.testing.assert_frame_equal(first.manifest, second.manifest)
    pd.testing.assert_frame_equal(first.report, second.report)
    pd.testing.assert_frame_equal(first.completeness, second.completeness)


def test_a_changed_file_or_option_is_read_again(corpus, store):
    first = ingest_source(FileSource(corpus, "bu4dfe"), HERE, store)
    smaller = ingest_source(FileSource(corpus, "bu4dfe"), IngestOptions(crop_radius=60), store)
    assert smaller.manifest["vertices"].max() < first.manifest["vertices"].min()
    (corpus / "F001/Angry/000.wrl").unlink()
    assert len(ingest_source(FileSource(corpus, "bu4dfe"), HERE, store).manifest) == 7


def test_the_order_of_work_does_not_change_the_manifest(corpus, store, tmp_path, monkeypatch):
    alone = ingest_source(FileSource(corpus, "bu4dfe"), HERE, store)
    real = chunks._run_here
    monkeypatch.setattr(chunks, "_run_here", lambda function, given: real(function, given[::-1]))
    reordered = ingest_source(FileSource(corpus, "bu4dfe"), HERE, ContentStore(tmp_path / "other"))
    pd.testing.assert_frame_equal(reordered.manifest, alone.manifest)


def failing(error):
    """Work in this process where every chunk with one certain scan ends in an error."""
    real = chunks._run_here

    def run_here(function, given):
        for chunk, result in real(function, given):
            lost = any(row["scan"] == "F001/Angry/001.wrl" for row in chunk)
            yield chunk, error if lost else result

    return run_here


@pytest.mark.parametrize(
    ("error", "code", "remedy"),
    [
        (LostChunkError("it died"), "worker-lost", "fewer workers"),
        (IndexError("nobody foresaw this"), "failed", "report it"),
    ],
)
def test_a_lost_worker_or_an_unforeseen_error_costs_its_scan_only(corpus, store, monkeypatch, error, code, remedy):
    monkeypatch.setattr(chunks, "_run_here", failing(error))
    ingest = ingest_source(FileSource(corpus, "bu4dfe"), HERE, store)
    assert len(ingest.manifest) == 7
    assert ingest.report["code"].value_counts().to_dict() == {"": 7, code: 1}
    assert str(error) in ingest.report.set_index("code").loc[code, "reason"]
    assert remedy in reasons_table(ingest.report).set_index("code").loc[code, "remedy"]
    monkeypatch.undo()
    assert len(ingest_source(FileSource(corpus, "bu4dfe"), HERE, store).manifest) == 8, "an accident is kept"


def test_a_worker_with_other_code_ends_the_run(corpus, store, monkeypatch):
    monkeypatch.setattr(chunks, "_run_here", failing(CodeMismatchError("another version")))
    with pytest.raises(CodeMismatchError, match="another version"):
        ingest_source(FileSource(corpus, "bu4dfe"), HERE, store)


def test_a_missing_or_empty_folder_says_what_to_do(tmp_path, store):
    (tmp_path / "empty").mkdir()
    for name in ("nowhere", "empty"):
        with pytest.raises(FileNotFoundError, match=f"{name}.*corpus_roots.*generate"):
            ingest_source(FileSource(tmp_path / name, "bu4dfe"), HERE, store)


def test_an_unknown_layout_lists_the_known_ones(tmp_path, store):
    with pytest.raises(ValueError, match=r"bu4dfe.*folder"):
        ingest_source(FileSource(tmp_path, "bu5dfe"), HERE, store)


def test_a_folder_of_another_layout_says_so(tmp_path, store):
    write_corpus(tmp_path / "outer" / "corpus")
    (tmp_path / "outer" / "papers").mkdir()
    (tmp_path / "outer" / "papers" / "000.obj").touch()
    inside = f"holds the subjects: {tmp_path / 'outer' / 'corpus'}, it seems, or use the layout 'folder'"
    with pytest.raises(CorpusRefusedError, match=f"Point the corpus folder at the folder that {re.escape(inside)}"):
        ingest_source(FileSource(tmp_path / "outer", "bu4dfe"), HERE, store)
    with pytest.raises(CorpusRefusedError, match=r"holds the subjects, or use the layout"):
        ingest_source(FileSource(tmp_path / "outer" / "papers", "bu4dfe"), HERE, store)


def test_folders_near_the_root_are_tried_before_those_far_below(tmp_path, store):
    for number in range(60):
        (tmp_path / "outer" / "archive" / f"{number:02}").mkdir(parents=True)
        (tmp_path / "outer" / "archive" / f"{number:02}" / "000.obj").touch()
    write_corpus(tmp_path / "outer" / "corpus")
    with pytest.raises(CorpusRefusedError, match=f"subjects: {re.escape(str(tmp_path / 'outer' / 'corpus'))}, it"):
        ingest_source(FileSource(tmp_path / "outer", "bu4dfe"), HERE, store)


def test_a_folder_that_is_tried_in_vain_does_not_hide_what_is_wrong(tmp_path, store):
    """A sheet that some sub-folder holds may be refused; what is told is of the folder that was named."""
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    (tmp_path / "outer" / "inner" / "subjects.csv").write_text("nobody\n1\n")
    with pytest.raises(CorpusRefusedError, match=r"outer is laid out as .*holds the subjects, or use"):
        ingest_source(FileSource(tmp_path / "outer", "bu4dfe"), HERE, store)


def test_a_pattern_or_a_table_that_names_nothing_is_named(tmp_path, store):
    root = tmp_path / "mine"
    (root / "anna").mkdir(parents=True)
    (root / "anna" / "0.obj").write_text(obj_text(bumpy_grid()))
    source = FileSource(root, "folder", pattern="{subject}/{expression}/{frame}.obj")
    with pytest.raises(
        CorpusRefusedError, match=r"fits the pattern '\{subject\}/.*e\.g\. anna/0\.obj.*corpus_patterns"
    ):
        ingest_source(source, HERE, store)
    (root / "scans.csv").write_text("file,subject\nbob/0.obj,bob\nbob/1.obj,bob\n")
    with pytest.raises(CorpusRefusedError, match=r"None of the 2 files .* is there: bob/0\.obj, bob/1\.obj; it holds"):
        ingest_source(FileSource(root, "folder"), HERE, store)
    (root / "scans.csv").unlink()
    (root / "anna" / "0.obj").rename(root / "anna" / "0.txt")
    with pytest.raises(CorpusRefusedError, match=r"anna/0\.txt.*holds the subjects\. Scans end in \.wrl"):
        ingest_source(FileSource(root, "folder"), HERE, store)


def test_too_many_refused_scans_refuse_the_corpus(corpus, store):
    for name in ("000", "001"):
        (corpus / f"F001/Angry/{name}.wrl").write_text("garbage")
    with pytest.raises(CorpusRefusedError, match=r"2 of 8 scans in .*2 × not-vrml.*max_refused_share"):
        ingest_source(FileSource(corpus, "bu4dfe"), HERE, store)
    assert len(ingest_source(FileSource(corpus, "bu4dfe"), IngestOptions(max_refused_share=0.3), store).manifest) == 6


def test_no_usable_scan_refuses_the_corpus(corpus, store):
    for path in corpus.rglob("*.wrl"):
        path.write_text("garbage")
    with pytest.raises(CorpusRefusedError, match=r"8 of 8.*check the corpus layout\.$"):
        ingest_source(FileSource(corpus, "bu4dfe"), IngestOptions(max_refused_share=1), store)


def test_a_pose_beside_the_crop_is_told_from_something_that_is_no_face(corpus, monkeypatch):
    beside = np.eye(4)
    beside[0, 3] = 1000.0
    monkeypatch.setattr(alignment.TakeAligner, "align", lambda *_: SimpleNamespace(pose=beside))
    row = dict.fromkeys(SCAN_COLUMNS) | {"scan": "F001/Angry/000.wrl"}
    (told,) = ingest_module.ingest_sequence(FileSource(corpus), 95.0, [row])
    assert told["code"] == "empty-crop"
    assert "crop_radius" in REMEDIES[told["code"]]


def test_options_are_bounded():
    for wrong in ({"crop_radius": 0}, {"max_refused_share": 2}, {"radius": 3}):
        with pytest.raises(ValidationError):
            IngestOptions(**wrong)


@pytest.mark.parametrize("name", ["bu4dfe", "folder"])
def test_every_corpus_finds_a_fake_tree(corpus, name):
    table = CORPORA[name].find_scans(corpus)
    assert tuple(table.columns) == SCAN_COLUMNS
    assert len(table) == 8
    assert table["subject"].nunique() == 2
    assert table.groupby("sequence")["subject"].nunique().max() == 1
    assert all((corpus / scan).is_file() for scan in [*table["scan"], *table["texture"]])
    assert table.groupby("sequence")["frame"].apply(list).tolist() == [[0, 1]] * 4


def test_bu4dfe_skips_other_folders_and_reads_attributes(corpus):
    (corpus / "BU_WrlViewer_V2").mkdir()
    (corpus / "BU_WrlViewer_V2" / "000.wrl").write_text("viewer")
    (corpus / "subjects.csv").write_text("subject,age_group,gender\nF001,31-50,\n")
    table = corpus_named("bu4dfe").find_scans(corpus).drop_duplicates("subject").set_index("subject")
    assert table["gender"].to_dict() == {"F001": "F", "M001": "M"}
    assert table.loc["F001", "age_group"] == "31-50"
    assert pd.isna(table.loc["M001", "age_group"])
    assert table["skin_tone"].isna().all()
    assert table.loc["F001", "landmark_file"] == "BU4DFE_BND_V1.1/F001/Angry/000.bnd"


def test_an_attribute_table_without_subjects_is_refused(corpus):
    (corpus / "subjects.csv").write_text("name\nF001\n")
    with pytest.raises(ValueError, match=r"subjects\.csv"):
        corpus_named("bu4dfe").find_scans(corpus)


def test_any_folder_is_a_corpus(tmp_path, store):
    scan, root = bumpy_grid(), tmp_path / "mine"
    (root / "anna" / "happy").mkdir(parents=True)
    for name in ("f10", "f2"):
        (root / "anna" / "happy" / f"{name}.obj").write_text(obj_text(scan))
        write_picture(root / "anna" / "happy" / f"{name}.png")
    (root / "bob.wrl").write_text(wrl_text(mean_face()))
    (root / "bob.bnd").write_text(bnd_text())
    manifest = ingest_source(FileSource(root, "folder"), HERE, store).manifest
    assert manifest["scan"].tolist() == ["anna/happy/f2.obj", "anna/happy/f10.obj", "bob.wrl"]
    assert manifest["subject"].tolist() == ["anna", "anna", "bob"]
    assert manifest["expression"].iloc[0] == "happiness"
    assert pd.isna(manifest["expression"].iloc[2])
    assert (manifest["confidence"] < 0.5).tolist() == [True, True, False]
    assert manifest["landmarks"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize("names", [("000.obj", "001.obj"), ("anna 2.obj", "bob.obj", "anna 10.obj")])
def test_numbered_scans_at_the_top_are_not_taken_for_people(tmp_path, store, names):
    for name in names:
        (tmp_path / name).write_text(obj_text(bumpy_grid()))
    first, last = min(names), sorted(names)[1]
    with pytest.raises(CorpusRefusedError, match=rf"^2 scans.*{first[:4]}.*{last[:4]}.*one person.*scans\.csv"):
        ingest_source(FileSource(tmp_path, "folder"), HERE, store)
    rows = [f"{name},P{number}" for number, name in enumerate(names)]
    (tmp_path / "scans.csv").write_text("\n".join(["file,subject", *rows]))
    assert ingest_source(FileSource(tmp_path, "folder"), HERE, store).manifest["subject"].nunique() == len(names)


def test_depth_pictures_are_taken_in_through_their_camera(tmp_path):
    """CAS(ME)³ as a whole: pictures and sheet in, canonical scans with labels out."""
    away, side = 800.0, 60
    focal = away * (side - 1) / 180
    depth = away - bumpy_grid(side).vertices[:, 2].reshape(side, side)[::-1]
    for frame in (100, 101):
        for kind, picture in (
            ("depth", (10 * depth).round().astype(np.uint16)),
            ("color", np.zeros((side, side), "u1")),
        ):
            path = tmp_path / "corpus" / "spNO.1" / "a" / kind / f"{frame}.{'png' if kind == 'depth' else 'jpg'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
    sheet = "Subject,Filename,Onset,Apex,Offset,AU,emotion\nspNO.1,a,100,101,101,4,others\n"
    (tmp_path / "corpus" / "labels.csv").write_text(sheet)
    middle = (side - 1) / 2
    camera = Intrinsics(fx=focal, fy=focal, cx=middle, cy=middle, millimetres_per_unit=0.1)
    source = FileSource(tmp_path / "corpus", "casme3", camera=camera)
    ingest = ingest_source(source, IngestOptions(crop_radius=80), ContentStore(tmp_path / "store"))
    assert ingest.report["status"].tolist().count("refused") == 0
    assert ingest.manifest["label"].tolist() == ["others", "others"]
    assert ingest.manifest["apex"].tolist() == [101, 101]
    face = load_canonical_scan(source, ingest.manifest.iloc[0].to_dict())
    assert face.texture.shape == (side, side, 3)
    assert len(face.vertices) == ingest.manifest["vertices"].iloc[0]
    np.testing.assert_allclose(np.linalg.norm(face.vertices, axis=1).max(), 80, atol=4)
