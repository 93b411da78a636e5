"""What every test may ask for."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from affect4d.evaluation.prediction_tables_and_leak_checks import prediction_table
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.splits import SubjectSplit

PROJECT = Path(__file__).resolve().parents[1]
SUBJECTS = tuple(f"S{number:02d}" for number in range(10))


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The repository."""
    return PROJECT


@pytest.fixture(scope="session")
def ict_folder() -> Path:
    """A clone of ICT-FaceKit, named by AFFECT4D_ICT; the test is skipped where there is none."""
    named = os.environ.get("AFFECT4D_ICT", "")
    if not named or not (Path(named) / "FaceXModel").is_dir():
        pytest.skip("AFFECT4D_ICT names no clone of ICT-FaceKit")
    return Path(named)


@pytest.fixture(scope="session")
def write_clip():
    """Writes a small, plain open_clip model to a folder, as ``local-dir:`` expects it, and gives the model."""

    def write(folder: Path, context_length: int):
        import open_clip  # costs seconds
        import torch
        from safetensors.torch import save_file

        config = {
            "embed_dim": 32,
            "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
            "text_cfg": {"context_length": context_length, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
        }
        (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
        with torch.random.fork_rng():
            clip = open_clip.CLIP(**config)
        weights = {name: value.contiguous() for name, value in clip.state_dict().items()}
        save_file(weights, folder / "model.safetensors")
        return clip.eval()

    return write


@pytest.fixture
def generator():
    return np.random.default_rng(0)


@pytest.fixture
def split():
    return SubjectSplit(train=SUBJECTS[:6], test=SUBJECTS[6:], seed=0)


@pytest.fixture
def sequences():
    rows = [(f"{subject}/{name}", subject, name) for subject in SUBJECTS for name in EXPRESSIONS]
    return pd.DataFrame(rows, columns=["sequence", "subject", "expression"])


@pytest.fixture
def predictions(sequences, generator):
    """Half-right predictions on the last four subjects."""
    unseen = sequences[sequences["subject"].isin(SUBJECTS[6:])]
    truth = unseen["expression"].map(EXPRESSIONS.index).to_numpy()
    scores = generator.random((len(unseen), 6)) + 0.6 * np.eye(6)[truth]
    return prediction_table(unseen, scores / scores.sum(axis=1, keepdims=True), "made_up")
