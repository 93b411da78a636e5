"""Evaluation computes where training does: no GPU is needed to see where a model is put."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from affect4d.experiments import robustness, trials
from affect4d.experiments.robustness import Corruption, RobustnessTest
from affect4d.experiments.settings import ExperimentSettings
from affect4d.experiments.variants import Variant
from affect4d.models import EncoderOptions, ModelOptions, build_model, save_model
from affect4d.pipelines.evaluation import nodes
from affect4d.store import ContentStore
from affect4d.training import device
from affect4d.training.options import TrainOptions
from affect4d.views.input_options import InputOptions

TRAIN = TrainOptions(device="cuda")
SMALL = ModelOptions(
    encoder=EncoderOptions(text="compact", image_width=32, text_width=16, text_heads=2, text_layers=1), dim=16
)


@pytest.fixture
def on_meta(monkeypatch):
    """Stand "meta" in for the GPU."""
    for module in (device, trials, robustness):
        monkeypatch.setattr(module, "choose_device", lambda name: torch.device("meta" if name == "cuda" else "cpu"))


@pytest.fixture
def store(tmp_path):
    kept = ContentStore(tmp_path)
    for entry in ("smile_vlm/key", "pretrained/key"):
        save_model(build_model("smile_vlm", SMALL), kept.path(entry))
    return kept


def where(model):
    return next(model.parameters()).device.type


@pytest.mark.parametrize(("name", "expected"), [("cuda", "meta"), ("cpu", "cpu")])
def test_a_recorded_model_is_opened_where_training_computes(on_meta, store, name, expected):
    record = {"folder": str(store.path("smile_vlm/key"))}
    assert where(nodes._saved(record, ExperimentSettings(train=TrainOptions(device=name))).load()) == expected


def test_so_is_the_untrained_encoder_beside_it(on_meta):
    assert where(nodes._untrained(ExperimentSettings(model=SMALL, train=TRAIN)).build(2, InputOptions())) == "meta"


def test_so_is_a_model_that_trials_share(on_meta, store, monkeypatch):
    pd.DataFrame({"epoch": [0]}).to_parquet(store.path("pretrained/key") / "curve.parquet")
    monkeypatch.setattr(trials, "_key", lambda *_: {})
    monkeypatch.setattr(trials, "cached_folder", lambda *_, **__: "pretrained/key")
    variant = Variant("smile_3", "", method="smile_vlm", readout="linear_probe", changes={"labelled_subjects": 3})
    settings = ExperimentSettings(train=TRAIN, labelled_subjects=3)
    training = trials._Training(variant, settings, None, None, store)
    assert where(trials._trained(training, None)[0]) == "meta"


def test_so_is_a_model_that_reads_corrupted_scans(on_meta, store, monkeypatch):
    seen = []
    monkeypatch.setattr(robustness, "corrupted_bank", lambda *_: None)
    monkeypatch.setattr(robustness, "_probabilities", lambda model, *_: seen.append(where(model)))
    monkeypatch.setattr(robustness, "prediction_table", lambda *_: pd.DataFrame())
    models = {"smile_vlm": Path(store.path("smile_vlm/key"))}
    robustness._predict(Corruption("none", 0), RobustnessTest((), Path(), None, InputOptions(), models, {}, "cuda"))
    assert seen == ["meta"]
