"""What is handed on answers as the bundle does; what would not is not handed on."""

import numpy as np
import onnx
import pytest
import torch

from affect4d.inference import export
from affect4d.inference.export import (
    INT8_FILE,
    ONNX_FILE,
    ParityError,
    calibration_images,
    difference,
    export_packaged_model,
)
from affect4d.inference.onnx_model import OnnxModel, quantise_onnx
from affect4d.inference.predictor import Predictor
from affect4d.views.batches import assemble_unaugmented

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(make_bundle, raw_scans, tmp_path_factory):
    """The compact bundle, exported with everything."""
    folder = tmp_path_factory.mktemp("export")
    return folder, export_packaged_model(make_bundle("compact").folder, folder, calibration=raw_scans)


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


def test_the_record_says_how_near_and_how_large(exported):
    folder, told = exported
    assert told["onnx_difference"] <= 1e-4 < 1
    assert told["bytes"] == {file.name: file.stat().st_size for file in folder.iterdir()}


def test_int8_is_smaller_and_near(exported, raw_scans):
    folder, told = exported
    assert told["bytes"][INT8_FILE] < 0.4 * told["bytes"][ONNX_FILE]
    predictor = Predictor.load(folder)
    images = calibration_images(predictor, raw_scans)
    assert 0 < difference(predictor, folder / INT8_FILE, images) == pytest.approx(told["int8_difference"])
    assert told["int8_difference"] < 0.1
    assert OnnxModel(folder / INT8_FILE).description == predictor.description


def test_the_products_with_the_prompts_stay_exact(exported):
    folder, _ = exported
    nodes = onnx.load(str(folder / INT8_FILE)).graph.node
    made = {output: node.op_type for node in nodes for output in node.output}
    products = [node for node in nodes if node.op_type == "MatMul"]
    exact = [node for node in products if not any(made.get(name) == "DequantizeLinear" for name in node.input)]
    assert len(products) > len(exact) == 2


def test_bad_scans_are_passed_over_in_calibration(exported, raw_scans, tmp_path):
    predictor = Predictor.load(exported[0])
    (tmp_path / "broken.ply").write_bytes(b"ply\nnothing")
    with pytest.raises(ValueError, match=r"No scan in .* is usable"):
        calibration_images(predictor, tmp_path)
    good = next(raw_scans.rglob("*.wrl"))
    for file in good.parent.glob(f"{good.stem}.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert calibration_images(predictor, tmp_path).shape == (1, 3, 6, 32, 32)


def test_calibration_is_spread_over_all_recordings(exported, tmp_path, monkeypatch):
    for number in range(10):
        (tmp_path / f"person {number} again.ply").touch()
    chosen = []
    monkeypatch.setattr(export, "CALIBRATION", 4)
    monkeypatch.setattr(export, "_frame_images", lambda _, recordings, __: chosen.extend(recordings) or [np.zeros(1)])
    calibration_images(Predictor.load(exported[0]), tmp_path)
    assert [one.name[7] for one in chosen] == ["0", "3", "6", "9"]


def test_int8_without_a_picture_is_refused(exported, tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        quantise_onnx(exported[0] / ONNX_FILE, tmp_path / "model.onnx", np.zeros((0, 3, 6, 32, 32), np.float32))


def test_a_file_that_answers_otherwise_is_not_handed_on(make_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    with pytest.raises(ParityError, match=ONNX_FILE):
        export_packaged_model(make_bundle("compact").folder, tmp_path / "model")
    assert not (tmp_path / "model" / ONNX_FILE).exists()
