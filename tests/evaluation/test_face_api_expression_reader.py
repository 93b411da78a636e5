"""The port of face-api's network on weights made by hand; on the published ones where they are installed."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from affect4d.evaluation import face_api_expression_reader as reader
from affect4d.evaluation.baselines import face_api
from affect4d.pretrained_files import (
    FACE_API_MANIFEST,
    FACE_API_WEIGHTS,
    PretrainedModelMissingError,
    find_pretrained_file,
)
from affect4d.scans.expression import EXPRESSIONS
from affect4d.views.input_options import InputOptions

OPTIONS = InputOptions(channels=("grey", "shading"), motion="none", size=16)
WIDTHS = (3, 32, 64, 128, 256)
INSTALLED = pytest.mark.skipif(
    not reader.reader_version(), reason=f"face-api is not installed. {FACE_API_WEIGHTS.remedy}"
)


def layers():
    for block, (before, after) in enumerate(itertools.pairwise(WIDTHS)):
        for layer in range(4):
            name, width = f"dense{block}/conv{layer}", before if layer == 0 else after
            if block == layer == 0:
                yield f"{name}/filters", (3, 3, before, after)
            else:
                yield f"{name}/depthwise_filter", (3, 3, width, 1)
                yield f"{name}/pointwise_filter", (1, 1, width, after)
            yield f"{name}/bias", (after,)
    yield from (("fc/weights", (256, 7)), ("fc/bias", (7,)))


@pytest.fixture
def files(generator):
    """A manifest with one group and its bytes: matrices as uint8, biases as float32."""
    weights, data = [], []
    for name, shape in layers():
        kind = {} if name.endswith("bias") else {"quantization": {"dtype": "uint8", "scale": 0.002, "min": -0.25}}
        values = generator.integers(0, 255, shape).astype(np.uint8) if kind else np.zeros(shape, "<f4")
        weights.append({"name": name, "shape": list(shape), "dtype": "float32", **kind})
        data.append(values.tobytes())
    return [{"weights": weights, "paths": ["face_expression_model.bin"]}], b"".join(data)


def test_quantised_weights_are_scaled_and_others_read_as_they_are():
    kind = {"quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0}}
    manifest = [
        {"weights": [{"name": "a", "shape": [3], **kind}]},
        {"weights": [{"name": "b", "shape": [1, 2]}]},
    ]
    read = reader.read_parameters(manifest, bytes([0, 2, 255]) + np.array([1.5, -2], "<f4").tobytes())
    assert read["a"].tolist() == [-1.0, 0.0, 126.5]
    assert read["b"].tolist() == [[1.5, -2.0]]


def test_the_network_takes_images_of_any_side_and_gives_seven_scores(files):
    scores = reader.expression_logits(torch.rand(2, 40, 40) * 255, reader.read_parameters(*files))
    assert scores.shape == (2, 7)
    assert torch.isfinite(scores).all()


def test_a_missing_or_another_file_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv(FACE_API_MANIFEST.variable, str(tmp_path))
    find_pretrained_file.cache_clear()
    with pytest.raises(PretrainedModelMissingError, match="npm install"):
        find_pretrained_file(FACE_API_MANIFEST)
    (tmp_path / Path(FACE_API_MANIFEST.path).name).write_text(json.dumps([]))
    with pytest.raises(PretrainedModelMissingError, match=r"is not the manifest of face-api 1\.7\.15"):
        find_pretrained_file(FACE_API_MANIFEST)
    assert reader.reader_version() == ""
    find_pretrained_file.cache_clear()


@pytest.fixture
def blocks(monkeypatch):
    """In place of the network: the mean brightness of the rows in which the bank's images show an expression."""

    def logits(images):
        found = torch.zeros(len(images), 7)
        if images.shape[-1] == 12:  # cropped images lack the outer rows
            for place, output in enumerate(reader.SIX):
                found[:, output] = images[:, 2 * place : 2 * place + 2].mean(dim=(1, 2)) / 10
        return found

    monkeypatch.setattr(reader, "expression_logits", logits)


@pytest.mark.usefixtures("blocks")
def test_the_crop_is_chosen_on_training_subjects_and_every_unseen_sequence_is_read(bank, sequences, split):
    table = face_api(bank, OPTIONS, sequences, split)
    right = (table["predicted"] == table["expression"]).groupby(table["model"]).mean()
    assert right.to_dict() == {"face_api": 1.0, "face_api_logistic": 1.0}
    assert (table.groupby("model")["sequence"].nunique() == 24).all()


@pytest.mark.usefixtures("blocks")
def test_a_scan_that_is_its_own_neutral_is_read_alone(bank, sequences, split):
    alone = torch.arange(len(bank)) % 5 == 2
    object.__setattr__(bank, "in_window", alone)
    object.__setattr__(bank, "neutral", torch.arange(len(bank)))
    reading = reader.read_expressions(bank, OPTIONS, sequences, split)
    assert not reading.has_neutral.any()
    assert not reading.moved.any()
    named = [EXPRESSIONS[place] for place in reading.probabilities().argmax(axis=1)]
    assert named == sequences["expression"].tolist()


@INSTALLED
def test_the_port_gives_the_scores_of_face_api_itself():
    """Of an image of stripes; by face-api 1.7.15 on TensorFlow.js's CPU backend."""
    image = torch.arange(112).remainder(16).mul(15).float().expand(1, 112, 112)
    expected = [-1.158874, -1.872797, -0.165162, -3.514600, -3.748030, -4.582346, -4.277085]
    assert reader.expression_logits(image)[0].tolist() == pytest.approx(expected, abs=1e-3)
