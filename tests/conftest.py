"""What every test may ask for."""

import functools
import json
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from affect4d.evaluation.prediction_tables_and_leak_checks import prediction_table
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.splits import SubjectSplit

PROJECT = Path(__file__).resolve().parents[1]
SUBJECTS = tuple(f"S{number:02d}" for number in range(10))


class OneFinishedRun(LoadFileScheduling):
    """``pytest -n 2 --dist loadfile``: a process runs all tests of a file, and one runs all files of a group."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(super()._split_scope(nodeid))


@functools.cache
def _group(file: str) -> str:
    """A test file, or the group of those that use the finished run, which is so made once."""
    using = re.search(r"def \w+\([^)]*\bfinished\b", (PROJECT / file).read_text())
    return "the finished run" if using and file.startswith("tests/pipelines/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneFinishedRun | None:
    """Take the place of ``--dist loadfile``."""
    return OneFinishedRun(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In several processes, begin with what holds most slow tests: with quick ones at the end, all end together."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        groups = {item: _group(item.nodeid.split("::")[0]) for item in items}
        slow = Counter(groups[item] for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: -slow[groups[item]])


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
