"""Strands of hair over the forehead: dark in the picture, and rough in the surface, as scanners see hair."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from affect4d.arrays import Texture, TextureCoordinates
from affect4d.synthetic.canvas import HEIGHT, P_HALF, Q_HIGH, Q_LOW, STRIP, WIDTH

ROOT, LOWEST, HIGHEST = 86.0, 40.0, 66.0
"""Height over the nose tip, mm, of the roots and of the tips."""
RELIEF = 2.5
"""How far hair stands off the skin, mm."""


@dataclass(frozen=True)
class Fringe:
    """The strands of one take.

    Attributes:
        cover: How much hair covers each pixel of the picture, 0…1, row 0 at the top.
        colour: RGB, 0…255.
    """

    cover: Float32[np.ndarray, "height width"]
    colour: Float64[np.ndarray, "3"]


def draw_fringe(rng: np.random.Generator, strands: int) -> Fringe:
    """Draw that many strands, from the hairline downwards."""
    p = P_HALF * (2.0 * (np.arange(WIDTH) + 0.5) / WIDTH - 1.0)
    q = Q_HIGH - (Q_HIGH - Q_LOW) * (np.arange(HEIGHT - STRIP) + 0.5) / (HEIGHT - STRIP)
    cover = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    for _ in range(strands):
        root, tip, drift = rng.uniform(-55.0, 55.0), rng.uniform(LOWEST, HIGHEST), rng.normal(0.0, 12.0)
        middle = root + drift * ((ROOT - q) / (ROOT - tip)) ** 2
        thick = rng.uniform(0.9, 2.0) * np.clip((q - tip) / 12.0, 0.0, 1.0)
        strand = np.exp(-(((p - middle[:, None]) / (thick[:, None] + 1e-3)) ** 2)) * (q > tip)[:, None]
        cover[: len(q)] = np.maximum(cover[: len(q)], strand)
    return Fringe(cover, rng.uniform(20.0, 110.0) * np.array([1.0, 0.75, 0.55]))


def cover_texture(texture: Texture, fringe: Fringe) -> Texture:
    """The picture with the strands over it."""
    cover = fringe.cover[..., None]
    return np.asarray((texture * (1.0 - cover) + fringe.colour.astype(np.float32) * cover).astype(np.uint8))


def hair_relief(coordinates: TextureCoordinates, fringe: Fringe) -> Float64[np.ndarray, "vertices 3"]:
    """How far the strands lift each vertex towards the scanner, mm."""
    columns = np.clip((coordinates[:, 0] * WIDTH).astype(int), 0, WIDTH - 1)
    rows = np.clip(((1.0 - coordinates[:, 1]) * HEIGHT).astype(int), 0, HEIGHT - 1)
    lifted = np.zeros((len(coordinates), 3))
    lifted[:, 2] = RELIEF * fringe.cover[rows, columns]
    return lifted
