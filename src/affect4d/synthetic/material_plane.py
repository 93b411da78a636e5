"""The material plane: coordinates on the skin of the mean face, the features on it, and its place in the texture.

A material point (p, q) is a place on the skin, in mm: p along the surface from the midline to the subject's left, q up,
(0, 0) the tip of the nose. Every pixel of the texture's upper four fifths is a material point, so that skin and paint
move together; the strip below holds the left eye, the right eye and the inside of the mouth.
"""

import functools

import numpy as np
from jaxtyping import Float32, Float64

MaterialPoints = Float64[np.ndarray, "points 2"]
PointScalars = Float64[np.ndarray, " points"]

MOUTH_LINE = -32.0
MOUTH_HALF = 25.0
SLIT_HALF = 1.6
"""Half the height of the mouth's slit in the material plane; in space it is closed."""
EYE_P, EYE_Q = 32.0, 38.0
EYE_HALF, UPPER_LID, LOWER_LID = 14.5, 6.0, 4.2

WIDTH, HEIGHT, STRIP = 160, 200, 40
"""Pixels of the texture; the strip's height is part of the texture's."""
P_HALF, Q_LOW, Q_HIGH = 105.0, -97.0, 101.0
"""Extent of the material plane in the texture, mm."""


def mirrored(points: MaterialPoints) -> MaterialPoints:
    """The same places on the other half."""
    return np.asarray(points * np.array([-1.0, 1.0]))


def sigmoid(values: PointScalars) -> PointScalars:
    """Smooth step from 0 to 1."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -50.0, 50.0))))


def eye_opening(points: MaterialPoints) -> PointScalars:
    """Signed height over the nearer lid margin of the left eye, mm: negative inside the opening."""
    offset = points - np.array([EYE_P, EYE_Q])
    arch = 1.0 - (offset[:, 0] / EYE_HALF) ** 2
    limit = np.where(offset[:, 1] > 0, UPPER_LID, LOWER_LID) * arch
    return np.asarray(np.abs(offset[:, 1]) - limit)


def mouth_slit(points: MaterialPoints) -> PointScalars:
    """Half the height of the mouth's slit at a point's p, mm; 0 beside the mouth."""
    return SLIT_HALF * np.clip(1.0 - (points[:, 0] / MOUTH_HALF) ** 2, 0.0, None)


def brow_height(p: PointScalars) -> PointScalars:
    """Height of the left brow's middle at each p, mm."""
    return np.asarray(51.0 + 4.5 * (1.0 - ((p - 35.0) / 22.0) ** 2))


def skin_coordinates(points: MaterialPoints) -> Float32[np.ndarray, "points 2"]:
    """Texture coordinates of material points, v up."""
    u = 0.5 + 0.5 * points[:, 0] / P_HALF
    share = (points[:, 1] - Q_LOW) / (Q_HIGH - Q_LOW)
    return np.stack([u, (STRIP + (HEIGHT - STRIP) * share) / HEIGHT], axis=1).astype(np.float32)


def eye_coordinates(directions: Float64[np.ndarray, "points 3"], side: float) -> Float32[np.ndarray, "points 2"]:
    """Texture coordinates of an eyeball's points, given as directions from its centre with the gaze straight ahead."""
    centre = np.array([0.125 if side > 0 else 0.375, 0.5 * STRIP / HEIGHT])
    reach = np.array([0.118, 0.47 * STRIP / HEIGHT])
    return np.asarray((centre + directions[:, :2] * reach).astype(np.float32))


def mouth_coordinates(across: PointScalars, height: PointScalars) -> Float32[np.ndarray, "points 2"]:
    """Texture coordinates inside the mouth; both arguments run −1…1."""
    return np.stack([0.75 + 0.235 * across, STRIP / HEIGHT * (0.5 + 0.47 * height)], axis=1).astype(np.float32)


@functools.cache
def skin_pixels() -> MaterialPoints:
    """The material point of each pixel of the skin, row by row from the top."""
    p = P_HALF * (2.0 * (np.arange(WIDTH) + 0.5) / WIDTH - 1.0)
    rows = HEIGHT - STRIP
    q = Q_HIGH - (Q_HIGH - Q_LOW) * (np.arange(rows) + 0.5) / rows
    across, along = np.meshgrid(p, q)
    return np.stack([across.ravel(), along.ravel()], axis=1)
