"""The nodes of `ingest` on a small folder of scans: report, page, and what is made once only."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from affect4d.pipelines.data.nodes import (
    IngestPageOptions,
    SplitOptions,
    ingest_scans,
    list_protocols,
    split_subjects,
    write_ingest_page,
)
from affect4d.reporting import ingest_page as page_module
from affect4d.scans.ingest import IngestOptions
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore
from affect4d.synthetic.action_units import ACTION_UNITS
from affect4d.synthetic.procedural_face import ProceduralFace


@pytest.fixture
def store(tmp_path):
    return ContentStore(tmp_path / "store")


@pytest.fixture
def raw_corpus(tmp_path):
    root, model, rng = tmp_path / "mine", ProceduralFace(), np.random.default_rng(0)
    for subject in ("anna", "bob"):
        for word in ("happy", "sad"):
            (root / subject / word).mkdir(parents=True)
            face = model.surface(rng.normal(size=model.shape_count), np.zeros(len(ACTION_UNITS)), 0)
            lines = ["v " + " ".join(f"{number:.3f}" for number in row) for row in face.vertices]
            lines += ["f " + " ".join(str(index + 1) for index in row) for row in face.faces]
            (root / subject / word / "0.obj").write_text("\n".join(lines) + "\n")
    (root / "bob" / "sad" / "1.obj").write_text("garbage")
    return {"name": "mine", "layout": "folder", "root": str(root), "synthetic": False}


RUN = {"made": "2026-01-01T00:00:00+00:00"}


def write(raw_corpus, store, ingested, **options):
    manifest, _, report, completeness = ingested
    protocols = list_protocols(raw_corpus, manifest)
    shown = IngestPageOptions(**options)
    return write_ingest_page(raw_corpus, manifest, report, completeness, protocols, shown, store, RUN)


def run(raw_corpus, store, **options):
    ingested = ingest_scans(raw_corpus, IngestOptions(max_refused_share=0.5), store)
    return write(raw_corpus, store, ingested, **options)[0], ingested[2]


def test_page_and_report_tell_of_every_scan(raw_corpus, store):
    ingested = ingest_scans(raw_corpus, IngestOptions(max_refused_share=0.5), store)
    page, summary = write(raw_corpus, store, ingested)
    report, completeness = ingested[2:]
    assert report["status"].value_counts()["refused"] == 1
    assert report["method"].dropna().unique().tolist() == ["detection"]
    assert len(completeness)
    assert "4 faces of mine, ready to use" in page
    assert "10-fold" in page
    assert "2026-01-01" in page
    assert "5 scans: " in summary
    assert "1 refused. data/08_reporting/mine/ingest.html shows them." in summary


def test_faces_of_people_are_shown_only_if_asked(raw_corpus, store):
    page, _ = run(raw_corpus, store)
    assert "data:image" not in page
    assert "show_faces: {mine: true}" in page


def test_faces_are_drawn_if_asked(raw_corpus, store):
    page, _ = run(raw_corpus, store, show_faces=True, previews=3)
    assert page.count("data:image/jpeg") == 3
    assert page.count("landmarks found, ± ") == 3


def test_a_file_of_two_sequences_is_drawn_for_both(raw_corpus, store):
    """Clips of CAS(ME)³ overlap."""
    told = "file,subject,sequence,frame\nanna/happy/0.obj,anna,one,0\nanna/happy/0.obj,anna,two,0\n"
    Path(raw_corpus["root"], "scans.csv").write_text(told)
    page, _ = run(raw_corpus, store, show_faces=True, previews=2)
    assert page.count("data:image/jpeg") == 2


def test_nothing_is_drawn_twice(raw_corpus, store, monkeypatch):
    first, _ = run(raw_corpus, store)
    monkeypatch.setattr(page_module, "render_ingest_page", lambda *_, **__: pytest.fail("drawn again"))
    assert run(raw_corpus, store)[0] == first
    with pytest.raises(pytest.fail.Exception, match="drawn again"):
        run(raw_corpus, store, previews=4)


def test_a_scan_that_cannot_be_drawn_any_more_costs_its_picture_and_says_why(raw_corpus, store):
    ingested = ingest_scans(raw_corpus, IngestOptions(max_refused_share=0.5), store)
    Path(raw_corpus["root"], "anna/sad/0.obj").write_text("garbage")
    page, _ = write(raw_corpus, store, ingested, show_faces=True, previews=4)
    assert page.count("data:image/jpeg") == 3
    assert page.count("It cannot be drawn: ") == 1


def test_the_page_of_a_corpus_that_was_moved_says_where_it_lies_now(raw_corpus, store, tmp_path):
    first, _ = run(raw_corpus, store)
    moved = Path(raw_corpus["root"]).rename(tmp_path / "elsewhere")
    page, _ = run({**raw_corpus, "root": str(moved)}, store)
    assert raw_corpus["root"] in first
    assert str(moved) in page


def test_one_subject_is_ingested_and_refused_by_training(raw_corpus):
    split = split_subjects(pd.DataFrame({"subject": ["anna", "anna"]}), raw_corpus, SplitOptions())
    assert split["test"] == ["anna"]
    with pytest.raises(ValueError, match="training and evaluation need two subjects"):
        SubjectSplit.from_dict(split)
