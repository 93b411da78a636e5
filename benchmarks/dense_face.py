"""A synthetic face as dense as a scanner's, about 35,000 vertices and 69,000 triangles, different in every frame."""

import functools

import numpy as np
from PIL import Image

from affect4d.scans.scan import FaceScan

SIDE = 187
TEXTURE_SIZE = (1040, 1392)
"""Width and height of BU-4DFE's own images."""


def dense_face(frame: int, seed: int = 0) -> FaceScan:
    """A textured relief of a face on a 187 × 187 grid, in the canonical frame, its mouth opening from frame to frame.

    34,969 vertices, 69,192 triangles; skin noise of 0.05 mm that differs from frame to frame, as a scanner's does.
    """
    rng = np.random.default_rng((seed, frame))
    across, up = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE))
    depth = -55 * (across**2 + up**2) + 24 * np.exp(-(30 * across**2 + 10 * up**2))
    depth -= 8 * np.exp(-40 * ((np.abs(across) - 0.4) ** 2 + (up - 0.35) ** 2))
    depth -= (frame % 7) * np.exp(-(25 * across**2 + 90 * (up + 0.42) ** 2))
    depth += rng.normal(0.0, 0.05, depth.shape)
    vertices = np.stack([80 * across, 92 * up - 5, depth - depth.max()], axis=-1).reshape(-1, 3).astype(np.float32)
    coordinates = (np.stack([across, up], axis=-1).reshape(-1, 2) / 2 + 0.5).astype(np.float32)
    return FaceScan(vertices, grid_faces(), coordinates, skin(seed))


@functools.cache
def grid_faces() -> np.ndarray:
    """Two triangles a cell, cell after cell."""
    corner = np.arange(SIDE * SIDE, dtype=np.int32).reshape(SIDE, SIDE)
    low_left, low_right, top_left, top_right = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    cells = np.stack([low_left, low_right, top_right, low_left, top_right, top_left], axis=-1)
    return np.ascontiguousarray(cells.reshape(-1, 3))


@functools.cache
def skin(seed: int) -> np.ndarray:
    """A mottled image of the size of BU-4DFE's."""
    rng = np.random.default_rng((seed, 1))
    spots = rng.normal(0.0, 12.0, (87, 65, 1)) + np.array([205.0, 165.0, 140.0])
    rough = Image.fromarray(np.clip(spots, 1, 255).astype(np.uint8)).resize(TEXTURE_SIZE, Image.Resampling.BICUBIC)
    grain = rng.normal(0.0, 4.0, (*TEXTURE_SIZE[::-1], 1))
    return np.clip(np.asarray(rough) + grain, 1, 255).astype(np.uint8)
