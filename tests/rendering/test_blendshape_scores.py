import numpy as np
import pandas as pd
import pytest
from generated_surface import bumpy_scan

from affect4d.pretrained_files import PretrainedModelMissingError
from affect4d.rendering import blendshape_scores
from affect4d.rendering.blendshape_scores import SCORE_COLUMNS, score_face, score_scans
from affect4d.rendering.options import BlendshapeOptions
from affect4d.scans.alignment.face_landmarker import BLENDSHAPES
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.synthetic.action_units import ACTION_UNITS
from affect4d.synthetic.procedural_face import ProceduralFace

EVERY_FRAME = BlendshapeOptions()


def synthetic_face(**weights):
    model = ProceduralFace()
    surface = model.surface(np.zeros(model.shape_count), np.array([weights.get(name, 0.0) for name in ACTION_UNITS]), 0)
    return FaceScan(surface.vertices, surface.faces)


def manifest(**lengths):
    return pd.DataFrame(
        [{"sequence": name, "frame": frame} for name, count in lengths.items() for frame in range(count)]
    )


@pytest.fixture
def read(monkeypatch):
    """Scans come from a formula, scores from a counter."""
    monkeypatch.setattr(blendshape_scores, "load_canonical_scan", lambda source, row, texels: row["frame"])
    monkeypatch.setattr(blendshape_scores, "score_face", lambda frame: np.full(len(BLENDSHAPES), frame / 100))


def test_an_open_jaw_is_read_off_a_mesh_alone():
    neutral, dropped = (dict(zip(BLENDSHAPES, score_face(synthetic_face(AU26=jaw)), strict=True)) for jaw in (0.0, 1.0))
    assert dropped["jawOpen"] > neutral["jawOpen"] + 0.1


def test_what_shows_no_face_has_no_scores():
    assert np.isnan(score_face(bumpy_scan(textured=False))).all()


def test_scores_of_depth_and_colours_are_averaged(monkeypatch):
    answers = iter([np.zeros(51), np.ones(51)])
    monkeypatch.setattr(blendshape_scores, "detect_blendshapes", lambda image: next(answers))
    assert (score_face(bumpy_scan()) == 0.5).all()


def test_one_row_a_frame_in_order(read):
    table = score_scans(manifest(b=2, a=3).sample(frac=1, random_state=0), None, EVERY_FRAME)
    assert tuple(table) == SCORE_COLUMNS
    assert list(zip(table["sequence"], table["frame"], strict=True)) == [
        ("a", 0),
        ("a", 1),
        ("a", 2),
        ("b", 0),
        ("b", 1),
    ]
    assert table["jawOpen"].tolist() == [0.0, 0.01, 0.02, 0.0, 0.01]


def test_long_sequences_are_scored_in_even_steps_from_the_first_to_the_last(read):
    table = score_scans(manifest(a=101, b=1), None, BlendshapeOptions(frames=5))
    assert table.loc[table["sequence"] == "a", "frame"].tolist() == [0, 25, 50, 75, 100]


def test_a_scan_that_cannot_be_read_has_no_scores(read, monkeypatch, tmp_path):
    def load(source, row, texels):
        raise ScanError("truncated", tmp_path, "ends early")

    monkeypatch.setattr(blendshape_scores, "load_canonical_scan", load)
    assert score_scans(manifest(a=2), None, EVERY_FRAME)[list(BLENDSHAPES)].isna().all(axis=None)


def test_without_a_detector_nothing_is_scored(read, monkeypatch):
    def score(face):
        raise PretrainedModelMissingError("no detector")

    monkeypatch.setattr(blendshape_scores, "score_face", score)
    with pytest.raises(PretrainedModelMissingError):
        score_scans(manifest(a=2), None, EVERY_FRAME)
