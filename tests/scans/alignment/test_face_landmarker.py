import subprocess
import sys

import numpy as np

from affect4d.scans.alignment.face_landmarker import detect_landmarks


def test_an_empty_image_has_no_face():
    assert detect_landmarks(np.zeros((64, 64, 3), np.uint8)) is None


def test_the_detector_prints_nothing():
    code = (
        "import numpy as np; from affect4d.scans.alignment.face_landmarker import detect_landmarks;"
        "detect_landmarks(np.zeros((64, 64, 3), np.uint8))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
