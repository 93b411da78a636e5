"""The picture that faces are painted on: every pixel is a material point, so that skin and paint move together.

The upper four fifths of the picture are the skin; the strip below holds the left eye, the right eye and the inside of
the mouth.
"""

import functools

import numpy as np
from jaxtyping import Float32, Float64

from affect4d.synthetic.fields import MaterialPoints, Scalars

WIDTH, HEIGHT, STRIP = 160, 200, 40
"""Pixels; the strip's height is part of the picture's."""
P_HALF, Q_LOW, Q_HIGH = 105.0, -97.0, 101.0
"""What of the material plane is painted, mm."""

Mask = Float64[np.ndarray, " pixels"]
Paint = Float64[np.ndarray, "pixels 3"]


def skin_coordinates(points: MaterialPoints) -> Float32[np.ndarray, "points 2"]:
    """(u, v) of material points, v up."""
    u = 0.5 + 0.5 * points[:, 0] / P_HALF
    share = (points[:, 1] - Q_LOW) / (Q_HIGH - Q_LOW)
    return np.stack([u, (STRIP + (HEIGHT - STRIP) * share) / HEIGHT], axis=1).astype(np.float32)


def eye_coordinates(directions: Float64[np.ndarray, "points 3"], side: float) -> Float32[np.ndarray, "points 2"]:
    """(u, v) of points of an eyeball, given as directions from its centre with the gaze straight ahead."""
    centre = np.array([0.125 if side > 0 else 0.375, 0.5 * STRIP / HEIGHT])
    reach = np.array([0.118, 0.47 * STRIP / HEIGHT])
    return np.asarray((centre + directions[:, :2] * reach).astype(np.float32))


def mouth_coordinates(across: Scalars, height: Scalars) -> Float32[np.ndarray, "points 2"]:
    """(u, v) inside the mouth; both arguments run −1…1."""
    return np.stack([0.75 + 0.235 * across, STRIP / HEIGHT * (0.5 + 0.47 * height)], axis=1).astype(np.float32)


@functools.cache
def skin_pixels() -> MaterialPoints:
    """The material point of each pixel of the skin, row by row from the top."""
    p = P_HALF * (2.0 * (np.arange(WIDTH) + 0.5) / WIDTH - 1.0)
    rows = HEIGHT - STRIP
    q = Q_HIGH - (Q_HIGH - Q_LOW) * (np.arange(rows) + 0.5) / rows
    across, along = np.meshgrid(p, q)
    return np.stack([across.ravel(), along.ravel()], axis=1)


def over(paint: Paint, colour: Paint, cover: Mask) -> Paint:
    """Lay a colour over the paint where the mask covers."""
    cover = np.clip(cover, 0.0, 1.0)[..., None]
    return np.asarray(paint * (1.0 - cover) + colour * cover)


def spot(points: MaterialPoints, centre: tuple[float, float], radius: tuple[float, float]) -> Mask:
    """A soft spot, 1 at its centre; the radii are standard deviations, mm."""
    return np.asarray(np.exp(-0.5 * (((points - centre) / radius) ** 2).sum(axis=1)))


def comb(values: Scalars, lines: tuple[float, ...]) -> Mask:
    """Soft lines where the values are these, 1 on each line."""
    return np.asarray(sum(np.exp(-0.5 * ((values - line) / 1.1) ** 2) for line in lines))


def stroke(points: MaterialPoints, start: tuple[float, float], end: tuple[float, float], width: float) -> Mask:
    """A soft line from one point to another."""
    along = np.subtract(end, start)
    share = np.clip((points - start) @ along / (along @ along), 0.0, 1.0)
    distance = np.linalg.norm(points - (np.asarray(start) + share[:, None] * along), axis=1)
    return np.asarray(np.exp(-0.5 * (distance / width) ** 2))
