"""Whole corpora on disk."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression

from affect4d.content import ContentStore
from affect4d.faces import corpus
from affect4d.faces.actions import ACTIONS, ActionOptions
from affect4d.faces.corpus import corpus_key, draw_subject, fabricate_corpus, perform_sequence, scan_frame
from affect4d.faces.ict_facekit import IctFace
from affect4d.faces.recipe import CorpusRecipe
from affect4d.faces.sensor import SensorOptions, draw_recording, scan_surface
from affect4d.faces.writer import FOLDERS, LANDMARK_FOLDER
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.landmarks import LANDMARK_COUNT

TINY = CorpusRecipe(subjects=2, frames=3, seed=11)
CLEAN = SensorOptions(
    noise_mm=0, landmark_error_mm=0, pose_jitter_deg=0, pose_jitter_mm=0, pose_drift_deg=0, pose_drift_mm=0, holes=0
)


@pytest.fixture(scope="module")
def fabricated(tmp_path_factory):
    store = ContentStore(tmp_path_factory.mktemp("store"))
    return store, fabricate_corpus(TINY, store, workers=1)


def digest_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_same_seed_gives_the_same_bytes(fabricated, tmp_path):
    _, made = fabricated
    again = fabricate_corpus(TINY, ContentStore(tmp_path), workers=1)
    assert digest_of(Path(made["root"])) == digest_of(Path(again["root"]))


def test_another_seed_gives_another_corpus():
    other = TINY.model_copy(update={"seed": 12})
    assert corpus_key(other) != corpus_key(TINY)
    assert not np.array_equal(draw_subject(other, 0).shape, draw_subject(TINY, 0).shape)


def test_the_layout_is_that_of_bu4dfe(fabricated):
    _, made = fabricated
    root = Path(made["root"])
    assert made["layout"] == "bu4dfe"
    assert made["synthetic"] is True
    assert made["scans"] == len(list(root.glob("[FM]*/*/*.wrl"))) == 2 * 6 * 3
    for subject in ("F001", "M001"):
        assert {path.name for path in (root / subject).iterdir()} == set(FOLDERS.values())
    assert Image.open(root / "F001/Happy/002.jpg").size == (160, 200)
    rows = (root / LANDMARK_FOLDER / "M001/Sad/001.bnd").read_text().splitlines()
    assert len(rows) == LANDMARK_COUNT


def test_tables_say_who_and_what(fabricated):
    _, made = fabricated
    root = Path(made["root"])
    subjects = pd.read_csv(root / "subjects.csv")
    assert list(subjects.columns) == ["subject", "gender", "age_group", "skin_tone"]
    assert list(subjects["subject"]) == ["F001", "M001"]
    truth = pd.read_parquet(root / "actions.parquet")
    assert list(truth.columns) == ["sequence", "subject", "expression", "frame", *ACTIONS]
    assert len(truth) == made["scans"]
    np.testing.assert_array_equal(truth.loc[truth["frame"] == 0, list(ACTIONS[:-2])], 0.0)
    assert CorpusRecipe.model_validate(json.loads((root / "recipe.json").read_text())) == TINY


def test_a_corpus_that_exists_is_not_made_again(fabricated, monkeypatch):
    store, made = fabricated
    monkeypatch.setattr(corpus, "_fabricate", lambda *_: pytest.fail("made again"))
    assert fabricate_corpus(TINY, store) == made


def test_a_failed_sequence_is_named_and_leaves_no_corpus(tmp_path, monkeypatch):
    def fail(*_args):
        raise OSError("disk full")

    monkeypatch.setattr(corpus, "write_scan", fail)
    with pytest.raises(RuntimeError, match=r"F001/anger.*disk full"):
        fabricate_corpus(TINY, ContentStore(tmp_path), workers=1)
    assert not any(tmp_path.iterdir())


def test_indices_stay_in_range_and_every_vertex_is_used():
    track, recording = perform_sequence(TINY, 0, "fear")
    scan = scan_frame(TINY, 0, "fear", 1, track, recording)
    assert np.array_equal(np.unique(scan.faces), np.arange(len(scan.vertices)))


def test_frame_zero_is_close_to_neutral_and_the_apex_is_not():
    recipe = CorpusRecipe(subjects=1, frames=9, sensor=CLEAN)
    track, recording = perform_sequence(recipe, 0, "surprise")
    neutral = corpus.face_model(recipe).surface(draw_subject(recipe, 0).shape, np.zeros(len(ACTIONS)), 0).landmarks
    first, apex = (scan_frame(recipe, 0, "surprise", frame, track, recording).landmarks for frame in (0, 4))
    np.testing.assert_allclose(first, neutral, atol=1e-3)
    assert np.linalg.norm(apex - neutral, axis=1).max() > 3.0


def test_landmark_error_has_the_promised_mean():
    options = SensorOptions(landmark_error_mm=1.3, **CLEAN.model_dump(exclude={"landmark_error_mm"}))
    rng = np.random.default_rng(0)
    surface = corpus.face_model(TINY).surface(draw_subject(TINY, 0).shape, np.zeros(len(ACTIONS)), 0)
    texture = np.zeros((2, 2, 3), dtype=np.uint8)
    scans = [scan_surface(surface, texture, draw_recording(3, rng, options), 1, rng, options) for _ in range(40)]
    errors = [np.linalg.norm(scan.landmarks - surface.landmarks, axis=1).mean() for scan in scans]
    assert np.mean(errors) == pytest.approx(1.3, rel=0.05)


def test_surface_noise_has_the_promised_size():
    options = SensorOptions(noise_mm=0.3, **CLEAN.model_dump(exclude={"noise_mm"}))
    rng = np.random.default_rng(0)
    surface = corpus.face_model(TINY).surface(draw_subject(TINY, 0).shape, np.zeros(len(ACTIONS)), 0)
    texture = np.zeros((2, 2, 3), dtype=np.uint8)
    scans = [scan_surface(surface, texture, draw_recording(3, rng, options), 1, rng, options) for _ in range(20)]
    errors = np.concatenate([scan.vertices - surface.vertices for scan in scans])
    assert np.sqrt((errors**2).sum(axis=1).mean()) == pytest.approx(0.3, rel=0.15)


def test_true_actions_tell_the_expressions_apart():
    recipe = CorpusRecipe(subjects=40, frames=12)
    peaks, labels, people = [], [], []
    for person in range(recipe.subjects):
        for label, expression in enumerate(EXPRESSIONS):
            peaks.append(perform_sequence(recipe, person, expression)[0].max(axis=0))
            labels.append(label)
            people.append(person)
    known = np.array(people) < 30
    features, targets = np.array(peaks), np.array(labels)
    model = LogisticRegression(C=10.0, max_iter=500).fit(features[known], targets[known])
    assert model.score(features[~known], targets[~known]) >= 0.9


def test_an_unknown_face_or_knob_is_refused():
    with pytest.raises(ValidationError, match="procedural"):
        CorpusRecipe(face="wax")
    with pytest.raises(ValidationError, match="hats"):
        CorpusRecipe.model_validate({"hats": 3})


@pytest.mark.parametrize("folder", [None, "no/such/clone"])
def test_a_missing_ict_clone_says_what_to_set_and_where_to_get_it(folder, tmp_path):
    recipe = CorpusRecipe(face="ict_facekit", ict_folder=folder)
    with pytest.raises(FileNotFoundError, match=r"ict_folder.*git clone"):
        fabricate_corpus(recipe, ContentStore(tmp_path))


@pytest.mark.slow
def test_the_corpus_does_not_depend_on_the_number_of_processes(fabricated, tmp_path):
    _, made = fabricated
    again = fabricate_corpus(TINY, ContentStore(tmp_path), workers=2)
    assert digest_of(Path(made["root"])) == digest_of(Path(again["root"]))


@pytest.mark.corpus
def test_ict_facekit_smiles_and_writes_scans():
    folder = os.environ.get("AFFECT4D_ICT")
    if folder is None:
        pytest.skip("AFFECT4D_ICT names no clone of ICT-FaceKit")
    face = IctFace(folder)
    recipe = CorpusRecipe(
        face="ict_facekit", ict_folder=folder, subjects=1, frames=5, actions=ActionOptions(intensity_low=0.85)
    )
    track, recording = perform_sequence(recipe, 0, "happiness")
    scan = scan_frame(recipe, 0, "happiness", 2, track, recording)
    surface = face.surface(np.zeros(face.shape_count), np.zeros(len(ACTIONS)), 0)
    assert surface.landmarks.shape == (LANDMARK_COUNT, 3)
    assert len(scan.vertices) < 4_000
    assert np.array_equal(np.unique(scan.faces), np.arange(len(scan.vertices)))
