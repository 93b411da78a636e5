"""One scan, one answer: by the pipeline's stages, from a folder, scan by scan, from any thread; and its attribution."""

import importlib.util
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import affect4d
from affect4d.__main__ import main
from affect4d.evaluation.attribution import class_direction, image_attribution
from affect4d.evaluation.sequence_embeddings_and_probabilities import embed_sequences
from affect4d.evaluation.zero_shot import class_embeddings, expression_prompts, zero_shot_probabilities
from affect4d.inference import Predictor, preprocessing
from affect4d.inference.find_recordings import find_recordings
from affect4d.inference.predictor import attribution_on_mesh
from affect4d.inference.preprocessing import NO_NEUTRAL
from affect4d.rendering.render_corpus import render_corpus
from affect4d.scans.ingest import IngestOptions, ingest_source
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.scans.scan_source_and_corpus_folder import FileSource
from affect4d.store import ContentStore
from affect4d.synthetic.scan_file_writers import image_bytes, wrl_bytes
from affect4d.views.bank import load_view_bank
from affect4d.views.batch_augmentation_and_motion import assemble_unaugmented

CLOSE = 1e-5
TRACKED = 2e-3  # a frame registered from another start


@pytest.fixture(scope="module")
def made(make_packaged_model):
    return make_packaged_model("compact")


@pytest.fixture(scope="module")
def predictor(made):
    return Predictor.load(made.folder)


@pytest.fixture(scope="module")
def frames(raw_scans):
    """Paths of one sequence's scans."""
    return sorted((raw_scans / "F001" / "Surprise").glob("*.wrl"))


@pytest.fixture(scope="module")
def answer(predictor, frames):
    return predictor.predict(frames)


def test_a_scan_in_a_doubtful_pose_is_refused_unless_an_answer_is_wanted(predictor):
    import pyvista

    ball = pyvista.Sphere(radius=90, theta_resolution=60, phi_resolution=60).triangulate()
    scan = FaceScan.from_pyvista(ball)
    with pytest.raises(ScanError, match=r"pose uncertain: .*predict\.unsure=answer") as refused:
        predictor.predict(scan)
    assert refused.value.code == "uncertain-pose"
    assert predictor.predict(scan, answer_unsure=True).expression in predictor.expressions


@pytest.mark.parametrize("nothing", [None, 3, [None]])
def test_what_is_no_scan_is_said_to_be_none(predictor, nothing):
    with pytest.raises(TypeError, match=r"A scan is a file's path, or a FaceScan .*; this is (None|3)\."):
        predictor.predict(nothing)


def test_a_single_scan_without_a_neutral_one_says_so_where_it_is_printed(predictor, frames, answer):
    assert str(answer).endswith(f") by {answer.model}")
    assert str(predictor.predict(frames[-1])).endswith(f" by {answer.model}; {NO_NEUTRAL}")


def shares(prediction):
    return np.array(list(prediction.probabilities.values()))


def test_answers_are_those_of_evaluation_on_the_same_sequences(made, predictor, raw_scans, tmp_path):
    store, told = ContentStore(tmp_path), predictor.description
    scans = ingest_source(FileSource(raw_scans, "bu4dfe"), IngestOptions(), store).manifest
    views = render_corpus(scans, raw_scans, told.render, store)
    fused = embed_sequences(made.model, load_view_bank(views, store, told.inputs), told.inputs, quiet=True).fused
    classes = class_embeddings(made.model, expression_prompts())
    scale = float(made.model.temperature().detach()) / told.calibration.temperature
    expected = dict(zip(views["sequence"], zero_shot_probabilities(fused, classes, scale), strict=True))
    recordings = find_recordings(raw_scans, "bu4dfe")
    assert {one.name for one in recordings} == set(expected)
    for recording in recordings:
        answer = predictor.classify(predictor.preprocessor.prepare_recording(recording))
        np.testing.assert_allclose(shares(answer), expected[recording.name], atol=CLOSE)
        assert (answer.subject, answer.calibrated) == ("F001", True)


def test_an_answer_holds_what_it_promises(predictor, answer, frames):
    assert answer.expression == max(answer.probabilities, key=answer.probabilities.get)
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert sum(answer.view_weights.values()) == pytest.approx(1)
    assert list(answer.view_weights) == list(predictor.views)
    assert [frame.file for frame in answer.frames] == list(map(str, frames))
    assert 0 <= answer.onset <= answer.apex <= answer.offset <= 2
    cosines = [cosine for _, cosine in answer.nearest_prompts]
    assert cosines == sorted(cosines, reverse=True)
    assert answer.timeline()["prob_anger"].notna().all()
    assert answer.table()["file"].tolist() == [str(frames[0].parent)]
    assert "Surprise: " in str(answer)


def test_weights_of_views_are_the_models(made, answer):
    scores = made.model.image.fusion.view_scores.detach().numpy()
    np.testing.assert_allclose(list(answer.view_weights.values()), np.exp(scores) / np.exp(scores).sum(), atol=1e-6)


def test_a_folder_is_its_scans_as_one_sequence(predictor, answer, frames):
    by_folder = predictor.predict(frames[0].parent)
    np.testing.assert_allclose(shares(by_folder), shares(answer), atol=CLOSE)
    assert by_folder.apex == answer.apex


def test_a_scan_with_its_neutral_frame_is_that_frame_of_the_sequence(predictor, answer, frames):
    alone = predictor.predict(frames[2], neutral=frames[0])
    np.testing.assert_allclose(shares(alone), list(answer.frames[2].probabilities.values()), atol=TRACKED)
    assert "neutral" not in alone.reason
    assert len(alone.frames) == 1
    assert alone.frames[0].activity > 0


def test_without_a_neutral_frame_nothing_moves_and_the_answer_says_so(predictor, frames):
    prepared = predictor.prepare(frames[2])
    answer = predictor.classify(prepared)
    assert "no neutral frame" in answer.reason
    assert answer.frames[0].activity == 0
    assert (answer.onset, answer.apex, answer.offset) == (None, None, None)
    with_neutral = predictor.predict(frames[2], neutral=frames[0])
    assert np.abs(shares(with_neutral) - shares(answer)).max() > 100 * CLOSE


def test_similarity_is_the_cosine_with_what_was_seen(predictor, frames):
    prepared = predictor.prepare(frames)
    sentences = ["a smiling face", "an angry face"]
    by_frame = predictor.similarities(prepared, sentences)
    assert by_frame.shape == (3, 2)
    together = predictor.similarity(prepared, sentences)
    np.testing.assert_allclose(together, predictor.embed_texts(sentences) @ predictor.embed(prepared).fused, atol=1e-6)


def test_any_thread_may_ask(predictor, answer, frames):
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: predictor.predict(frames), range(3)))
    for one in found:
        np.testing.assert_allclose(shares(one), shares(answer), atol=CLOSE)


def test_scans_of_one_process_are_aligned_one_at_a_time(predictor, frames, monkeypatch):
    """How many threads numpy's libraries take is said for a whole process: two at once could leave it at one."""
    aligning, together = threading.Semaphore(1), []

    def align(take, scan):
        together.append(not aligning.acquire(blocking=False))
        time.sleep(0.05)
        aligning.release()
        raise ValueError("seen enough")

    monkeypatch.setattr(preprocessing.TakeAligner, "align", align)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(predictor.predict, frame) for frame in frames[:2]]
    assert ["seen enough" in str(one.exception()) for one in asked] == [True, True]
    assert together == [False, False]


def test_a_bad_frame_is_a_row_and_the_rest_answer(predictor, frames, tmp_path):
    bad = tmp_path / "bad.wrl"
    bad.write_bytes(b"#VRML V2.0 utf8\nnot a face")
    answer = predictor.predict([frames[0], bad, frames[2]])
    assert [frame.status for frame in answer.frames] == ["ok", "refused", "ok"]
    assert answer.frames[1].reason
    assert answer.status == "repaired"
    assert "1 of 3 scans refused" in answer.reason
    rest = predictor.predict([frames[0], frames[2]])
    np.testing.assert_allclose(shares(answer), shares(rest), atol=CLOSE)


def test_nothing_usable_raises_what_is_wrong_with_the_first(predictor, tmp_path):
    bad = tmp_path / "bad.ply"
    bad.write_bytes(b"garbage")
    with pytest.raises(ScanError, match=r"bad\.ply"):
        predictor.predict([bad, tmp_path / "missing.wrl"])
    (tmp_path / "face.docx").touch()
    with pytest.raises(ScanError, match="unknown-format"):
        predictor.predict(tmp_path / "face.docx")


def test_a_scan_in_memory_is_answered(predictor, frames):
    prepared = predictor.prepare(frames, keep_faces=True)
    face = prepared.scans[2].face
    assert face.texture is not None
    again = predictor.predict(face, neutral=prepared.scans[0].face)
    assert again.frames[0].file == ""
    assert sum(again.probabilities.values()) == pytest.approx(1)


def test_pictures_of_another_preparation_are_not_accepted(predictor, make_packaged_model, frames):
    prepared = predictor.prepare(frames[0])
    other = Predictor.load(make_packaged_model("open_clip").folder)
    assert predictor.accepts(prepared)
    assert not other.accepts(prepared)
    with pytest.raises(ValueError, match="prepared for other images"):
        other.classify(prepared)
    assert len(other.predict(frames[2], neutral=frames[0]).view_weights) == 6


def test_one_call_is_enough(made, frames, answer):
    told = affect4d.predict(frames, model=made.folder)
    np.testing.assert_allclose(shares(told), shares(answer), atol=CLOSE)
    assert affect4d.load(made.folder) is affect4d.load(str(made.folder))


def test_a_model_trained_anew_in_its_place_is_loaded_anew(made, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(made.folder, folder)
    before = affect4d.load(folder)
    weights = folder / "model.safetensors"
    os.utime(weights, ns=(0, weights.stat().st_mtime_ns + 1_000_000_000))
    assert affect4d.load(folder) is not before


def test_a_folder_is_read_as_its_table_says(made, raw_scans, tmp_path):
    """As the pipeline reads it: whose face, and in which order."""
    place = tmp_path / "clip"
    place.mkdir()
    scans = sorted(sorted(path for path in raw_scans.rglob("*") if path.is_dir())[-1].glob("*.wrl"))
    for name, scan in zip("ba", scans, strict=False):
        for file in scan.parent.glob(f"{scan.stem}.*"):
            shutil.copy(file, place / (name + file.suffix))
    (place / "scans.csv").write_text("file,subject,sequence,frame\nb.wrl,anna,smile,0\na.wrl,anna,smile,1\n")
    prepared = affect4d.load(made.folder).prepare(place)
    assert prepared.subject == "anna"
    assert [Path(scan.file).name for scan in prepared.scans] == ["b.wrl", "a.wrl"]


def test_a_bad_neutral_scan_is_named_as_such(predictor, frames, tmp_path):
    (tmp_path / "rest.ply").write_text("no scan")
    with pytest.raises(ScanError, match="the neutral scan: ") as caught:
        predictor.prepare(frames[0], neutral=tmp_path / "rest.ply")
    assert caught.value.path.name == "rest.ply"


_SPEC = importlib.util.spec_from_file_location("looking_files", Path(__file__).parents[1] / "scans" / "scan_files.py")
FILES = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(FILES)


@pytest.mark.parametrize("encoder", ["compact", "open_clip", "timm"])
def test_a_face_gets_a_finite_number_a_vertex_whatever_the_encoder(make_packaged_model, encoder):
    predictor = Predictor.load(make_packaged_model(encoder).folder)
    faces = [FILES.bumpy_grid(24), FILES.bumpy_grid(26)]
    prepared = predictor.prepare(faces, keep_faces=True, answer_unsure=True)
    for place in (0, 1):  # the neutral frame itself, and one that is compared with it
        relevance = attribution_on_mesh(predictor, prepared, place, "fear", steps=2)
        assert relevance.shape == (len(prepared.usable[place].face.vertices),)
        assert np.isfinite(relevance).all()
        assert relevance.any()


def test_meshes_that_were_not_kept_and_unknown_expressions_are_named(make_packaged_model):
    predictor = Predictor.load(make_packaged_model("compact").folder)
    with pytest.raises(ValueError, match="keep_faces=True"):
        attribution_on_mesh(predictor, predictor.prepare(FILES.bumpy_grid(24), answer_unsure=True), 0, "fear")
    with pytest.raises(ValueError, match="'boredom' is none of anger"):
        attribution_on_mesh(
            predictor, predictor.prepare(FILES.bumpy_grid(24), keep_faces=True, answer_unsure=True), 0, "boredom"
        )


@pytest.mark.slow
@pytest.mark.parametrize(("person", "expression"), [("F003", "happiness"), ("F003", "surprise"), ("M001", "disgust")])
def test_without_the_tenth_that_speaks_most_the_answer_is_gone(generator, person, expression):
    from affect4d.app.select_recording import generate_sample

    predictor = Predictor.load("affect_vlm")
    prepared = predictor.prepare(generate_sample(person, expression, lambda share: None))
    rows = torch.tensor([prepared.rows[prepared.moments.apex], prepared.rows[0]])
    shown, rest = assemble_unaugmented(prepared.bank, rows, predictor.description.inputs).split(1)
    direction = class_direction(predictor.classes, predictor.expressions.index(expression))
    maps = image_attribution(predictor.model, shown, rest, direction)
    tenth = int((maps != 0).sum() / 10)

    def loss(pixels):  # of the score, when these pixels are as they were in the neutral frame
        hidden = np.zeros(maps.size, bool)
        hidden[pixels] = True
        poor = torch.where(torch.from_numpy(hidden.reshape(maps.shape))[:, :, None], rest, shown)
        with torch.inference_mode():
            whole, poorer = predictor.model.embed_views(torch.cat([shown, poor])).fused @ torch.from_numpy(direction)
        return float(whole - poorer)

    anywhere = [generator.choice(np.flatnonzero(maps), tenth, replace=False) for _ in range(5)]
    assert loss(np.argsort(-maps.ravel())[:tenth]) > 5 * max(map(loss, anywhere))


@pytest.mark.slow
def test_the_readmes_first_prediction(project_root):
    lines = (project_root / "README.md").read_text().splitlines()
    begin = lines.index("    import affect4d")
    names: dict = {}
    exec("\n".join(line.strip() for line in lines[begin : begin + 2]), names)
    line, _, shown = lines[begin + 2].partition("#")
    assert repr(eval(line.strip(), names)) == shown.strip()
    for searching in lines[begin + 3 : begin + 5]:
        line, _, shown = searching.partition("#")
        assert eval(line.strip(), names) == pytest.approx(float(shown), abs=0.006)


@pytest.mark.slow
def test_the_readmes_prediction_in_a_shell(project_root, tmp_path, monkeypatch, capsys):
    lines = [line.strip() for line in (project_root / "README.md").read_text().splitlines()]
    (command,) = (line for line in lines if line.startswith("$ affect4d predict"))
    scans = affect4d.example("happiness")
    for name, scan in (("smile", scans[3]), ("at_rest", scans[0])):
        (tmp_path / f"{name}.jpg").write_bytes(image_bytes(scan, "JPEG"))
        (tmp_path / f"{name}.wrl").write_bytes(wrl_bytes(scan, f"{name}.jpg"))
    monkeypatch.chdir(tmp_path)
    main(command.split()[2:], standalone_mode=False)
    shown = [line.replace("┃", "│") for line in capsys.readouterr().out.splitlines()]
    at = lines.index(command)
    assert [line for line in shown if line.startswith("│")] == lines[at + 1 : at + 3]
