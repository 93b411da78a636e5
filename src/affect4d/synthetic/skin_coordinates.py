"""The material plane: coordinates on the skin of the mean face, the features on it, and its place in the texture.

A material point (p, q) is a place on the skin, in mm: p along the surface from the midline to the subject's left, q up,
(0, 0) the tip of the nose. Every pixel of the texture's upper four fifths is a material point, so that skin and paint
move together; the strip below holds the left eye, the right eye and the inside of the mouth.
"""

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

MaterialPoints = Float64[np.ndarray, "points 2"]
PointScalars = Float64[np.ndarray, " points"]


@dataclass(frozen=True)
class Opening:
    """An almond-shaped opening of the skin: centre, half its width, heights of its edges over the corners, mm."""

    p: float
    q: float
    half: float
    upper: float
    lower: float

    def ring(self, angles: PointScalars, outside: float = 0.0) -> MaterialPoints:
        """Points around the opening, by angles from the subject's left corner upwards; ``outside`` is from its edge."""
        sine = np.sin(angles)
        height = np.where(sine >= 0, self.upper, -self.lower) * sine**2 + outside * sine
        return np.stack([self.p + (self.half + outside) * np.cos(angles), self.q + height], axis=1)

    def distance(self, points: MaterialPoints) -> PointScalars:
        """Approximate distance outside the opening, mm."""
        p, q = np.abs(points - np.array([self.p, self.q])).T
        arch = np.clip(1.0 - (p / self.half) ** 2, 0.0, 1.0)
        return np.asarray(np.hypot(np.clip(p - self.half, 0.0, None), np.clip(q - self.upper * arch, 0.0, None)))


EYE = Opening(p=32.0, q=38.0, half=14.5, upper=6.0, lower=4.2)
"""The left eye."""
MOUTH = Opening(p=0.0, q=-32.0, half=25.0, upper=1.6, lower=1.6)
"""The mouth's slit; in space it is closed."""
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
    offset = points - np.array([EYE.p, EYE.q])
    arch = 1.0 - (offset[:, 0] / EYE.half) ** 2
    limit = np.where(offset[:, 1] > 0, EYE.upper, EYE.lower) * arch
    return np.asarray(np.abs(offset[:, 1]) - limit)


def mouth_slit(points: MaterialPoints) -> PointScalars:
    """Half the height of the mouth's slit at a point's p, mm; 0 beside the mouth."""
    return MOUTH.upper * np.clip(1.0 - (points[:, 0] / MOUTH.half) ** 2, 0.0, None)


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
