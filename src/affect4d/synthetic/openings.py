"""What shows through the openings of both faces: eyeballs that turn with the gaze, teeth and tongue behind the lips."""

import functools

import numpy as np
from jaxtyping import Float64

from affect4d.arrays import Faces
from affect4d.synthetic.actions import ACTIONS, Weights
from affect4d.synthetic.sampling import join

GAZE = np.radians([25.0, 18.0])
"""Turn of the eyes at weight 1 of ``gaze_left`` and ``gaze_up``."""


@functools.cache
def front_of_eyeball() -> tuple[Float64[np.ndarray, "points 3"], Faces]:
    """Points and triangles of the front of a unit sphere, around +z."""
    tilts = np.radians([0.0, 14.0, 28.0, 42.0, 56.0, 70.0])
    rings = []
    for tilt, count in zip(tilts, (1, 6, 9, 12, 14, 16), strict=True):
        turn = 2.0 * np.pi * (np.arange(count) + 0.3) / count
        ring = np.stack([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.full(count, np.cos(tilt))], 1)
        rings.append(ring)
    directions = np.concatenate(rings)
    return directions, join(directions[:, :2])


def turn_gaze(directions: Float64[np.ndarray, "points 3"], weights: Weights) -> Float64[np.ndarray, "points 3"]:
    """Directions turned to where the eyes look.

    Args:
        directions: From the eyeball's centre, gaze straight ahead.
        weights: Only ``gaze_left`` and ``gaze_up`` count.
    """
    turn, lift = GAZE * weights[[ACTIONS.index("gaze_left"), ACTIONS.index("gaze_up")]]
    x, y, z = directions.T
    x, z = x * np.cos(turn) + z * np.sin(turn), z * np.cos(turn) - x * np.sin(turn)
    y, z = y * np.cos(lift) + z * np.sin(lift), z * np.cos(lift) - y * np.sin(lift)
    return np.stack([x, y, z], axis=1)


@functools.cache
def mouth_grid() -> tuple[Float64[np.ndarray, "points 2"], Faces]:
    """Points (across, height) of the inside of the mouth, both −1…1, and their triangles."""
    across, height = np.meshgrid(np.linspace(-1.0, 1.0, 11), np.array([1.0, 0.3, 0.05, -0.3, -1.0]))
    grid = np.stack([across.ravel(), height.ravel()], axis=1)
    return grid, join(grid)


def lower_teeth(grid: Float64[np.ndarray, "points 2"]) -> Float64[np.ndarray, " points"]:
    """How much the inside of the mouth follows the jaw: the upper teeth not, the lower fully."""
    return np.clip(0.5 - grid[:, 1] / 0.6, 0.0, 1.0)
