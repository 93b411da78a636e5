"""A bundle gives the model back: the same answers on words it knows, and a plain word where it is damaged."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from affect4d.evaluation.zero_shot import class_embeddings, expression_prompts
from affect4d.inference import (
    PackagedModel,
    PackagedModelError,
    Predictor,
    find_packaged_model,
    packaged_models,
    read_packaged_model,
    write_packaged_model,
)
from affect4d.inference.packaged_weights import halve_precision
from affect4d.models import ModelOptions, SmileVLM, clip_tokens
from affect4d.rendering.options import RenderOptions
from affect4d.scans.expression import EXPRESSIONS
from affect4d.views.input_options import InputOptions

LARGEST = 3_000_000
TYPED = ["a terrified face", "someone smiling", "a close view of someone gasping"]
NEVER_SEEN = "a flabbergasted person, doesn't smile"


@pytest.fixture(scope="module")
def made(make_bundle):
    return make_bundle("compact", dim=128)


@pytest.fixture
def damaged(made, tmp_path):
    """A copy to damage."""
    return shutil.copytree(made.folder, tmp_path / "bundle")


def embedded(model, sentences):
    with torch.inference_mode():
        return model.embed_texts(model.tokenise(sentences)).numpy()


def test_a_bundle_says_what_it_was_told(made):
    bundle = read_packaged_model(made.folder).description
    assert bundle.expressions == EXPRESSIONS
    assert bundle.options.channels == 6
    assert bundle.prompts == expression_prompts()
    assert "device" not in json.loads((made.folder / "bundle.json").read_text())["render"]


def test_every_weight_that_answers_comes_back_to_the_bit(made):
    weights, back = made.model.state_dict(), read_packaged_model(made.folder).model.state_dict()
    assert set(weights) == set(back)
    for name in set(weights) - {"text.tower.token_embedding.weight"}:
        assert torch.equal(weights[name], back[name]), name


def test_known_sentences_are_embedded_alike_and_prompts_to_the_bit(made):
    predictor = Predictor.load(made.folder)
    np.testing.assert_allclose(predictor.embed_texts(TYPED), embedded(made.model, TYPED), atol=1e-6)
    classes = class_embeddings(made.model, expression_prompts())
    np.testing.assert_array_equal(predictor.probabilities(classes), predictor.probabilities(predictor.classes))


def test_in_half_precision_it_is_small_and_answers_stay_exact(made, tmp_path):
    folder = halve_precision(made.folder, tmp_path / "half")
    assert (folder / "model.safetensors").stat().st_size <= LARGEST
    half, full = Predictor.load(folder), Predictor.load(made.folder)
    np.testing.assert_array_equal(half.classes, full.classes)
    difference = np.abs(half.embed_texts(TYPED) - full.embed_texts(TYPED)).max()
    assert 0 < difference < 2e-3


def test_unknown_words_are_named_and_say_nothing(made):
    predictor = Predictor.load(made.folder)
    assert predictor.unknown_words(NEVER_SEEN) == ("flabbergasted", "doesn't", "smile")
    assert predictor.unknown_words("A Smiling FACE, smiling!") == ()
    rows = predictor.model.state_dict()["text.tower.token_embedding.weight"]
    unknown = [int(token) for token in clip_tokens(["flabbergasted"], 32)[0] if int(token) not in predictor._known]
    assert unknown
    assert not rows[unknown].any()


def test_words_of_training_are_known(made, tmp_path):
    folder = write_packaged_model(
        tmp_path / "more", made.model, read_packaged_model(made.folder).description, [NEVER_SEEN]
    )
    assert Predictor.load(folder).unknown_words(NEVER_SEEN) == ()


def test_an_open_clip_encoder_knows_every_word(make_bundle):
    predictor = Predictor.load(make_bundle("open_clip").folder)
    assert isinstance(predictor.model, SmileVLM)
    assert predictor.unknown_words(NEVER_SEEN) == ()
    assert predictor.views == ("front", "left", "right", "front motion", "left motion", "right motion")


def test_what_only_training_needs_is_left_out(make_bundle):
    made = make_bundle("open_clip")
    assert not [name for name in load_file(made.folder / "model.safetensors") if name.startswith("projector")]


def cut(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def without_a_tensor(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["image.tower.stem.weight"]
    save_file(weights, folder / "model.safetensors")


def with_other_prompts(folder):
    file = folder / "bundle.json"
    told = json.loads(file.read_text())
    told["prompts"]["anger"].pop()
    file.write_text(json.dumps(told))


def of_a_later_version(folder):
    file = folder / "bundle.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 2}))


def for_other_pictures(folder):
    file = folder / "bundle.json"
    told = json.loads(file.read_text())
    told["inputs"]["motion"] = "none"
    file.write_text(json.dumps(told))


DAMAGE = {
    "no description": (lambda folder: (folder / "bundle.json").unlink(), "is not a packaged model"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors is missing"),
    "cut weights": (cut, "damaged"),
    "a tensor short": (without_a_tensor, "image.tower.stem.weight"),
    "other prompts": (with_other_prompts, "prompts"),
    "a later version": (of_a_later_version, "format"),
    "other pictures": (for_other_pictures, "3 of 3"),
    "no JSON": (lambda folder: (folder / "bundle.json").write_bytes(b"\xff\xfe{"), "bundle.json"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_bundle_is_named(damaged, kind):
    damage, words = DAMAGE[kind]
    damage(damaged)
    with pytest.raises(PackagedModelError, match=words):
        read_packaged_model(damaged)


def test_a_name_that_leads_nowhere_lists_what_there_is(tmp_path):
    with pytest.raises(PackagedModelError, match=r"no model 'affect_vlmm'.*come with the package: affect_vlm"):
        find_packaged_model("affect_vlmm")
    with pytest.raises(
        PackagedModelError, match=r"MLflow's name.*load_model\('models:/affect_vlm@newest'\).*model=models:/"
    ):
        find_packaged_model("models:/affect_vlm@newest")
    with pytest.raises(PackagedModelError, match=r"is not a packaged model.*docs/predict\.md"):
        find_packaged_model(tmp_path)


def test_a_model_without_pictures_to_fit_is_refused():
    parts = {"name": "a", "kind": "affect_vlm", "crop_radius": 95.0, "prompts": {"x": ("x",), "y": ("y",)}}
    with pytest.raises(ValueError, match="3 views of 6 channels"):
        PackagedModel(options=ModelOptions(), inputs=InputOptions(motion="views"), render=RenderOptions(), **parts)


@pytest.mark.parametrize("name", packaged_models())
def test_a_packaged_model_is_small_measured_and_carries_its_card(name):
    folder = find_packaged_model(name)
    assert (folder / "model.safetensors").stat().st_size <= LARGEST
    bundle = read_packaged_model(folder).description
    assert bundle.name == name
    assert bundle.scores is not None
    assert {"corpus", "command"} <= set(bundle.origin)
    assert f"{100 * bundle.scores.accuracy:.1f} %" in (folder / "card.md").read_text()
