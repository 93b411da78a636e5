"""Training that starts from a packaged model: end to end, with its record and card; what differs is named."""

import json
from pathlib import Path

import pytest

from affect4d.inference.packaged_model_description import find_packaged_model, read_description
from affect4d.models.options import ModelOptions
from affect4d.pipelines.model_input.start import differences, find_start
from affect4d.rendering.options import RenderOptions
from affect4d.store import ContentStore
from affect4d.training.options import CheckpointOptions
from affect4d.training.starting_weights import StartMismatchError
from affect4d.views.input_options import InputOptions


def found(tmp_path, name="affect_vlm", start_from="affect_vlm", **changes):
    """What the node finds for a run like the start's own, but for some changes."""
    packaged = read_description(find_packaged_model(name))
    own = {"inputs": packaged.inputs, "model": packaged.options, "render": packaged.render, "corpus": "mine", **changes}
    training = CheckpointOptions(start_from=start_from, start_rate=0.5)
    return find_start(training, **own, find_model=find_packaged_model, model_store=ContentStore(tmp_path))


def test_without_a_start_nothing_is_looked_for(tmp_path):
    assert found(tmp_path, start_from=None) == []


def test_the_start_is_kept_by_the_digest_of_its_weights(tmp_path):
    (start,) = found(tmp_path)
    assert (start.name, start.learning_rate_factor, start.differences) == ("affect_vlm", 0.5, ())
    assert {file.name for file in start.folder.iterdir()} == {"config.json", "weights.safetensors"}
    assert start.folder.is_relative_to(tmp_path / "starts")
    (other,) = found(tmp_path, name="smile_vlm", start_from="smile_vlm")
    assert other.digest != start.digest


def test_a_folder_of_this_machine_is_not_named(tmp_path):
    (start,) = found(tmp_path, start_from=str(find_packaged_model("affect_vlm")))
    assert start.name == "FOLDER_OF_AFFECT_VLM"


def test_what_differs_from_the_start_is_named(caplog, tmp_path):
    packaged = read_description(find_packaged_model("affect_vlm"))
    inputs = packaged.inputs.model_copy(update={"size": 32, "channels": ("grey", "depth")})
    render = RenderOptions(angles={"front": 0.0, "above": {"yaw": 0, "pitch": 30}})
    corpus = packaged.origin["corpus"]
    found(tmp_path, inputs=inputs, render=render, corpus=f"{corpus}+other")
    told = caplog.text
    assert "The start differs in inputs.channels: grey shading curvature there, grey depth here." in told
    assert "inputs.size: 64 there, 32 here" in told
    assert "render.angles.left: -45.0 there, none here" in told
    shared = ", ".join(sorted(corpus.split("+")))
    assert f"test subjects: it was trained on {shared}, too" in told
    wider = packaged.options.model_copy(update={"dim": 256})
    assert differences(packaged, packaged.inputs, wider, packaged.render, "mine") == ("model.dim: 128 there, 256 here",)
    contempt = packaged.model_copy(update={"prompts": {"contempt": ("a sneer",), "joy": ("a smile",)}})
    (told,) = differences(contempt, packaged.inputs, packaged.options, packaged.render, "mine")
    assert told.startswith("expressions: contempt joy there, anger disgust")


def test_an_encoder_that_does_not_fit_is_refused_before_anything_is_trained(tmp_path):
    encoder = {"image": "timm:test_resnet", "text": "compact"}
    with pytest.raises(StartMismatchError, match=r"Set model\.encoder\.image=compact, or leave train\.start_from out"):
        found(tmp_path, model=ModelOptions(encoder=encoder))
    with pytest.raises(StartMismatchError, match=r"this run none of them: set inputs\.channels"):
        found(tmp_path, inputs=InputOptions(channels=("depth",)))
    assert not (tmp_path / "starts").exists()


@pytest.fixture(scope="module")
def project(make_project):
    return make_project("fine_tuning")


@pytest.mark.slow
@pytest.mark.parametrize(("pipeline", "name"), [("train_affect", "affect_vlm"), ("train_smile", "smile_vlm")])
def test_a_run_starts_from_the_packaged_model(project, pipeline, name):
    text = read_description(find_packaged_model(name)).options.encoder.text
    project.run(pipeline, train={"start_from": name}, model={"encoder": {"text": text}})
    record = project.load(f"{name}_model")
    assert record["start"]["fresh"] == ([] if name == "affect_vlm" else ["projector.layers"])
    assert "inputs.size: 64 there, 32 here" in record["start"]["differences"]
    rates = project.load(f"{name}_history")["learning_rate"]
    assert rates.max() <= 0.2 * project.load(f"{name}_settings").train.learning_rate
    packaged = Path(project.load(f"{name}_packaged_model")["folder"])
    assert f"started from: {name}, weights {record['start']['digest']}" in (packaged / "card.md").read_text()
    command = json.loads((packaged / "packaged_model.json").read_text())["origin"]["command"]
    assert command.endswith(f",train.start_from={name}")


@pytest.mark.slow
def test_the_study_compares_the_start_fine_tuning_and_training_from_scratch(project):
    text = read_description(find_packaged_model("affect_vlm")).options.encoder.text
    project.run("study_fine_tuning", train={"start_from": "affect_vlm"}, model={"encoder": {"text": text}})
    document = project.load("fine_tuning_study")
    assert document["provenance"]["changes"]["train.start_from"] == "affect_vlm"
    compared = {row["variant"]: row["against"] for row in document["variants"]}
    assert compared == {"start": "", "tuned_3": "", "scratch_3": "tuned_3"}
