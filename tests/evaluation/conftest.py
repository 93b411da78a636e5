"""Small worlds to evaluate in: a bank of tiny pictures, features made by hand."""

import numpy as np
import pytest
import torch

from affect4d.scans.expression import EXPRESSIONS
from affect4d.views.bank import ViewBank

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
