"""The 83 landmarks on ICT-FaceKit: curves of its 68, resampled in the texture plane, where the lips lie apart."""

import functools
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial import cKDTree

from affect4d.synthetic.ict_geometry import IBUG, load_geometry


@functools.cache
def landmark_vertices(folder: Path) -> Int64[np.ndarray, " landmarks"]:
    """The vertices of the 83 landmarks, in the order of :mod:`affect4d.scans.landmarks`."""
    texture = load_geometry(folder).texture
    _, nearest = cKDTree(texture).query(_landmark_places(texture[list(IBUG)]))
    return np.asarray(nearest, dtype=np.int64)


def _landmark_places(ibug: Float64[np.ndarray, "68 2"]) -> Float64[np.ndarray, "83 2"]:
    """Places of the 83 landmarks in the texture plane; u rises to the subject's left."""
    right_eye = np.concatenate([_resample(ibug[[36, 37, 38, 39]], 5)[:-1], _resample(ibug[[39, 40, 41, 36]], 5)[:-1]])
    left_eye = np.concatenate([_resample(ibug[[45, 44, 43, 42]], 5)[:-1], _resample(ibug[[42, 47, 46, 45]], 5)[:-1]])
    up = np.array([0.0, 0.008])
    right_brow = np.concatenate([ibug[17:22] + up, ibug[17:22][::-1] - up])
    left_brow = np.concatenate([ibug[22:27][::-1] + up, ibug[22:27] - up])
    contour = _resample(ibug[0:17], 15)
    return np.concatenate(
        [right_eye, left_eye, right_brow, left_brow, _nose_places(ibug), ibug[48:60], ibug[60:68], contour]
    )


def _nose_places(ibug: Float64[np.ndarray, "68 2"]) -> Float64[np.ndarray, "12 2"]:
    """Right root, side, upper wing, wing, nostril; base; the left ones back up; tip."""
    right = [
        0.65 * ibug[27] + 0.35 * ibug[39],
        0.45 * ibug[31] + 0.55 * ibug[28],
        [ibug[31, 0], ibug[30, 1]],
        ibug[31] + [-0.012, 0.012],
        ibug[32],
    ]
    left = [
        0.65 * ibug[27] + 0.35 * ibug[42],
        0.45 * ibug[35] + 0.55 * ibug[28],
        [ibug[35, 0], ibug[30, 1]],
        ibug[35] + [0.012, 0.012],
        ibug[34],
    ]
    return np.array([*right, ibug[33], *left[::-1], ibug[30]])


def _resample(curve: Float64[np.ndarray, "points 2"], count: int) -> Float64[np.ndarray, "count 2"]:
    """Points evenly along a polyline, its ends included."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    places = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(places, along, curve[:, axis]) for axis in range(2)], axis=1)
