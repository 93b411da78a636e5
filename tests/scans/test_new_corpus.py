"""A corpus is one declaration: it is found, ingested and divided without another change."""

import re

import numpy as np
import pytest

from affect4d.pipelines.data.raw_corpus import CorpusChoice
from affect4d.scans import corpora, protocols
from affect4d.scans.corpora.corpus_class_and_scan_table import Corpus, Protocol, scan_table
from affect4d.scans.corpora.file_patterns_and_label_sheets import paths_by_name
from affect4d.scans.ingest import IngestOptions, ingest_source
from affect4d.scans.scan_source_and_corpus_folder import FileSource
from affect4d.store import ContentStore
from affect4d.synthetic.action_units import ACTION_UNITS
from affect4d.synthetic.procedural_face import ProceduralFace

NAME = re.compile(r"(?P<subject>p\d+)-(?P<word>\w+)\.obj")


def find_scans(root):
    matches = filter(None, (NAME.fullmatch(path) for path in paths_by_name(root).values()))
    rows = [
        {
            "sequence": match[0][:-4],
            "subject": match["subject"],
            "expression": match["word"],
            "frame": 0,
            "scan": match[0],
        }
        for match in matches
    ]
    return scan_table(rows, root)


@pytest.fixture
def registered(monkeypatch):
    """The one line in CORPORA."""
    corpus = Corpus(
        name="newcorpus",
        description="p1-fear.obj",
        find_scans=find_scans,
        protocols=(Protocol("halves", "newcorpus", "two folds", folds=2),),
    )
    monkeypatch.setitem(corpora.CORPORA, "newcorpus", corpus)
    return corpus


@pytest.fixture
def root(tmp_path):
    model, rng = ProceduralFace(), np.random.default_rng(0)
    for subject in ("p1", "p2"):
        face = model.surface(rng.normal(size=model.shape_count), np.zeros(len(ACTION_UNITS)), 0)
        lines = ["v " + " ".join(f"{number:.3f}" for number in row) for row in face.vertices]
        lines += ["f " + " ".join(str(index + 1) for index in row) for row in face.faces]
        for word in ("fear", "anger"):
            (tmp_path / f"{subject}-{word}.obj").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_its_folder_is_found_by_its_name(registered, root):
    choice = CorpusChoice(name="newcorpus", folders={"newcorpus": str(root)})
    assert (choice.source.layout, choice.source.root) == ("newcorpus", str(root))
    with pytest.raises(ValueError, match=r"No corpus is called 'newcorpsu'; known corpora: .*newcorpus"):
        CorpusChoice(name="newcorpsu")


def test_its_scans_are_ingested_and_divided_by_its_own_protocol(registered, root, tmp_path):
    ingest = ingest_source(FileSource(root, "newcorpus"), IngestOptions(), ContentStore(tmp_path / "store"))
    assert sorted(ingest.manifest["expression"]) == ["anger", "anger", "fear", "fear"]
    table = protocols.protocol_table("newcorpus", ingest.manifest).set_index("protocol")
    assert table.loc["halves", "folds"] == 2
