"""A folder to share predicts as the packaged model does, in ONNX and open_clip too; what would not is not written."""

import json

import numpy as np
import onnx
import open_clip
import pytest
import torch

from affect4d.inference import shareable_model_folder as export
from affect4d.inference.onnx_export_and_runtime import OnnxModel, quantise_onnx
from affect4d.inference.packaged_model_description import find_packaged_model
from affect4d.inference.packaged_weights import read_packaged_model
from affect4d.inference.predictor import Predictor
from affect4d.inference.shareable_model_folder import (
    CONFIG_FILE,
    ENCODERS_FILE,
    INT8_FILE,
    ONNX_FILE,
    PROMPTS_FILE,
    README,
    ParityError,
    calibration_images,
    difference,
    export_packaged_model,
    write_hub_folder,
)
from affect4d.models import clip_tokens
from affect4d.prompts.emotion_prompts import read_prompt_set
from affect4d.views.batch_augmentation_and_motion import assemble_unaugmented


@pytest.fixture(scope="module")
def exported(make_packaged_model, raw_scans, tmp_path_factory):
    """The compact packaged model, exported with everything."""
    folder = tmp_path_factory.mktemp("export")
    return folder, export_packaged_model(make_packaged_model("compact").folder, folder, calibration=raw_scans)


@pytest.mark.slow
def test_one_scan_gets_the_same_probabilities_everywhere(exported, raw_scans):
    folder, _ = exported
    predictor = Predictor.load(folder)
    sequence = sorted(path for path in raw_scans.rglob("*") if path.is_dir())[-1]
    for scans in (sequence, sorted(sequence.glob("*.wrl"))[-1]):
        prepared = predictor.prepare(scans)
        images = assemble_unaugmented(prepared.bank, torch.tensor(prepared.rows), predictor.description.inputs).numpy()
        model, prediction = OnnxModel(folder / ONNX_FILE, threads=1), predictor.classify(prepared)
        speaking = np.array([frame.in_window for frame in prediction.frames])
        verdict = [prediction.probabilities[name] for name in predictor.expressions]
        frames = [[*frame.probabilities.values()] for frame in prediction.frames]
        assert np.abs(model.answer(images[speaking]).sequence_probabilities[0] - verdict).max() <= 1e-4
        assert np.abs(model.answer(images).probabilities - frames).max() <= 1e-4


@pytest.mark.slow
def test_the_record_says_how_near_and_how_large(exported):
    folder, told = exported
    assert told["onnx_difference"] <= 1e-4 < 1
    assert told["bytes"] == {file.name: file.stat().st_size for file in folder.iterdir()}


@pytest.mark.slow
def test_int8_is_smaller_and_near(exported, raw_scans):
    folder, told = exported
    assert told["bytes"][INT8_FILE] < 0.4 * told["bytes"][ONNX_FILE]
    predictor = Predictor.load(folder)
    images = calibration_images(predictor, raw_scans)
    assert 0 < difference(predictor, folder / INT8_FILE, images) == pytest.approx(told["int8_difference"])
    assert told["int8_difference"] < 0.1
    assert OnnxModel(folder / INT8_FILE).description == predictor.description


@pytest.mark.slow
def test_the_products_with_the_prompts_stay_exact(exported):
    folder, _ = exported
    nodes = onnx.load(str(folder / INT8_FILE)).graph.node
    made = {output: node.op_type for node in nodes for output in node.output}
    products = [node for node in nodes if node.op_type == "MatMul"]
    exact = [node for node in products if not any(made.get(name) == "DequantizeLinear" for name in node.input)]
    assert len(products) > len(exact) == 2


@pytest.mark.slow
def test_bad_scans_are_passed_over_in_calibration(exported, raw_scans, tmp_path):
    predictor = Predictor.load(exported[0])
    (tmp_path / "broken.ply").write_bytes(b"ply\nnothing")
    with pytest.raises(ValueError, match=r"No scan in .* is usable"):
        calibration_images(predictor, tmp_path)
    good = next(raw_scans.rglob("*.wrl"))
    for file in good.parent.glob(f"{good.stem}.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert calibration_images(predictor, tmp_path).shape == (1, 3, 6, 32, 32)


@pytest.mark.slow
def test_calibration_is_spread_over_all_recordings(exported, tmp_path, monkeypatch):
    for number in range(10):
        (tmp_path / f"person {number} again.ply").touch()
    chosen = []
    monkeypatch.setattr(export, "CALIBRATION", 4)
    monkeypatch.setattr(export, "_frame_images", lambda _, recordings, __: chosen.extend(recordings) or [np.zeros(1)])
    calibration_images(Predictor.load(exported[0]), tmp_path)
    assert [one.name[7] for one in chosen] == ["0", "3", "6", "9"]


@pytest.mark.slow
def test_int8_without_a_picture_is_refused(exported, tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        quantise_onnx(exported[0] / ONNX_FILE, tmp_path / "model.onnx", np.zeros((0, 3, 6, 32, 32), np.float32))


@pytest.mark.slow
def test_a_file_that_answers_otherwise_is_not_handed_on(make_packaged_model, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    with pytest.raises(ParityError, match=ONNX_FILE):
        export_packaged_model(make_packaged_model("compact").folder, tmp_path / "model")
    assert not (tmp_path / "model" / ONNX_FILE).exists()


@pytest.mark.slow
def test_a_file_with_other_action_units_is_not_handed_on(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "action_unit_difference", lambda *_: 2e-4)
    with pytest.raises(ParityError, match=r"action units of model\.onnx differ by 2\.0e-04"):
        export_packaged_model(find_packaged_model("affect_vlm"), tmp_path / "model")
    assert not (tmp_path / "model" / ONNX_FILE).exists()


@pytest.mark.slow
def test_the_record_of_a_model_with_action_units_has_their_difference(exported, tmp_path):
    told = export_packaged_model(find_packaged_model("affect_vlm"), tmp_path)
    assert 0 < told["onnx_action_unit_difference"] <= 1e-4
    assert not any("action_unit" in name for name in exported[1])


SENTENCES = ["a joyful smiling face", "brows lowered and lips pressed together"]


@pytest.fixture(scope="module", params=["compact", "open_clip"])
def shared(request, make_packaged_model, tmp_path_factory):
    made = make_packaged_model(request.param)
    return made, write_hub_folder(made.folder, tmp_path_factory.mktemp("shared") / "model")


@pytest.fixture
def pictures(shared, generator):
    views, channels = shared[0].model.image.shape
    return torch.from_numpy(generator.uniform(-1, 1, (2, views, channels, 32, 32))).float()


@torch.inference_mode()
def test_the_folder_is_a_packaged_model_that_answers_alike(shared, pictures):
    made, folder = shared
    opened = read_packaged_model(folder)
    tokens = clip_tokens(SENTENCES[:1], 32)
    assert torch.equal(opened.model.embed_views(pictures).fused, made.model.embed_views(pictures).fused)
    assert torch.equal(opened.model.embed_texts(tokens), made.model.embed_texts(tokens))
    assert opened.description == read_packaged_model(made.folder).description


def test_the_prompts_may_go_back_in(shared):
    made, folder = shared
    prompts = read_packaged_model(made.folder).description.prompts
    assert {name: tuple(texts) for name, texts in read_prompt_set(folder / PROMPTS_FILE).items()} == prompts


def test_the_page_says_how_to_load_it(shared):
    made, folder = shared
    text = (folder / README).read_text()
    assert f'affect4d.load("path/to/{read_packaged_model(folder).description.name}")' in text
    assert 'model.predict("smile.ply", neutral="at_rest.ply")' in text
    assert ("open_clip.create_model" in text) == made.model.options.encoder.paired


def test_the_compact_encoder_is_not_passed_off_as_open_clips(make_packaged_model, tmp_path):
    folder = write_hub_folder(make_packaged_model("compact").folder, tmp_path / "model")
    assert not {CONFIG_FILE, ENCODERS_FILE} & {file.name for file in folder.iterdir()}


@torch.inference_mode()
@pytest.mark.parametrize("dim", [32, 48])
def test_plain_open_clip_reads_the_encoders(make_packaged_model, tmp_path, generator, dim):
    made = make_packaged_model("open_clip", dim)
    folder = write_hub_folder(made.folder, tmp_path / "model")
    theirs, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(SENTENCES)
    pictures = torch.from_numpy(generator.uniform(-1, 1, (2, 3, 32, 32))).float()
    assert torch.equal(theirs.eval().encode_image(pictures), made.model.image.tower(pictures))
    assert torch.equal(theirs.encode_text(tokens), made.model.text.tower(tokens))
    assert float(theirs.logit_scale.exp()) == pytest.approx(float(made.model.temperature()))
    steps = [step for step in transform.transforms if hasattr(step, "mean")]
    torch.testing.assert_close(steps[0]((pictures + 1) / 2), made.model.image.normalised(pictures))


def test_no_weight_lies_there_twice(make_packaged_model, tmp_path):
    made = make_packaged_model("open_clip")
    folder = write_hub_folder(made.folder, tmp_path / "model")
    sizes = {file.name: file.stat().st_size for file in folder.glob("*.safetensors")}
    assert sizes["model.safetensors"] < 0.1 * sizes[ENCODERS_FILE]
    assert json.loads((folder / CONFIG_FILE).read_text())["model_cfg"]["embed_dim"] == 32


def test_a_folder_that_was_handed_on_can_be_handed_on(make_packaged_model, tmp_path):
    first = write_hub_folder(make_packaged_model("open_clip").folder, tmp_path / "first")
    second = write_hub_folder(first, tmp_path / "second")
    assert sorted(file.name for file in first.iterdir()) == sorted(file.name for file in second.iterdir())
    assert (first / ENCODERS_FILE).read_bytes() == (second / ENCODERS_FILE).read_bytes()
    read_packaged_model(second)
