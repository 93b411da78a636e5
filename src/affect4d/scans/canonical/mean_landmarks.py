"""The mean face as landmarks, and how far each is to be trusted: what a scan with landmarks is aligned to."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float64

from affect4d.arrays import Landmarks
from affect4d.scans.landmarks import LANDMARK_COUNT, MIRROR

_RIGHT_HALF: Mapping[int, tuple[tuple[float, float, float], ...]] = MappingProxyType(
    {
        0: (
            (-45, 38, -42), (-38, 42, -38), (-30, 43.5, -35.5), (-22, 41, -35),
            (-16, 36.5, -36), (-22, 34, -36), (-30, 32.5, -36), (-38, 33.5, -39),
        ),
        16: (
            (-56, 54, -44), (-46, 61, -34), (-36, 62.5, -28), (-25, 60, -24), (-14, 55, -22),
            (-14, 50, -23), (-25, 54, -26), (-36, 56, -30), (-46, 55, -36), (-55, 50, -45),
        ),
        36: ((-9, 36, -22), (-12, 16, -20), (-15, 4, -16), (-18, -5, -20), (-9, -10, -14), (0, -13, -17)),
        47: ((0, 0, 0),),
        48: ((-26, -36, -33), (-17, -30, -23), (-7, -26.5, -17), (0, -28, -16)),
        57: ((0, -48, -21), (-8, -47, -21.5), (-17, -43, -25)),
        60: ((-22, -36, -30), (-9, -35, -21), (0, -35.5, -20)),
        66: ((0, -37.5, -20.5), (-9, -37, -21)),
        68: (
            (-72, 30, -95), (-71, 10, -92), (-69, -10, -86), (-65, -30, -76),
            (-57, -50, -62), (-43, -67, -54), (-24, -79, -42), (0, -84, -36),
        ),
    }
)  # fmt: skip
"""First row → points of the subject's right half and of the middle line, in mm."""


def _both_halves() -> Landmarks:
    points = np.full((LANDMARK_COUNT, 3), np.nan)
    for first, places in _RIGHT_HALF.items():
        rows = np.arange(first, first + len(places))
        points[rows] = places
        points[np.array(MIRROR)[rows]] = np.array(places) * (-1, 1, 1)
    return points.astype(np.float32)


MEAN_LANDMARKS: Landmarks = _both_halves()
"""Mean landmarks [83, 3] in mm, nose tip at the origin, mirror-symmetric; plain plausible numbers [ours], of no
person."""


def _trust() -> Float64[np.ndarray, " landmarks"]:
    weights = np.zeros(LANDMARK_COUNT)
    for rows, weight in (
        (slice(0, 16), 0.5),  # lids
        ([0, 4, 8, 12], 1.0),  # corners of the eyes
        (slice(16, 36), 0.1),  # brows
        (slice(36, 48), 1.0),  # nose
        ([37, 45], 0.5),  # its sides, whose place along the nose is a matter of convention
        (slice(48, 68), 0.1),  # lips
        (slice(68, 83), 0.2),  # contour
        ([68, 69, 81, 82], 0.4),  # contour at the ears
        ([74, 75, 76], 0.05),  # chin
    ):
        weights[rows] = weight
    return weights


LANDMARK_TRUST: Float64[np.ndarray, " landmarks"] = _trust()
"""Weight of each landmark in an alignment, 0 to 1 [ours]: 1 for places on bone that every tracker puts alike, little
where expressions move the skin. Chosen on tuning subjects so that landmarks and shape give one frame (decision 13)."""
