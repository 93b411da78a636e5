"""Training from another model's weights: what is taken over, what stays fresh, what is refused."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from affect4d.models import build_model, save_model
from affect4d.store import ContentStore
from affect4d.training.cached_training import TrainingTables, make_samples, train_model, training_key
from affect4d.training.launch import TrainingJob
from affect4d.training.options import (
    AffectOptions,
    CheckpointOptions,
    DistributedOptions,
    StartingPoint,
    TrainingRecipe,
    TrainOptions,
)
from affect4d.training.starting_weights import StartMismatchError, check_start, fresh_parts, starting_weights
from affect4d.training.trainer import train
from affect4d.views.input_options import InputOptions

VIEWS = ("front", "left", "right")


@pytest.fixture
def start(tmp_path, model_options, inputs):
    model = build_model("affect_vlm", model_options, seed=7)
    with torch.no_grad():
        model.image.fusion.view_scores.copy_(torch.tensor([1.0, 2.0, 3.0]))
    save_model(model, tmp_path / "start")
    return StartingPoint(
        name="affect_vlm", digest="abc", folder=tmp_path / "start", views=VIEWS, channels=inputs.channel_names
    )


def sized(model_options, inputs, views=VIEWS, **changes):
    count, channels = inputs.input_shape(len(views))
    return model_options.model_copy(update={"views": count, "channels": channels, **changes})


def taken_from(start, model, inputs, views=VIEWS):
    weights = starting_weights(model, start, inputs, views)
    model.load_state_dict(weights, strict=False)
    return fresh_parts(model, weights)


def test_a_model_like_the_start_has_its_weights(start, model_options, inputs):
    theirs = build_model("affect_vlm", model_options, seed=7).state_dict()
    theirs["image.fusion.view_scores"] = torch.tensor([1.0, 2.0, 3.0])
    model = build_model("affect_vlm", model_options, seed=0)
    assert taken_from(start, model, inputs) == ()
    assert all(torch.equal(value, theirs[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("kind", "fresh"), [("smile_vlm", ("projector.layers",)), ("view_classifier", ("head.bias", "head.weight"))]
)
def test_another_kind_of_model_keeps_what_the_start_lacks(start, model_options, inputs, kind, fresh):
    model = build_model(kind, model_options)
    assert taken_from(start, model, inputs) == fresh
    stem = build_model("affect_vlm", model_options, seed=7).image.tower.stem.weight
    assert torch.equal(model.image.tower.stem.weight, stem)


def test_views_are_matched_by_name(start, model_options, inputs):
    views = ("right", "above", "front")
    model = build_model("affect_vlm", sized(model_options, inputs, views))
    taken_from(start, model, inputs, views)
    assert model.image.fusion.view_scores.tolist() == [3.0, 0.0, 1.0]


def test_channels_are_matched_by_name(start, model_options):
    wanted = InputOptions(channels=("curvature", "grey"), motion="none", size=24)
    model = build_model("affect_vlm", sized(model_options, wanted))
    before = model.image.tower.stem.weight.clone()
    assert taken_from(start, model, wanted) == ()
    theirs = build_model("affect_vlm", model_options, seed=7).image.tower.stem.weight
    assert torch.equal(model.image.tower.stem.weight[:, 0], before[:, 0])
    assert torch.equal(model.image.tower.stem.weight[:, 1], theirs[:, 0])


def test_another_text_encoder_stays_as_it_was_initialised(start, model_options, inputs):
    encoder = model_options.encoder.model_copy(update={"text_layers": 2})
    model = build_model("affect_vlm", model_options.model_copy(update={"encoder": encoder}))
    assert taken_from(start, model, inputs) == ("text.projection", "text.tower")


def test_another_width_of_the_joint_space_leaves_both_projections(start, model_options, inputs):
    model = build_model("affect_vlm", model_options.model_copy(update={"dim": 24}))
    assert taken_from(start, model, inputs) == ("image.projection", "text.projection")


def test_another_image_encoder_is_refused_with_the_remedy(start, model_options, inputs):
    wider = model_options.encoder.model_copy(update={"image_width": 128})
    with pytest.raises(StartMismatchError, match=r"has model\.encoder\.image_width=64, this run 128.*Set model\."):
        check_start("affect_vlm", model_options, inputs, wider, inputs)
    other = model_options.encoder.model_copy(update={"image": "timm:test_resnet"})
    with pytest.raises(StartMismatchError, match=r"has model\.encoder\.image=compact, this run timm:test_resnet"):
        check_start("affect_vlm", model_options, inputs, other, inputs)
    model = build_model("affect_vlm", model_options.model_copy(update={"encoder": wider}))
    with pytest.raises(StartMismatchError, match=r"another image encoder: image\.tower\.narrow"):
        starting_weights(model, start, inputs, VIEWS)


def test_no_channel_in_common_is_refused(model_options, inputs):
    depth = InputOptions(channels=("depth",), size=24)
    with pytest.raises(StartMismatchError, match="sees the channels grey, shading, this run none of them"):
        check_start("affect_vlm", model_options, inputs, model_options.encoder, depth)


@pytest.fixture
def recipe(inputs, model_options, train_options):
    return TrainingRecipe(inputs, model_options, train_options, AffectOptions())


def test_a_training_begins_with_the_weights_and_a_lower_rate(start, recipe, bank, plan, prompts):
    frozen = replace(recipe, train=recipe.train.model_copy(update={"freeze": ("image.tower.",)}), start=start)
    model, history, *_ = train_model("affect_vlm", bank, plan, prompts, frozen)
    assert history["learning_rate"].max() == pytest.approx(0.2 * recipe.train.learning_rate)
    theirs = build_model("affect_vlm", model.options, seed=7)
    assert torch.equal(model.image.tower.stem.weight, theirs.image.tower.stem.weight)
    assert not torch.equal(model.image.projection.weight, theirs.image.projection.weight)


def test_a_result_depends_on_the_weights_and_the_rate_not_on_the_folder(start, recipe, tmp_path):
    nothing = pd.DataFrame({"sequence": ["a"], "checksum": ["b"]})
    data = TrainingTables(nothing, nothing, nothing, ContentStore(tmp_path))

    def key(**changes):
        return training_key(data, replace(recipe, start=start.model_copy(update=changes)))

    assert key() == key(folder=tmp_path / "elsewhere") == key(name="another")
    assert len({key(), key(digest="def"), key(learning_rate_factor=1.0), training_key(data, recipe)}) == 4


def test_a_job_for_other_processes_holds_the_start(start, recipe, bank, plan, prompts, tmp_path):
    images, folder = tmp_path / "images", tmp_path / "job"
    save_file({"images": bank.images, "neutral": bank.neutral}, images)
    options = CheckpointOptions(), DistributedOptions()
    job = TrainingJob("affect_vlm", replace(recipe, start=start), bank.views, bank.sequences, {}, *options)
    for _ in range(2):  # written anew
        job.save(folder, make_samples("affect_vlm", bank, plan, prompts, recipe), images)
    loaded = TrainingJob.load(folder)
    samples = loaded.load_samples(folder)
    carried, _ = train("affect_vlm", samples, loaded.open_images(folder), loaded.recipe, bank.sequences)
    assert loaded.recipe.start.folder == folder / "start"
    own, *_ = train_model("affect_vlm", bank, plan, prompts, replace(recipe, start=start))
    assert all(torch.equal(value, carried.state_dict()[name]) for name, value in own.state_dict().items())


def test_frozen_parts_may_be_joined_by_a_plus():
    assert TrainOptions(freeze="image.tower.stem+text.").freeze == ("image.tower.stem", "text.")
    assert TrainOptions(freeze="").freeze == ()
