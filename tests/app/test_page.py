"""The page, driven without a browser: whatever a person does ends in an answer or a sentence, never in a traceback."""

import io
import os
import shutil
import zipfile

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from affect4d.app.model_predictions import FOLDERS, FORMER_FOLDERS, available_models
from affect4d.app.select_recording import UPLOAD, SelectedRecording, predict_selected, upload_reader
from affect4d.inference.predictor import Predictor
from affect4d.inference.sandboxed_upload_reader import Upload, UploadedScan
from affect4d.pretrained_files import PretrainedModelMissingError

AFFECT, SMILE = "AffectVLM · affect_vlm", "SMILE-VLM · smile_vlm"


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """A place where nothing was trained, and a package without models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("affect4d.inference.packaged_model_description.PACKAGED", tmp_path / "none")
    for name in (FOLDERS, FORMER_FOLDERS):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def asked(alone, model_folders, monkeypatch):
    """Two models to ask."""
    monkeypatch.setenv(FOLDERS, os.pathsep.join(map(str, model_folders)))


@pytest.fixture(scope="module", autouse=True)
def _room_closes():
    yield
    upload_reader().close()
    upload_reader.clear()


def open_page(project_root):
    page = AppTest.from_file(str(project_root / "src/affect4d/app/streamlit_app.py"), default_timeout=180).run()
    assert not page.exception
    return page


def send(page, *files):
    page.segmented_control(key="where").set_value(UPLOAD).run()
    return (
        page.file_uploader(key="scans")
        .set_value([(name, raw, "application/octet-stream") for name, raw in files])
        .run()
    )


def said(page):
    return " ".join(element.value for kind in (page.markdown, page.caption) for element in kind)


def test_without_a_model_the_page_says_how_to_make_one(alone, project_root):
    page = open_page(project_root)
    assert "make run" in page.warning[0].value


def test_what_is_no_packaged_model_is_not_offered(alone, model_folders, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv(FOLDERS, os.pathsep.join([str(tmp_path / "empty"), str(model_folders[0])]))
    assert list(available_models()) == [AFFECT]


def test_the_former_environment_variable_still_names_folders(alone, model_folders, monkeypatch):
    monkeypatch.setenv(FORMER_FOLDERS, str(model_folders[0]))
    with pytest.warns(FutureWarning, match=f"{FORMER_FOLDERS} is called {FOLDERS} now"):
        assert list(available_models()) == [AFFECT]


def test_models_trained_in_the_project_are_offered(alone, model_folders, tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.kedro]\npackage_name = "a"\nproject_name = "a"\nkedro_init_version = "1"\n'
    )
    corpus = tmp_path / "data/06_models/open-4dfer-s"
    for version, folder in (("2026-01-01", tmp_path), ("2026-01-02", model_folders[1])):
        record = corpus / "smile_vlm_packaged.json" / version / "smile_vlm_packaged.json"
        record.parent.mkdir(parents=True)
        record.write_text(f'{{"folder": "{folder}", "entry": "packaged/key"}}')
    assert list(available_models()) == ["SMILE-VLM · open-4dfer-s"]
    shutil.copytree(model_folders[0], corpus / "packaged/key")
    (moved,) = available_models().values()
    assert moved.folder == corpus / "packaged/key"


def test_a_model_trained_anew_under_its_title_is_another_one(asked, model_folders):
    before = available_models()[AFFECT].identity
    assert available_models()[AFFECT].identity == before
    weights = model_folders[0] / "model.safetensors"
    os.utime(weights, ns=(0, weights.stat().st_mtime_ns + 1_000_000_000))
    assert available_models()[AFFECT].identity != before
    assert available_models()[AFFECT].title == before[0]


def test_what_a_model_said_before_it_was_trained_anew_is_not_said_again(monkeypatch):
    asked = []
    monkeypatch.setattr("affect4d.app.select_recording.predict_with_models", lambda *given: asked.append(given) or [])
    chosen = SelectedRecording("before and after", "face", (), is_sample=True)
    for written in (1, 1, 2):
        predict_selected(chosen, (("AffectVLM", "/models/mine", written),), {})
    assert len(asked) == 2


def test_a_sample_is_answered_by_both_models_side_by_side(asked, project_root):
    page = open_page(project_root)
    assert page.multiselect(key="models").value == [AFFECT, SMILE]
    assert not page.error
    assert said(page).count("Probabilities are not calibrated") == 2
    assert "not measured" in said(page)
    assert "prohibited in the EU" in said(page)
    assert page.slider(key="place").value > 0  # it opens at the apex
    page.multiselect(key="models").set_value([SMILE]).run()
    assert said(page).count("Probabilities are not calibrated") == 1
    page.multiselect(key="models").set_value([]).run()
    assert "Choose a model" in page.info[0].value
    assert not page.exception


def test_time_passes_when_it_plays(asked, project_root):
    page = open_page(project_root)
    place = page.slider(key="place").value
    page.button(key="play").click().run()
    assert page.slider(key="place").value == place + 1
    page.run()
    assert page.slider(key="place").value == place + 2
    page.button(key="play").click().run()
    stopped = page.slider(key="place").value
    page.run()
    assert page.slider(key="place").value == stopped


def test_relevance_is_painted_for_each_model(asked, project_root):
    page = open_page(project_root)
    for title in (AFFECT, SMILE):
        page.segmented_control(key="paint").set_value(f"Attribution of {title}").run()
        assert not page.exception
        assert "Red speaks for the answer" in said(page)


def test_typed_sentences_are_compared_and_strange_words_named(asked, project_root):
    page = open_page(project_root)
    page.text_input(key="sentence 3").input("a zyzzyva <b>grin</b>").run()
    assert not page.exception
    assert "“zyzzyva”" in said(page)
    for place in range(4):
        page.text_input(key=f"sentence {place}").input("  ")
    page.run()
    assert not page.exception
    assert "“zyzzyva”" not in said(page)


def test_sentences_without_their_encoder_name_the_remedy(asked, project_root, monkeypatch):
    def embed_texts(predictor, sentences):
        raise PretrainedModelMissingError("Install it")

    monkeypatch.setattr(Predictor, "embed_texts", embed_texts)
    page = open_page(project_root)
    assert not page.exception
    assert "Install it" in said(page)


def test_an_uploaded_scan_is_answered(asked, project_root, scan_files):
    page = send(open_page(project_root), ("face.wrl", scan_files.wrl_text(scan_files.synthetic_face()).encode()))
    assert not page.exception
    assert not page.error
    assert "no neutral frame given" in said(page)
    rest = ("rest.ply", scan_files.ply_bytes(scan_files.synthetic_face()), "application/octet-stream")
    page.file_uploader(key="neutral").set_value([rest]).run()
    assert "no neutral frame given" not in said(page)


def test_a_zip_is_a_sequence_and_names_its_bad_scan(asked, project_root, scan_files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for frame in range(3):
            archive.writestr(f"smile/{frame}.ply", scan_files.ply_bytes(scan_files.synthetic_face()))
        archive.writestr("smile/3.ply", b"garbage")
    page = send(open_page(project_root), ("smile.zip", file.getvalue()))
    assert not page.exception
    assert [error.value.startswith(r"**3\.ply** cannot be used") for error in page.error] == [True]
    assert page.slider(key="place").max == 2
    became = page.dataframe[-1].value
    assert became["file"].tolist() == ["0.ply", "1.ply", "2.ply", "3.ply"]
    assert became["status"].tolist()[3] == "refused"


BAD = {
    "empty": ("face.ply", b""),
    "garbage": ("face.obj", bytes(range(256)) * 80),
    "picture": ("face.wrl", b"\x89PNG\r\n\x1a\n" + bytes(200)),
    "program": ("face.exe", b"MZ" + bytes(100)),
    "damaged zip": ("faces.zip", b"PK\x03\x04" + bytes(40)),
    "../ name": ("../../etc/passwd", b"root"),
}


def test_every_bad_file_is_a_sentence_and_the_page_lives_on(asked, project_root, scan_files):
    page = open_page(project_root)
    for name, raw in BAD.values():
        send(page, (name, raw))
        assert not page.exception
        assert len(page.error) == 1
        assert len(page.error[0].value) > 30
    flat = scan_files.bumpy_grid(12)
    thin = type(flat)(flat.vertices * 1e-5, flat.faces)
    send(page, ("far.ply", scan_files.ply_bytes(thin)))
    assert not page.exception
    assert "cannot be used" in page.error[0].value
    send(page, ("face.ply", scan_files.ply_bytes(scan_files.synthetic_face())))
    assert not page.error


def test_a_name_of_a_file_is_shown_and_not_obeyed(asked, project_root, scan_files):
    good = ("face.wrl", scan_files.wrl_text(scan_files.synthetic_face(), "![x](http://elsewhere/x.png)").encode())
    page = send(open_page(project_root), ("![x](http://elsewhere/y.png).exe", b"MZ"), good)
    shown = said(page) + page.warning[0].value
    assert "elsewhere" in shown
    assert "](http" not in shown
    assert "://" not in shown.replace("\\://", "")


def test_results_are_tables_of_every_model_and_frame(asked, model_folders, scan_files, monkeypatch):
    from affect4d.app.model_predictions import predict_with_models, result_table, result_timeline
    from affect4d.inference import Predictor

    passes = []
    monkeypatch.setattr(
        Predictor, "embed", lambda self, prepared, embed=Predictor.embed: passes.append(1) or embed(self, prepared)
    )
    predictors = {f"{folder.name} · mine": Predictor.load(folder) for folder in model_folders}
    answers = predict_with_models([scan_files.synthetic_face()] * 2, "two", predictors)
    assert answers[0].prepared is answers[1].prepared  # drawn once for both
    table, timeline = result_table(answers), result_timeline(answers)
    assert len(passes) == 2  # each network once
    assert list(table["model"]) == ["affect_vlm · mine", "smile_vlm · mine"]
    assert list(timeline["model"]) == ["affect_vlm · mine"] * 2 + ["smile_vlm · mine"] * 2
    shares = table[[name for name in table if name.startswith("prob_")]]
    pd.testing.assert_series_equal(shares.sum(axis=1), pd.Series([1.0, 1.0]), check_names=False)

    read = [
        UploadedScan(name, scan)
        for name, scan in zip(("0.ply", "2.ply"), [scan_files.synthetic_face()] * 2, strict=True)
    ]
    upload = Upload((read[0], UploadedScan("1.ply", None, "truncated", "cut off in line 7"), read[1]), ())
    table, timeline = result_table(answers, upload), result_timeline(answers, upload)
    assert table[["file", "frames", "usable"]].to_numpy().tolist() == [["0.ply | 2.ply", 3, 2]] * 2
    assert list(timeline["file"]) == ["0.ply", "2.ply", "1.ply"] * 2
    refused = timeline[timeline["file"] == "1.ply"]
    assert refused[["model", "status", "code", "reason"]].to_numpy().tolist() == [
        [answer.title, "refused", "truncated", "cut off in line 7"] for answer in answers
    ]
    assert "two,1.ply,,," in timeline.to_csv(index=False)  # no frame number of its own


def test_the_sentences_that_stand_there_at_first_are_known_to_the_packaged_models():
    from affect4d.app.page import SENTENCES
    from affect4d.inference import Predictor, packaged_models

    strange = {name: [Predictor.load(name).unknown_words(text) for text in SENTENCES] for name in packaged_models()}
    assert {word for told in strange.values() for words in told for word in words} == set()
