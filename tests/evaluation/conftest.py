"""Small worlds to evaluate in: a bank of tiny pictures, features made by hand."""

import numpy as np
import pandas as pd
import pytest
import torch

from affect4d.models import EncoderOptions, ModelOptions, build_model
from affect4d.scans.action_unit_truth import action_unit_truth
from affect4d.scans.expression import EXPRESSIONS
from affect4d.views.bank import ViewBank
from affect4d.views.input_options import InputOptions

FRAMES = 5


@pytest.fixture(autouse=True)
def _without_face_api(monkeypatch):
    """Its files, where they are installed, have their own tests."""
    monkeypatch.setattr("affect4d.evaluation.baselines.reader_version", lambda: "")


@pytest.fixture
def labels(sequences):
    return sequences["expression"].map(EXPRESSIONS.index).to_numpy()


@pytest.fixture
def separable(labels, generator):
    """Features in which every expression lies apart."""
    return (3 * np.eye(6)[labels] + 0.1 * generator.normal(size=(len(labels), 6))).astype(np.float32)


@pytest.fixture
def bank(sequences, labels, generator):
    """Grey and shading pictures, front and left; in the window, a bright block stands where the expression says."""
    count = len(sequences)
    pictures = generator.integers(90, 110, (count, FRAMES, 2, 2, 12, 12)).astype(np.uint8)
    for row, label in enumerate(labels):
        pictures[row, 1:4, :, :, 2 * label : 2 * label + 2, 3:9] += 60
    return ViewBank(
        images=torch.from_numpy(pictures.reshape(count * FRAMES, 2, 2, 12, 12)),
        neutral=torch.arange(count).repeat_interleave(FRAMES) * FRAMES,
        sequence=torch.arange(count).repeat_interleave(FRAMES),
        frame=torch.arange(FRAMES).repeat(count) * 10,
        in_window=torch.tensor([False, True, True, True, False]).repeat(count),
        sequences=tuple(sequences["sequence"]),
        views=("front", "left"),
    )


@pytest.fixture
def small_inputs():
    return InputOptions(channels=("grey", "shading"), size=16)


@pytest.fixture
def model(small_inputs):
    views, channels = small_inputs.input_shape(2)
    small = EncoderOptions(text="compact", image_width=32, text_width=16, text_heads=2, text_layers=1)
    return build_model("affect_vlm", ModelOptions(encoder=small, dim=16, views=views, channels=channels), 0)


@pytest.fixture
def truth(bank, labels):
    """AU12 on the left follows the label, and moves in the window alone."""
    frames = bank.index()
    strength = np.where(frames["in_window"], labels[bank.sequence.numpy()] / 5, 0.0)
    table = frames[["sequence", "frame"]].assign(AU12_L=strength, AU12_R=0.0, gaze_up=0.5)
    return action_unit_truth(table, pd.DataFrame())
