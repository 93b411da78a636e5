"""A model is trained once; started over it is another one, and whatever is kept of the first is not taken for it."""

from types import SimpleNamespace

import pandas as pd
import pytest

from affect4d.models import build_model
from affect4d.store import ContentStore
from affect4d.training import cached_training as run
from affect4d.training.cached_training import TrainingTables, train_cached
from affect4d.training.options import CheckpointOptions
from affect4d.training.state_and_checkpoints import TrainingCost

HISTORY = pd.DataFrame({"epoch": [0, 0, 1], "step": [0, 1, 0], "loss": [1.0, 2.0, 1.0]})
FRESH = CheckpointOptions(fresh=True)


@pytest.fixture
def ask(tmp_path, model_options, monkeypatch):
    """Asks for the model of one recipe; every training of it ends in the weights of the next seed."""
    made = []

    def train(*_):
        model = build_model("affect_vlm", model_options, seed=len(made))
        made.append(model)
        return run.TrainedModel(model, HISTORY, TrainingCost(), {0: 3.0, 1: 2.5})

    monkeypatch.setattr(run, "_train", train)
    nothing = pd.DataFrame({"sequence": ["a"], "checksum": ["b"]})
    data = TrainingTables(nothing, nothing, nothing, ContentStore(tmp_path / "views"))
    recipe = SimpleNamespace(inputs=1, model=model_options, train=3, objective=4, start=None)
    store = ContentStore(tmp_path / "models")

    def ask(checkpoints=None, on_epoch=lambda *_: None):
        return train_cached("affect_vlm", data, recipe, store, on_epoch, checkpoints)

    return made, ask


def test_the_same_recipe_is_trained_once(ask):
    made, train = ask
    assert train() == train()
    assert len(made) == 1


def test_a_model_that_is_there_tells_its_curves_with_that_of_the_held_out_people(ask):
    _, train = ask
    told = {}
    train()
    train(on_epoch=told.__setitem__)
    assert told == {0: {"loss": 1.5, "validation_loss": 3.0}, 1: {"loss": 1.0, "validation_loss": 2.5}}


def test_started_over_it_is_another_model_under_the_same_entry(ask):
    made, train = ask
    first, second = train(), train(FRESH)
    assert len(made) == 2
    assert first["entry"] == second["entry"]
    assert first["key"] != second["key"]
    assert train() == second


def test_weights_that_changed_under_their_name_make_another_recipe(tmp_path, model_options):
    nothing = pd.DataFrame({"sequence": ["a"], "checksum": ["b"]})
    data, file = TrainingTables(nothing, nothing, nothing, ContentStore(tmp_path)), tmp_path / "clip.safetensors"
    source = {"image": "open_clip:ViT-B-32", "text": "open_clip:ViT-B-32", "pretrained": str(file)}
    encoder = model_options.encoder.model_copy(update=source)
    recipe = SimpleNamespace(
        inputs=1, model=model_options.model_copy(update={"encoder": encoder}), train=3, objective=4, start=None
    )
    keys = set()
    for weights in (b"first", b"second"):
        file.write_bytes(weights)
        keys.add(run.training_key(data, recipe))
    assert len(keys) == 2
