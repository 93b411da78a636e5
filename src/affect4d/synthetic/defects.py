"""What a scanner gets wrong about a surface: noise that is correlated in space, holes, spikes."""

import numpy as np
from jaxtyping import Float64, Int64

from affect4d.arrays import Faces
from affect4d.synthetic.face_model import Surface

Points = Float64[np.ndarray, "points 3"]
WAVES = 20
WHITE = 0.44
"""Share of white noise; with ``SMOOTH`` it makes one, squared and added."""
SMOOTH = 0.9


def smooth_field(points: Points, length: float, rng: np.random.Generator) -> Points:
    """A smooth random vector field with a spread of one an axis (random Fourier features of a Gaussian covariance).

    Args:
        points: Where, mm.
        length: Distance over which it is correlated, mm.
        rng: Draws it.
    """
    waves = rng.normal(0.0, 1.0 / length, (3, WAVES))
    phases = rng.uniform(0.0, 2.0 * np.pi, WAVES)
    return np.asarray(np.cos(points @ waves + phases) @ rng.normal(0.0, np.sqrt(2.0 / WAVES), (WAVES, 3)))


def surface_noise(points: Points, spread: float, length: float, rng: np.random.Generator) -> Points:
    """Noise whose length has a root mean square of ``spread`` mm, most of it correlated over ``length`` mm."""
    smooth, white = smooth_field(points, length, rng), rng.normal(0.0, 1.0, points.shape)
    return np.asarray(spread * (SMOOTH * smooth + WHITE * white) / np.sqrt(3.0))


def spikes(points: Points, mean: float, rng: np.random.Generator) -> Points:
    """Displacements of a few single points, 3 to 12 mm towards or away from the scanner; 0 elsewhere."""
    thrown = np.zeros_like(points)
    chosen = rng.integers(len(points), size=rng.poisson(mean))
    thrown[chosen, 2] = rng.uniform(3.0, 12.0, len(chosen)) * rng.choice((-1.0, 1.0), len(chosen))
    return thrown


def cut_holes(surface: Surface, mean: float, rng: np.random.Generator) -> Faces:
    """Faces without those around a few random places, 2.5 to 6 mm in radius."""
    keep = np.ones(len(surface.faces), dtype=bool)
    for _ in range(rng.poisson(mean)):
        centre = surface.vertices[rng.integers(len(surface.vertices))]
        near = np.linalg.norm(surface.vertices - centre, axis=1) < rng.uniform(2.5, 6.0)
        keep &= ~near[surface.faces].all(axis=1)
    return surface.faces[keep]


def drop_unused(count: int, faces: Faces) -> tuple[Int64[np.ndarray, " kept"], Faces]:
    """Indices of the vertices that faces use, and the faces renumbered."""
    used = np.zeros(count, dtype=bool)
    used[faces.ravel()] = True
    renumbered = (np.cumsum(used) - 1).astype(np.int32)
    return np.flatnonzero(used), renumbered[faces]
