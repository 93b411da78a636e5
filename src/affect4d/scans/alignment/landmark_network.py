"""The 83 landmarks of an aligned scan, by a small network on its depth image.

``scripts/train_landmark_network.py`` trains it on synthetic heads and writes the model file.
"""

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from affect4d.array_types import Faces, Landmarks, Vertices
from affect4d.scans.alignment.pose_by_landmark_detection import smooth_depths
from affect4d.scans.mesh_to_depth_image import depth_image

MODEL_FILE = Path(__file__).parent / "landmark_network.onnx"
SIZE, HALF_WIDTH = 112, 104.0  # of the depth image, pixels and mm
CENTRE = np.array([0.0, -20.0, -40.0])  # of the depth image, canonical, mm
NEAREST, FARTHEST = 100.0, -110.0  # depths that are shown, mm from the centre


@dataclass(frozen=True, slots=True)
class FoundLandmarks:
    """The 83 landmarks of a scan in the canonical frame, mm, and the expected distance of each from the true one."""

    points: Landmarks
    uncertainty: Float32[np.ndarray, "83"]


def find_landmarks(vertices: Vertices, faces: Faces) -> FoundLandmarks:
    """The landmarks of a face in the canonical frame (mm); errors of its pose of a few degrees hardly move them."""
    image = landmark_image((vertices - CENTRE).astype(np.float32), faces)
    points, uncertainty = _session(os.getpid()).run(["points", "errors"], {"depths": image[None]})
    return FoundLandmarks((points[0] + CENTRE).astype(np.float32), uncertainty[0])


def landmark_image(vertices: Vertices, faces: Faces) -> Float32[np.ndarray, "size size"]:
    """Smoothed depths, mm, of a face with the middle of the image as its origin; NaN where nothing is."""
    pixels = np.float32(SIZE / (2 * HALF_WIDTH))
    depths = depth_image(vertices, faces, SIZE, HALF_WIDTH)
    depths[(depths < FARTHEST) | (depths > NEAREST)] = np.nan
    return smooth_depths(depths * pixels) / pixels


@functools.cache
def _session(process: int) -> Any:
    """The network on one thread, loaded on first use; a forked process loads its own."""
    import onnxruntime  # 0.2 s

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(MODEL_FILE.read_bytes(), options, providers=["CPUExecutionProvider"])
