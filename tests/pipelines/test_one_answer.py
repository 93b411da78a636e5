"""One answer on every road: the pipeline, the Python call, the app's page, MLflow and the exported ONNX file.

Whoever asks a packaged model about one and the same scan must be told the same, whichever way it went in.
"""

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import affect4d
from affect4d.app.model_predictions import FOLDERS, TITLES
from affect4d.app.select_recording import UPLOAD, upload_reader
from affect4d.evaluation.prediction_tables_and_leak_checks import PROBABILITY_COLUMNS
from affect4d.inference.packaged_model_description import PACKAGED
from affect4d.scans.corpora.bu4dfe import LANDMARK_FOLDER
from affect4d.scans.expression import EXPRESSIONS
from affect4d.store import ContentStore
from affect4d.synthetic.recipe import CorpusRecipe, PerformanceOptions
from affect4d.synthetic.write_corpus import generate_corpus

CLOSE, EXPORTED = 1e-5, 1e-4
"""Largest difference of a probability: of whatever asks the packaged model, and of the ONNX file."""
FRAMES = 4
TEXTURE = (1040, 1300)
"""Width and height of a scanner's picture; ours are smaller, and would be read whole by everybody."""
NOISE = 12

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A surprised face that no model was trained on: the frames of its sequence, and its last frame alone."""
    recipe = CorpusRecipe(subjects=1, seed=8502, performances=PerformanceOptions(frames=FRAMES))
    root = Path(generate_corpus(recipe, ContentStore(tmp_path_factory.mktemp("raw")))["root"])
    subject = next(root.glob("*/Surprise")).parent.name
    folder = tmp_path_factory.mktemp("asked")
    for place in (root / subject / "Surprise", root / LANDMARK_FOLDER / subject / "Surprise"):
        shutil.copytree(place, folder / "surprise", dirs_exist_ok=True)
    for picture in (folder / "surprise").glob("*.jpg"):
        enlarge(picture)
    (folder / "single").mkdir()
    for file in (folder / "surprise").glob(f"{FRAMES - 2:03}.*"):
        shutil.copy(file, folder / "single" / f"face{file.suffix}")
    return {"sequence": folder / "surprise", "single": folder / "single" / "face.wrl"}


def enlarge(picture):
    """A texture as large, and as noisy, as a scanner's."""
    with Image.open(picture) as small:
        levels = np.asarray(small.resize(TEXTURE, Image.Resampling.BICUBIC)).astype(float)
    noise = np.random.default_rng(0).normal(0, NOISE, (*levels.shape[:2], 1))
    Image.fromarray(np.clip(levels + noise, 0, 255).astype(np.uint8)).save(picture, quality=90)


@pytest.fixture(scope="module")
def project(make_project):
    """A project in which nothing was trained: the packaged models answer; MLflow keeps them too."""
    return make_project("one answer")


@pytest.mark.parametrize("kind", ["sequence", "single"])
@pytest.mark.parametrize("model", ["affect_vlm", "smile_vlm"])
def test_every_road_leads_to_the_same_probabilities(project, project_root, recordings, model, kind, monkeypatch):
    place = recordings[kind]
    called = np.array([affect4d.predict(place, model).probabilities[name] for name in EXPRESSIONS])
    assert called.max() - called.min() > 0.1  # a model that has learnt something, and would show a difference
    roads = {
        "pipeline": by_pipeline(project, model, place),
        "mlflow": by_mlflow(project, model, place),
        "app": by_app(project_root, model, place, monkeypatch),
    }
    furthest = {road: float(np.abs(found - called).max()) for road, found in roads.items()}
    assert max(furthest.values()) <= CLOSE, furthest
    assert np.abs(by_onnx(project, model, place) - called).max() <= EXPORTED


def test_another_scan_is_another_answer(recordings):
    """What the roads agree on depends on what goes in."""
    found = [affect4d.predict(place).probabilities for place in recordings.values()]
    assert max(abs(found[0][name] - found[1][name]) for name in EXPRESSIONS) > 100 * EXPORTED


def by_pipeline(project, model, place):
    project.run("predict", input=str(place), model=model, engine={"workers": 1})
    (row,) = project.load("predictions")[list(PROBABILITY_COLUMNS)].to_numpy()
    return row


def by_mlflow(project, model, place):
    import mlflow

    from affect4d.tracking import register_model

    mlflow.set_tracking_uri(f"sqlite:///{project.folder / 'mlflow.db'}")
    register_model({"model": model, "key": "packaged", "folder": str(PACKAGED / model)})
    table = mlflow.pyfunc.load_model(f"models:/{model}@newest").predict([str(place)])
    (row,) = table[list(PROBABILITY_COLUMNS)].to_numpy()
    return row


def by_app(project_root, model, place, monkeypatch):
    """The bars that the page draws of an upload."""
    from streamlit.testing.v1 import AppTest

    monkeypatch.chdir(place.parent)
    monkeypatch.setenv(FOLDERS, "")
    page = AppTest.from_file(str(project_root / "src/affect4d/app/streamlit_app.py"), default_timeout=180)
    page.session_state["where"], page.session_state["models"] = UPLOAD, [TITLES[model]]  # no sample is made first
    page.run()
    page.file_uploader(key="scans").set_value(sent(place)).run()
    assert not page.exception
    assert not page.error
    (bars,) = [chart for chart in charts(page) if chart["type"] == "bar" and chart["y"] == list(EXPRESSIONS)]
    return np.array(bars["x"])


@pytest.fixture(scope="module", autouse=True)
def _room_closes():
    yield
    upload_reader().close()
    upload_reader.clear()


def sent(place):
    """A sequence as a zip of its folder; a scan with what lies beside it."""
    files = sorted((place if place.is_dir() else place.parent).iterdir())
    if not place.is_dir():
        return [(file.name, file.read_bytes(), "application/octet-stream") for file in files]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in files:
            archive.write(file, f"{place.name}/{file.name}")
    return [("sequence.zip", packed.getvalue(), "application/zip")]


def charts(page):
    """First trace of every chart on the page."""
    return [json.loads(chart.proto.spec)["data"][0] for chart in page.get("plotly_chart")]


def by_onnx(project, model, place):
    """`kedro run --pipeline=export`, and its file asked as `docs/export.md` says, about the frames near the apex."""
    from affect4d.evaluation.sequence_embeddings_and_probabilities import FRAMES as SPEAKING
    from affect4d.evaluation.sequence_embeddings_and_probabilities import window_rows
    from affect4d.inference.onnx_export_and_runtime import OnnxModel
    from affect4d.views.batch_augmentation_and_motion import assemble_unaugmented

    project.run("export", model=model)
    folder = Path(project.load("exported_model")["folder"])
    exported = OnnxModel(folder / "model.onnx")
    prepared = affect4d.load(folder).prepare(place)
    rows = torch.tensor(window_rows(prepared.bank, prepared.name, SPEAKING))
    images = assemble_unaugmented(prepared.bank, rows, exported.description.inputs).numpy()
    return exported.answer(images).sequence_probabilities[0]
