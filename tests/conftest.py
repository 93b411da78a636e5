"""What every test may ask for."""

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


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
