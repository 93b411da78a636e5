"""Thinning a scan, so that it is equally dense everywhere and a few hundred points stand for all of it."""

import numpy as np
from jaxtyping import Float64

Points = Float64[np.ndarray, "points 3"]

CUBE = 6.0
"""Side of the cubes, in mm, for all that is measured on a thinned scan."""
LARGEST_SAMPLE = 12_000
REACH = 450.0
"""Points farther than this from the middle of the scan along any axis, in mm, are left out."""


def thinned(points: Points, side: float = CUBE) -> Points:
    """Means of the points in every cube of that side, in mm; strays far from the middle are left out."""
    sample = points[:: max(1, -(-len(points) // LARGEST_SAMPLE))]
    if len(sample):
        sample = sample[(np.abs(sample - np.median(sample, axis=0)) < REACH).all(axis=1)]
    if len(sample) == 0:
        return np.empty((0, 3))
    cube = ((sample - sample.min(axis=0)) / side).astype(np.int64)
    sizes = cube.max(axis=0) + 1
    numbers = (cube[:, 0] * sizes[1] + cube[:, 1]) * sizes[2] + cube[:, 2]
    _, place, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(place, sample[:, axis]) for axis in range(3)], axis=1)
    return np.asarray(sums / counts[:, None])
