"""Settings, model records, optional partitions and former names as catalog entries."""

import json

import pytest
from kedro.io import DatasetError

from affect4d.datasets import OptionalPartitionsDataset, RenamedDataset, SettingsDataset, TrainedModelDataset
from affect4d.experiments.settings import ExperimentSettings


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
