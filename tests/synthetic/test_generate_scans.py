"""Subjects and takes of a corpus, and what its generation leaves on disk."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression

import affect4d
from affect4d.parallel import EngineOptions
from affect4d.scans.corpora.bu4dfe import FOLDERS, LANDMARK_FOLDER
from affect4d.scans.expression import EXPRESSIONS, MICRO_EXPRESSIONS, split_labels
from affect4d.scans.landmark_names import LANDMARK_COUNT
from affect4d.store import ContentStore
from affect4d.synthetic import generate_scans as corpus
from affect4d.synthetic import write_corpus as generate
from affect4d.synthetic.action_units import ACTION_UNITS
from affect4d.synthetic.generate_scans import (
    Take,
    corpus_key,
    draw_subject,
    find_take,
    official_folds,
    official_split,
    perform,
    performance_of,
    scan_frame,
    sequence_labels,
    sequence_name,
    subject_index,
    subject_name,
    take_attributes,
    takes,
)
from affect4d.synthetic.ict_facekit import IctFace
from affect4d.synthetic.recipe import ActionUnitOptions, CorpusRecipe, PerformanceOptions, ScannerOptions
from affect4d.synthetic.write_corpus import generate_corpus

TINY = CorpusRecipe(subjects=2, performances=PerformanceOptions(frames=3), seed=11)
MICRO = CorpusRecipe(
    subjects=2,
    performances=PerformanceOptions(macro=0, micro=3, neutral=1, distractors=2, micro_fps=20.0, frames=3),
)
CLEAN = ScannerOptions(
    noise_mm=0,
    noise_spread=0,
    landmark_error_mm=0,
    pose_jitter_deg=0,
    pose_jitter_mm=0,
    pose_drift_deg=0,
    pose_drift_mm=0,
    holes=0,
    spikes=0,
    fringe=0,
)


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    store = ContentStore(tmp_path_factory.mktemp("store"))
    return store, generate_corpus(TINY, store)


def digest_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_same_seed_gives_the_same_bytes(generated, tmp_path):
    _, made = generated
    again = generate_corpus(TINY, ContentStore(tmp_path))
    assert digest_of(Path(made["root"])) == digest_of(Path(again["root"]))


def test_another_seed_gives_another_corpus():
    other = TINY.model_copy(update={"seed": 12})
    assert corpus_key(other) != corpus_key(TINY)
    assert not np.array_equal(draw_subject(other, 0).shape, draw_subject(TINY, 0).shape)


def test_where_the_face_model_lies_is_no_part_of_a_recipe():
    assert TINY.model_copy(update={"ict_folder": "/elsewhere"}).digest == TINY.digest
    assert "ict_folder" not in TINY.describe()


def test_the_layout_is_that_of_bu4dfe(generated):
    _, made = generated
    root = Path(made["root"])
    assert made["layout"] == "bu4dfe"
    assert made["synthetic"] is True
    assert made["streamed"] is False
    assert made["scans"] == len(list(root.glob("[FM]*/*/*.wrl"))) == 2 * 6 * 3
    for subject in ("F001", "M001"):
        assert {path.name for path in (root / subject).iterdir()} == set(FOLDERS.values())
    assert Image.open(root / "F001/Happy/002.jpg").size == (160, 200)
    rows = (root / LANDMARK_FOLDER / "M001/Sad/001.bnd").read_text().splitlines()
    assert len(rows) == LANDMARK_COUNT


def test_tables_say_who_and_what(generated):
    _, made = generated
    root = Path(made["root"])
    subjects = pd.read_csv(root / "subjects.csv")
    assert list(subjects.columns) == ["subject", "gender", "age_group", "skin_tone"]
    assert list(subjects["subject"]) == ["F001", "M001"]
    truth = pd.read_parquet(root / "actions.parquet")
    assert list(truth.columns) == ["sequence", "subject", "expression", "frame", *ACTION_UNITS]
    assert len(truth) == made["scans"] == made["fingerprint"]["scans"]
    first = truth[truth["sequence"] == sequence_name(TINY, Take(0, 0))]
    np.testing.assert_allclose(first[list(ACTION_UNITS)], perform(TINY, Take(0, 0))[0], atol=1e-6)
    assert CorpusRecipe.model_validate(json.loads((root / "recipe.json").read_text())) == TINY


def test_every_sequence_has_its_attributes(generated):
    _, made = generated
    attributes = pd.read_parquet(Path(made["root"]) / "attributes.parquet")
    assert len(attributes) == made["sequences"] == 12
    assert attributes["sequence"].is_unique
    assert attributes["intensity"].between(0.05, 1.2).all()


def test_without_raw_files_only_the_tables_are_written(generated, tmp_path):
    _, made = generated
    streamed = generate_corpus(TINY, ContentStore(tmp_path), raw_files=False)
    assert streamed["streamed"] is True
    written = {path.name for path in Path(streamed["root"]).rglob("*")}
    tables = {"actions.parquet", "attributes.parquet", "subjects.csv", "sequences.csv"}
    assert written == tables | {"recipe.json", "counts.json"}
    assert streamed["fingerprint"] == made["fingerprint"]
    assert (streamed["split"], streamed["folds"]) == (made["split"], made["folds"])


def test_a_corpus_that_exists_is_not_made_again(generated, monkeypatch):
    store, made = generated
    monkeypatch.setattr(generate, "_write_corpus", lambda *_, **__: pytest.fail("made again"))
    assert generate_corpus(TINY, store) == made


def test_a_failed_sequence_is_named_and_leaves_no_corpus(tmp_path, monkeypatch):
    def fail(*_args):
        raise OSError("disk full")

    monkeypatch.setattr(generate, "write_bu4dfe_frame", fail)
    with pytest.raises(RuntimeError, match=r"F001/Angry.*disk full"):
        generate_corpus(TINY, ContentStore(tmp_path))
    assert not any(tmp_path.iterdir())


def test_a_smaller_corpus_is_the_beginning_of_a_larger_one():
    smaller, take = TINY.model_copy(update={"subjects": 1}), Take(0, 3)
    assert list(takes(smaller)) == list(takes(TINY))[:6]
    np.testing.assert_array_equal(scan_frame(smaller, take, 1).vertices, scan_frame(TINY, take, 1).vertices)


def test_scans_do_not_depend_on_the_order_they_are_made_in():
    first = scan_frame(MICRO, Take(1, 2), 4)
    scan_frame(MICRO, Take(0, 0), 0)
    corpus.perform.cache_clear()
    again = scan_frame(MICRO, Take(1, 2), 4)
    np.testing.assert_array_equal(first.vertices, again.vertices)
    np.testing.assert_array_equal(first.texture, again.texture)


def test_names_and_indices_go_both_ways():
    names = [subject_name(index) for index in range(2001)]
    assert names[:3] == ["F001", "M001", "F002"]
    assert names[-1] == "F1001"
    assert [subject_index(name) for name in names] == list(range(2001))
    for take in takes(MICRO):
        assert find_take(MICRO, sequence_name(MICRO, take)) == take
    assert find_take(MICRO, "F001/Angry") is find_take(MICRO, "F009/micro-1") is find_take(MICRO, "bread") is None


def test_micro_expressions_and_hard_negatives_are_labelled():
    facts = {sequence_name(MICRO, take): sequence_labels(MICRO, take) for take in takes(MICRO)}
    assert {name for name in facts if name.startswith("F001")} == {
        f"F001/{name}" for name in ("micro-1", "micro-2", "micro-3", "neutral-1", "talk-1", "blink-1")
    }
    micro = facts["M001/micro-2"]
    assert micro["expression"] is None
    assert set(split_labels(micro["label"])) <= set(MICRO_EXPRESSIONS)
    assert 0 <= micro["onset"] < micro["apex"] < micro["offset"]
    talk = facts["F001/talk-1"]
    assert (talk["label"], talk["task"], talk["apex"]) == ("talk", "distractor", None)


def test_every_take_is_described_in_plain_values():
    recipe = CorpusRecipe(subjects=1, performances=PerformanceOptions(micro=1, neutral=1, distractors=1))
    rows = [take_attributes(recipe, take) for take in takes(recipe)]
    assert all(isinstance(value, str | int | float | bool) for row in rows for value in row.values())
    table = pd.DataFrame(rows)
    assert not table.isna().any().any()
    assert set(table["kind"]) == {"macro", "micro", "neutral", "distractor"}
    wanted = {
        *("gender", "age_group", "skin_tone", "monk_tone", "labels", "intensity", "frames", "fps", "onset_s"),
        *("lamps", "light_share", "light_azimuth", "light_elevation", "exposure", "noise_mm", "density"),
        *("hair_strands", "pose_yaw", "drift_deg", "drift_mm", "asymmetry", "first_frame_activity"),
    }
    assert wanted <= set(table.columns)
    assert table["light_azimuth"].abs().max() <= 180.0
    assert (table["monk_tone"].between(1, 10)).all()


def test_split_and_folds_belong_to_the_recipe():
    recipe = CorpusRecipe(subjects=23)
    split, folds = official_split(recipe), official_folds(recipe)
    assert split == official_split(recipe)
    assert split.digest != official_split(recipe.model_copy(update={"seed": 5})).digest
    assert len(split.test) == round(0.375 * 23)
    tested = [name for fold in folds for name in fold.test]
    assert len(folds) == 10
    assert sorted(tested) == sorted(subject_name(index) for index in range(23))
    assert len(official_folds(recipe.model_copy(update={"subjects": 4}))) == 4


def test_both_sides_of_a_split_have_women_and_men():
    split = official_split(CorpusRecipe(subjects=48))
    shares = [np.mean([name[0] == "F" for name in side]) for side in (split.train, split.test)]
    assert shares == pytest.approx([0.5, 0.5], abs=0.06)


def test_indices_stay_in_range_and_every_vertex_is_used():
    scan = scan_frame(TINY, Take(0, EXPRESSIONS.index("fear")), 1)
    assert np.array_equal(np.unique(scan.faces), np.arange(len(scan.vertices)))


def test_frame_zero_is_close_to_neutral_and_the_apex_is_not():
    calm = ActionUnitOptions(intensity_low=0.8, distractors=0.0, unrest=0.0)
    recipe, take = CorpusRecipe(subjects=1, actions=calm, sensor=CLEAN), Take(0, EXPRESSIONS.index("surprise"))
    neutral = corpus.face_model(recipe).surface(draw_subject(recipe, 0).shape, np.zeros(len(ACTION_UNITS)), 0).landmarks
    frames = (0, performance_of(recipe, take).apex)
    first, apex = (scan_frame(recipe, take, frame).landmarks for frame in frames)
    np.testing.assert_allclose(first, neutral, atol=1e-3)
    assert np.linalg.norm(apex - neutral, axis=1).max() > 3.0


def test_true_actions_tell_the_expressions_apart():
    recipe = CorpusRecipe(subjects=40)
    people, targets = np.array([(take.subject, take.index) for take in takes(recipe)]).T
    features = np.array([perform(recipe, take)[0].max(axis=0) for take in takes(recipe)])
    known = people < 30
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
        generate_corpus(recipe, ContentStore(tmp_path))


@pytest.mark.slow
def test_the_corpus_does_not_depend_on_the_number_of_processes(generated, tmp_path):
    _, made = generated
    again = generate_corpus(TINY, ContentStore(tmp_path), EngineOptions(workers=2))
    assert digest_of(Path(made["root"])) == digest_of(Path(again["root"]))


@pytest.mark.corpus
def test_ict_facekit_smiles_and_writes_scans():
    folder = os.environ.get("AFFECT4D_ICT")
    if folder is None:
        pytest.skip("AFFECT4D_ICT names no clone of ICT-FaceKit")
    face = IctFace(folder)
    recipe = CorpusRecipe(
        face="ict_facekit", ict_folder=folder, subjects=1, actions=ActionUnitOptions(intensity_low=0.85)
    )
    scan = scan_frame(recipe, Take(0, EXPRESSIONS.index("happiness")), 5)
    surface = face.surface(np.zeros(face.shape_count), np.zeros(len(ACTION_UNITS)), 0)
    assert surface.landmarks.shape == (LANDMARK_COUNT, 3)
    assert len(scan.vertices) < 4_000
    assert np.array_equal(np.unique(scan.faces), np.arange(len(scan.vertices)))


def test_a_model_with_more_identity_modes_gives_the_same_people():
    few = TINY.model_copy(update={"identity_modes": 3})
    shape = draw_subject(few, 1).shape
    assert len(shape) == corpus.face_model(few).shape_count > 3
    assert np.all(shape[:3] != 0)
    assert not shape[3:].any()
    with pytest.raises(ValueError, match="1000 identity modes"):
        draw_subject(TINY.model_copy(update={"identity_modes": 1000}), 0)


def test_an_example_goes_from_neutral_to_its_expression_without_landmarks():
    first, *_, last = affect4d.example("surprise", frames=3, subject=1)
    assert first.landmarks is None
    assert first.texture is not None
    again = affect4d.example("surprise", frames=3, subject=1)
    np.testing.assert_array_equal(again[0].vertices, first.vertices)
    other = affect4d.example("happiness", frames=3, subject=1)
    assert not np.array_equal(other[-1].vertices, last.vertices)


def test_an_unknown_example_names_the_six():
    with pytest.raises(ValueError, match=r"'joy'.*anger, disgust, fear, happiness, sadness, surprise"):
        affect4d.example("joy")
