"""Recordings ranked by a sentence: a folder's, or several given one by one; refused ones last."""

import numpy as np
import pandas as pd
import pytest

import affect4d
from affect4d.inference import Predictor, index_recordings
from affect4d.inference.search import SEARCH_COLUMNS
from affect4d.scans.readers import read_scan

SENTENCE = "a smiling face"


@pytest.fixture(scope="module")
def predictor(make_packaged_model):
    return Predictor.load(make_packaged_model("compact").folder)


@pytest.fixture(scope="module")
def folders(raw_scans):
    return [raw_scans / "F001" / name for name in ("Happy", "Angry", "Surprise")]


@pytest.fixture(scope="module")
def index(predictor, folders):
    return index_recordings(predictor, folders)


def test_recordings_are_ranked_by_their_cosine_with_the_sentence(index, predictor, folders):
    found = index.search(SENTENCE)
    assert list(found.columns) == list(SEARCH_COLUMNS)
    assert found["rank"].tolist() == [1, 2, 3]
    assert found["similarity"].is_monotonic_decreasing
    for row in found.to_dict("records"):
        prepared = predictor.prepare(row["file"])
        assert row["similarity"] == pytest.approx(float(predictor.similarity(prepared, [SENTENCE])[0]), abs=1e-5)
        assert row["expression"] == predictor.classify(prepared).expression


def test_another_sentence_ranks_the_same_recordings(index):
    first, second = index.search(SENTENCE), index.search("an angry face")
    assert set(first["recording"]) == set(second["recording"])
    assert not np.allclose(first["similarity"], second["similarity"])


def test_a_folder_of_sequence_folders_is_searched_as_it_is_predicted(predictor, raw_scans, index):
    found = index_recordings(predictor, raw_scans / "F001").search(SENTENCE).set_index("recording")
    assert len(found) == 6
    alone = index.search(SENTENCE).set_index("recording")
    assert found.loc["Happy", "similarity"] == pytest.approx(
        alone.loc[str(raw_scans / "F001" / "Happy"), "similarity"], abs=1e-5
    )


def test_a_refused_scan_comes_last_with_its_reason(predictor, folders, tmp_path):
    (tmp_path / "bad.obj").write_text("this is no face")
    found = index_recordings(predictor, [tmp_path / "bad.obj", folders[0]]).search(SENTENCE)
    assert found["status"].iloc[-1] == "refused"
    assert found["reason"].iloc[-1]
    assert pd.isna(found["rank"].iloc[-1])
    assert found["rank"].iloc[0] == 1
    assert len(index_recordings(predictor, [tmp_path / "bad.obj"]).search(SENTENCE)) == 1


def test_scans_in_memory_are_recordings(predictor, folders):
    scans = [read_scan(sorted(folder.glob("*.wrl"))[-1]) for folder in folders[:2]]
    found = index_recordings(predictor, scans).search(SENTENCE)
    assert set(found["recording"]) == {"scan 0", "scan 1"}


def test_an_empty_sentence_is_refused_before_any_scan_is_read(make_packaged_model, tmp_path):
    with pytest.raises(ValueError, match="empty"):
        affect4d.search(tmp_path / "nowhere", " ", make_packaged_model("compact").folder)


def test_a_folder_that_is_not_there_is_named(make_packaged_model, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        affect4d.search(tmp_path / "nowhere", SENTENCE, make_packaged_model("compact").folder)
