import subprocess
import sys

import numpy as np
import pytest

from affect4d.scans.alignment import face_landmarker
from affect4d.scans.alignment.face_landmarker import LandmarkerMissingError, detect_landmarks, model_file


@pytest.fixture
def unknown_file():
    """Whatever the environment names is looked at again, now and after the test."""
    model_file.cache_clear()
    yield
    model_file.cache_clear()


def test_an_empty_image_has_no_face():
    assert detect_landmarks(np.zeros((64, 64, 3), np.uint8)) is None


def test_a_missing_model_file_is_named_with_the_remedy(monkeypatch, tmp_path, unknown_file):
    monkeypatch.setenv(face_landmarker.MODEL_VARIABLE, str(tmp_path / "gone.task"))
    with pytest.raises(LandmarkerMissingError, match=r"gone\.task, and there is no such file.*make setup"):
        model_file()


def test_another_model_file_is_refused(monkeypatch, tmp_path, unknown_file):
    (tmp_path / "other.task").write_bytes(b"another network")
    monkeypatch.setenv(face_landmarker.MODEL_VARIABLE, str(tmp_path / "other.task"))
    with pytest.raises(LandmarkerMissingError, match="is not the expected model file"):
        model_file()


def test_no_package_and_no_variable_name_the_remedy(monkeypatch, unknown_file):
    monkeypatch.delenv(face_landmarker.MODEL_VARIABLE, raising=False)
    monkeypatch.setattr(face_landmarker, "MODEL_PACKAGE", "no-such-package")
    with pytest.raises(LandmarkerMissingError, match="is not installed"):
        model_file()


def test_the_detector_prints_nothing():
    code = (
        "import numpy as np; from affect4d.scans.alignment.face_landmarker import detect_landmarks;"
        "detect_landmarks(np.zeros((64, 64, 3), np.uint8))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
