"""Settings, model records, optional partitions, former names, contact sheets and packaged models as catalog entries."""

import base64
import json
import logging
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from kedro.io import DatasetError
from PIL import Image

from affect4d.datasets import (
    PREVIEW_RATIO,
    ContactSheetDataset,
    ModelFinderDataset,
    OptionalPartitionsDataset,
    RenamedDataset,
    ServedModelDataset,
    SettingsDataset,
    TrainedModelDataset,
)
from affect4d.experiments.settings import ExperimentSettings
from affect4d.inference import find_packaged_model
from affect4d.inference.packaged_model_description import DESCRIPTION_FILE, description_file
from affect4d.tracking import log_artefact

VERSIONS = ("2026-11-21T10.00.00.000Z", "2026-11-22T10.00.00.000Z")


def test_settings_are_read_as_they_were_written(tmp_path):
    dataset = SettingsDataset(filepath=str(tmp_path / "model/settings.json"))
    assert not dataset.exists()
    settings = ExperimentSettings(method="smile_vlm").changed({"train.epochs": 3, "objectives.smile_vlm.beta": 0.5})
    dataset.save(settings)
    assert dataset.load() == settings
    assert json.loads((tmp_path / "model/settings.json").read_text())["train"]["epochs"] == 3


def test_a_model_is_found_where_the_project_lies_now(tmp_path):
    dataset = TrainedModelDataset(filepath=str(tmp_path / "model.json"), store={"filepath": str(tmp_path / "store")})
    dataset.save({"model": "smile_vlm", "entry": "smile_vlm/key", "folder": "/elsewhere/smile_vlm/key"})
    assert dataset.load()["folder"] == str(tmp_path / "store/smile_vlm/key")


def test_partitions_that_nobody_has_written_are_none(tmp_path):
    folder = tmp_path / "evidence"
    dataset = OptionalPartitionsDataset(path=str(folder), dataset="json.JSONDataset", filename_suffix=".json")
    assert dataset.load() == {}
    (folder / "corpus/studies").mkdir(parents=True)
    (folder / "corpus/studies/ablation.json").write_text('{"größer": 1}', encoding="utf-8")
    assert {name: load() for name, load in dataset.load().items()} == {"corpus/studies/ablation": {"größer": 1}}


def test_a_former_name_gives_the_entry_and_the_new_name(tmp_path):
    (tmp_path / "scores.json").write_text("[1]")
    entry = {"type": "json.JSONDataset", "filepath": str(tmp_path / "scores.json")}
    dataset = RenamedDataset(name="scores", dataset=entry)
    with pytest.warns(FutureWarning, match="called scores now"):
        assert dataset.load() == [1]
    with pytest.raises(DatasetError, match="new name"):
        dataset.save([2])


def previewed(tmp_path, size, **options):
    dataset = ContactSheetDataset(filepath=str(tmp_path / "sheet.png"), **options)
    dataset.save(Image.new("RGB", size, (200, 0, 0)))
    return Image.open(BytesIO(base64.b64decode(dataset.preview())))


@pytest.mark.parametrize("size", [(940, 268), (268, 940), (458, 300)])
def test_a_preview_has_kedro_viz_own_proportions_and_is_not_stretched(tmp_path, size):
    shown = previewed(tmp_path, size, preview=True)
    assert shown.width / shown.height == pytest.approx(PREVIEW_RATIO, rel=0.01)
    red = (np.asarray(shown) == (200, 0, 0)).all(axis=-1)
    assert (red.any(axis=0).sum(), red.any(axis=1).sum()) == size
    assert (np.asarray(shown)[~red] == 255).all()


def test_faces_of_real_people_are_not_previewed(tmp_path):
    assert np.unique(np.asarray(previewed(tmp_path, (60, 40)))).tolist() == [255]


@pytest.fixture
def records(tmp_path):
    """Two versions of a project's own AffectVLM."""
    for version in VERSIONS:
        entry = tmp_path / "packaged" / f"affect_vlm-{version[:10]}"
        entry.mkdir(parents=True)
        (entry / DESCRIPTION_FILE).write_text("{}")
        place = tmp_path / "affect_vlm_packaged.json" / version / "affect_vlm_packaged.json"
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps({"entry": f"packaged/{entry.name}", "folder": "/moved/away"}))
    return tmp_path


def served(model, records):
    return ServedModelDataset(model=str(model), filepath=str(records)).load()


def test_a_name_is_the_newest_of_the_project_wherever_the_project_lies(records):
    assert served("affect_vlm", records) == records / "packaged" / "affect_vlm-2026-11-22"


def test_training_starts_from_the_model_of_the_package_whatever_the_project_has_trained_under_its_name(records):
    find = ModelFinderDataset(filepath=str(records)).load()
    assert find("affect_vlm") == find_packaged_model("affect_vlm")
    assert find(f"affect_vlm@{VERSIONS[0]}") == records / "packaged" / "affect_vlm-2026-11-21"
    assert find(str(find_packaged_model("smile_vlm"))) == find_packaged_model("smile_vlm")
    with pytest.raises(DatasetError, match=r"no model 'oracle'.*affect_vlm, smile_vlm.*models:/"):
        find("oracle")


def test_a_version_is_that_one(records):
    assert served(VERSIONS[0], records) == records / "packaged" / "affect_vlm-2026-11-21"


def test_it_is_told_on_whom_the_model_was_trained(records, caplog):
    with caplog.at_level(logging.INFO):
        ServedModelDataset(model="smile_vlm", filepath=str(records)).load()
        served("affect_vlm", records)  # it is no packaged model, which is said when it is opened
    told, silent = (record.getMessage() for record in caplog.records)
    origin = json.loads(description_file(find_packaged_model("smile_vlm")).read_text())["origin"]
    assert f"trained on {origin['trained_on']} of {origin['corpus']}" in told
    assert "trained on" not in silent


@pytest.fixture
def both(records):
    """The same, and a SMILE-VLM of the first run: one run saves both under one version."""
    entry = records / "packaged" / "smile_vlm"
    entry.mkdir()
    place = records / "smile_vlm_packaged.json" / VERSIONS[0] / "smile_vlm_packaged.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps({"entry": "packaged/smile_vlm", "folder": "/moved/away"}))
    return records


def test_a_name_and_a_version_are_one_model(both):
    assert served(f"smile_vlm@{VERSIONS[0]}", both) == both / "packaged" / "smile_vlm"
    assert served(f"affect_vlm@{VERSIONS[0]}", both) == both / "packaged" / "affect_vlm-2026-11-21"
    with pytest.raises(DatasetError, match=rf"no model.*Newest versions of smile_vlm: {VERSIONS[0]}\. Or"):
        served(f"smile_vlm@{VERSIONS[1]}", both)
    with pytest.raises(DatasetError, match=rf"no model.*versions of affect_vlm: {VERSIONS[1]}, {VERSIONS[0]}\. Or"):
        served("affect_vlm@yesterday", both)


def test_a_version_of_two_models_has_to_be_told_apart(both):
    named = rf"model=affect_vlm@{VERSIONS[0]}, model=smile_vlm@{VERSIONS[0]}"
    with pytest.raises(DatasetError, match=named):
        served(VERSIONS[0], both)
    assert served(VERSIONS[1], both) == both / "packaged" / "affect_vlm-2026-11-22"


def test_what_the_project_has_not_trained_comes_with_the_package(records):
    assert served("smile_vlm", records) == find_packaged_model("smile_vlm")


def test_a_folder_goes_before_every_name(records):
    folder = records / "packaged" / "affect_vlm-2026-11-21"
    assert served(folder, records) == folder


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Runs of an MLflow of one's own, each with the packages of some models."""
    import mlflow

    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs.db'}")

    def run(*models):
        with mlflow.start_run() as begun:
            for model in models:
                told = {"model": model, "key": "packaged", "folder": str(find_packaged_model(model))}
                log_artefact(f"{model}_packaged_model", SimpleNamespace(metadata={"mlflow": "package"}), told)
        return begun.info.run_id

    yield run
    mlflow.set_tracking_uri(before)


def test_a_run_of_mlflow_answers_by_the_packaged_model_it_made_or_found_made(runs, records):
    first, again = runs("affect_vlm"), runs("affect_vlm")
    for run in (first, again):
        description = json.loads(description_file(served(run, records)).read_text())
        assert description == json.loads(description_file(find_packaged_model("affect_vlm")).read_text())


def test_a_run_with_several_models_or_none_is_asked_which(runs, records):
    both, none = runs("affect_vlm", "smile_vlm"), runs()
    with pytest.raises(DatasetError, match="made 2: model=models:/affect_vlm/1 or model=models:/smile_vlm/1"):
        served(both, records)
    with pytest.raises(DatasetError, match=f"{none}. it made none"):
        served(none, records)


def test_an_unknown_name_lists_what_there_is(records):
    with pytest.raises(DatasetError, match=r"no model 'oracle'.*affect_vlm, smile_vlm.*models:/"):
        served("oracle", records)


def test_a_served_model_is_never_saved(records):
    dataset = ServedModelDataset(model="affect_vlm", filepath=str(records))
    assert dataset.exists()
    with pytest.raises(DatasetError, match="pipeline=package"):
        dataset.save(records)
