"""An exported file answers as the model does, whatever encoder, batch or view is missing."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import affect4d
from affect4d.evaluation.sequence_embeddings_and_probabilities import FRAMES, window_rows
from affect4d.evaluation.zero_shot import class_embeddings, zero_shot_probabilities
from affect4d.inference.onnx_export_and_runtime import OUTPUTS, UNIT_OUTPUTS, OnnxModel, export_onnx, quantise_onnx
from affect4d.inference.packaged_model_description import find_packaged_model
from affect4d.inference.packaged_weights import read_packaged_model
from affect4d.inference.predictor import Predictor
from affect4d.scans.expression import EXPRESSIONS
from affect4d.views.batch_augmentation_and_motion import assemble_unaugmented

PARITY = 1e-4


@pytest.fixture(scope="module", params=["compact", "open_clip", "timm"])
def exported(request, make_packaged_model, tmp_path_factory):
    """A packaged model of each kind of encoder, with its ONNX file."""
    opened = read_packaged_model(make_packaged_model(request.param).folder)
    return opened, export_onnx(opened, tmp_path_factory.mktemp("onnx") / "model.onnx")


@pytest.fixture
def pictures(exported, generator):
    views, channels = exported[0].description.inputs.input_shape(3)
    return generator.uniform(-1, 1, (5, views, channels, 32, 32)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_any_batch_gives_the_probabilities_of_the_model(exported, pictures, batch):
    opened, path = exported
    with torch.inference_mode():
        fused = opened.model.embed_views(torch.from_numpy(pictures[:batch])).fused.numpy()
    temperature = float(opened.model.temperature().detach())
    scale = temperature / (opened.description.calibration.temperature if opened.description.calibration else 1.0)
    classes = class_embeddings(opened.model, opened.description.prompts)
    answers = OnnxModel(path, threads=1).answer(pictures[:batch])
    assert np.abs(answers.probabilities - zero_shot_probabilities(fused, classes, scale)).max() <= PARITY
    assert np.abs(answers.embedding - fused).max() <= PARITY
    mean = fused.mean(axis=0, keepdims=True)
    verdict = zero_shot_probabilities(mean / np.linalg.norm(mean), classes, scale)
    assert np.abs(answers.sequence_probabilities - verdict).max() <= PARITY


@pytest.mark.slow
def test_missing_views_drop_out_as_they_do_in_the_model(exported, pictures):
    opened, path = exported
    present = np.ones(pictures.shape[:2], bool)
    present[0, 0] = present[1, 1:] = present[3, ::2] = False
    with torch.inference_mode():
        expected = opened.model.embed_views(torch.from_numpy(pictures), torch.from_numpy(present)).fused.numpy()
    model = OnnxModel(path, threads=1)
    answers = model.answer(pictures, present)
    assert np.abs(answers.embedding - expected).max() <= PARITY
    assert np.abs(model.answer(pictures).embedding - expected).max() > 100 * PARITY
    assert np.all(answers.view_weights[~present] == 0)
    assert answers.view_weights.sum(axis=1) == pytest.approx(1, abs=1e-6)


@pytest.mark.slow
def test_the_file_says_what_goes_in_and_what_comes_out(exported):
    opened, path = exported
    told = onnxruntime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map
    views, channels = opened.description.inputs.input_shape(3)
    assert json.loads(told["expressions"]) == list(EXPRESSIONS)
    assert (len(json.loads(told["views"])), len(json.loads(told["channels"]))) == (views, channels)
    assert json.loads(told["size"]) == 32
    assert OnnxModel(path).description == opened.description


@pytest.mark.slow
def test_a_file_with_the_former_metadata_is_read(exported, tmp_path):
    program = onnx.load(str(exported[1]))
    (entry,) = [entry for entry in program.metadata_props if entry.key == "packaged_model"]
    entry.key = "bundle"
    onnx.save(program, str(tmp_path / "former.onnx"))
    assert OnnxModel(tmp_path / "former.onnx").description == exported[0].description


@pytest.mark.slow
def test_pictures_of_another_shape_are_refused_with_both_shapes(exported, pictures):
    with pytest.raises(ValueError, match=r"32, 32\), not \(5, .*16\)"):
        OnnxModel(exported[1]).answer(pictures[..., :16])


@pytest.mark.slow
def test_a_model_without_action_units_has_no_outputs_for_them(exported, pictures):
    session = onnxruntime.InferenceSession(str(exported[1]))
    assert [output.name for output in session.get_outputs()] == list(OUTPUTS)
    assert "action_units" not in session.get_modelmeta().custom_metadata_map
    model = OnnxModel(exported[1])
    answers = model.answer(pictures)
    assert (model.action_units, answers.action_units, answers.action_units_alone) == ((), None, None)


@pytest.fixture(scope="module")
def with_units(tmp_path_factory):
    """A model of the package, which gives action units, and its ONNX file."""
    loaded = read_packaged_model(find_packaged_model("affect_vlm"))
    return loaded, export_onnx(loaded, tmp_path_factory.mktemp("units") / "model.onnx")


@pytest.fixture(scope="module")
def smile():
    return affect4d.example("happiness")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("places", "neutral"), [(slice(None), None), (4, 0), (4, None)], ids=["sequence", "with its neutral", "alone"]
)
def test_action_units_are_those_of_the_predictor(with_units, smile, places, neutral):
    loaded, path = with_units
    predictor, model = Predictor(loaded), OnnxModel(path, threads=1)
    prepared = predictor.prepare(smile[places], neutral=None if neutral is None else smile[neutral])
    prediction = predictor.classify(prepared)

    def strengths(rows):
        images = assemble_unaugmented(prepared.bank, torch.tensor(rows), model.description.inputs)
        answers = model.answer(images.numpy())
        return answers.action_units if prepared.has_neutral else answers.action_units_alone

    by_frame = np.array([list(frame.action_units.values()) for frame in prediction.frames])
    assert model.action_units == tuple(prediction.action_units)
    assert np.ptp(by_frame) > 0.1
    assert np.abs(strengths(prepared.rows) - by_frame).max() <= PARITY
    window = window_rows(prepared.bank, prepared.name, FRAMES)
    assert np.abs(strengths(window).mean(axis=0) - list(prediction.action_units.values())).max() <= PARITY


@pytest.mark.slow
def test_the_file_names_its_action_units(with_units):
    session = onnxruntime.InferenceSession(str(with_units[1]))
    assert [output.name for output in session.get_outputs()] == [*OUTPUTS, *UNIT_OUTPUTS]
    assert json.loads(session.get_modelmeta().custom_metadata_map["action_units"]) == list(
        with_units[0].action_units.names
    )


@pytest.mark.slow
def test_int8_keeps_the_products_of_the_action_units_exact(with_units, smile, tmp_path):
    loaded, path = with_units
    predictor = Predictor(loaded)
    prepared = predictor.prepare(smile)
    images = assemble_unaugmented(prepared.bank, torch.tensor(prepared.rows), loaded.description.inputs).numpy()
    small = quantise_onnx(path, tmp_path / "int8.onnx", images)
    nodes = onnx.load(str(small)).graph.node
    made = {output: node.op_type for node in nodes for output in node.output}
    products = [node for node in nodes if node.op_type in ("MatMul", "Gemm")]
    exact = [node for node in products if not any(made.get(name) == "DequantizeLinear" for name in node.input[1:])]
    assert len(products) > len(exact) == 3
    given, found = OnnxModel(small).answer(images).action_units, OnnxModel(path).answer(images).action_units
    assert 0 < np.abs(given - found).max() < 0.1


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.onnx"):
        OnnxModel(tmp_path / "nowhere.onnx")
