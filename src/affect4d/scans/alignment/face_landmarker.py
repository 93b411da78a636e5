"""MediaPipe's Face Landmarker: 478 landmarks of the face in an image, and its blendshape scores (Apache-2.0).

Trained by its authors on images of real people (Kartynnik et al. 2019, arXiv 1907.06724; Grishchenko et al. 2020,
arXiv 2006.10962; blendshapes: Grishchenko et al. 2023, arXiv 2309.05782). The model file is Google's
``face_landmarker.task``, float16, version 1.
"""

import contextlib
import functools
import importlib.metadata
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8

from affect4d.pretrained_files import FACE_LANDMARKER, PretrainedModelMissingError, find_pretrained_file

# fmt: off
BLENDSHAPES = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight",
    "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight",
    "eyeWideLeft", "eyeWideRight",
    "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)
# fmt: on
"""ARKit's names of the scored blendshapes, in the detector's order; ARKit's 52nd, tongueOut, is not scored."""

_lock = threading.Lock()


def detect_landmarks(image: UInt8[np.ndarray, "height width 3"]) -> Float64[np.ndarray, "478 2"] | None:
    """Landmarks of the most conspicuous face in an RGB image, as fractions of its width and height; None without one.

    Raises:
        PretrainedModelMissingError: If the detector cannot be loaded.
    """
    found = _detect(image, blendshapes=False)
    return np.array([(point.x, point.y) for point in found.face_landmarks[0]]) if found.face_landmarks else None


def detect_blendshapes(image: UInt8[np.ndarray, "height width 3"]) -> Float64[np.ndarray, "51"] | None:
    """Scores, 0…1, of ``BLENDSHAPES`` in the most conspicuous face of an RGB image; None without one.

    Raises:
        PretrainedModelMissingError: If the detector cannot be loaded.
    """
    found = _detect(image, blendshapes=True)
    if not found.face_blendshapes:
        return None
    scores = {category.category_name: category.score for category in found.face_blendshapes[0]}
    return np.array([scores[name] for name in BLENDSHAPES])


def _detect(image: np.ndarray, blendshapes: bool) -> Any:
    with _lock:
        mediapipe, landmarker = _landmarker(os.getpid(), blendshapes)
        return landmarker.detect(mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(image)))


def detector_version() -> str:
    """MediaPipe's version and the model file's digest, for cache keys; empty where one of them is not installed."""
    try:
        find_pretrained_file(FACE_LANDMARKER)
        return f"{importlib.metadata.version('mediapipe')} {FACE_LANDMARKER.sha256}"
    except (PretrainedModelMissingError, importlib.metadata.PackageNotFoundError):
        return ""


@functools.cache
def _landmarker(process: int, blendshapes: bool) -> tuple[Any, Any]:
    """MediaPipe and its detector, made on first use; a forked process makes its own."""
    path = find_pretrained_file(FACE_LANDMARKER)
    try:
        with _silenced_stderr():
            import mediapipe  # 0.7 s
            from mediapipe.tasks.python import BaseOptions, vision

            base = BaseOptions(model_asset_buffer=path.read_bytes())
            options = vision.FaceLandmarkerOptions(base_options=base, num_faces=1, output_face_blendshapes=blendshapes)
            landmarker = vision.FaceLandmarker.create_from_options(options)
            landmarker.detect(mediapipe.Image(mediapipe.ImageFormat.SRGB, np.zeros((64, 64, 3), np.uint8)))
    except ImportError as error:
        raise PretrainedModelMissingError(
            f"mediapipe cannot be imported ({error}). {FACE_LANDMARKER.remedy}"
        ) from error
    except OSError as error:
        remedy = "On Debian or Ubuntu: apt-get install libegl1 libgles2"
        raise PretrainedModelMissingError(f"mediapipe lacks a system library ({error}). {remedy}") from error
    vision.FaceLandmarker.__del__ = _left_to_the_process
    return mediapipe, landmarker


def _left_to_the_process(landmarker: Any) -> None:
    """In place of MediaPipe's finaliser, which fails with a traceback when the interpreter ends."""


@contextlib.contextmanager
def _silenced_stderr() -> Iterator[None]:
    """Messages of native libraries, which no setting of theirs turns off, go nowhere."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
