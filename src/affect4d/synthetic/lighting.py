"""Light baked into the texture of a scan: a few coloured lamps and an ambient share, drifting within a take."""

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from affect4d.array_types import Texture
from affect4d.synthetic.face_model import NormalMap
from affect4d.synthetic.face_texture import Albedo, WrinkleMap
from affect4d.synthetic.performance import FrameTimes
from affect4d.synthetic.recipe import ScannerOptions

KNOT_SECONDS = 4.0 / 3.0
"""Time between two independent values of a drifting quantity."""
FOLD_DARKNESS = 0.45
"""How much darker the deepest fold of the skin is."""


@dataclass(frozen=True)
class SceneLights:
    """The light of one take."""

    directions: Float64[np.ndarray, "frames lamps 3"]
    """Towards each lamp, times its share of all light."""
    colours: Float64[np.ndarray, "lamps 3"]
    """Of the lamps, a factor on RGB near 1."""
    ambient: Float64[np.ndarray, "3"]
    """Colour of the ambient light, times its share."""
    exposure: Float64[np.ndarray, " frames"]
    """Brightness of each frame."""


def draw_lights(times: FrameTimes, rng: np.random.Generator, options: ScannerOptions) -> SceneLights:
    """Draw the lamps of a take."""
    drift, colour = options.light_drift, options.light_colour
    lamps = int(rng.integers(1, options.lamps + 1))
    middle = np.stack([_direction(rng) for _ in range(lamps)])
    moved = middle + drift * np.stack([wander(times, rng) for _ in range(lamps)], axis=1)
    moved /= np.linalg.norm(moved, axis=2, keepdims=True)
    shares = options.light_strength * rng.uniform(0.5, 1.0) * rng.dirichlet(np.full(lamps, 2.0))
    return SceneLights(
        directions=moved * shares[:, None],
        colours=1.0 + colour * rng.normal(0.0, 1.0, (lamps, 3)),
        ambient=(1.0 - 0.6 * shares.sum()) * (1.0 + 0.5 * colour * rng.normal(0.0, 1.0, 3)),
        exposure=rng.uniform(0.75, 1.2) * (1.0 + 0.5 * drift * wander(times, rng)[:, 0]),
    )


def light_texture(albedo: Albedo, normals: NormalMap, wrinkles: WrinkleMap, lights: SceneLights, frame: int) -> Texture:
    """Bake the light of a frame into the texture."""
    lamps = np.clip(normals @ lights.directions[frame].T.astype(np.float32), 0.0, None)
    coarse = lights.ambient.astype(np.float32) + lamps @ lights.colours.astype(np.float32)
    shade = _enlarged(coarse, *albedo.shape[:2])
    shade *= ((1.0 - FOLD_DARKNESS * wrinkles) * np.float32(255.0 * lights.exposure[frame]))[..., None]
    return np.asarray(np.clip(albedo * shade, 0.0, 255.0).astype(np.uint8))


def wander(times: FrameTimes, rng: np.random.Generator) -> Float64[np.ndarray, "frames 3"]:
    """Three random paths with a spread of about one over several seconds; little happens within half a second."""
    knots = rng.normal(0.0, 1.0, (int(times[-1] / KNOT_SECONDS) + 2, 3))
    places = KNOT_SECONDS * np.arange(len(knots))
    return np.stack([np.interp(times, places, knots[:, axis]) for axis in range(3)], axis=1)


def _direction(rng: np.random.Generator) -> Float64[np.ndarray, "3"]:
    """A direction to a lamp in front of the face."""
    azimuth, height = np.radians(rng.uniform(-75.0, 75.0)), np.radians(rng.uniform(-15.0, 60.0))
    return np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])


def _enlarged(
    coarse: Float32[np.ndarray, "rows columns 3"], height: int, width: int
) -> Float32[np.ndarray, "height width 3"]:
    """Bilinear enlargement, pixel centres aligned, as two matrix products."""
    tall = np.tensordot(_between(coarse.shape[0], height), coarse, axes=1)
    return np.asarray(np.einsum("xc,hcd->hxd", _between(coarse.shape[1], width), tall, optimize=True))


@functools.cache
def _between(count: int, wanted: int) -> Float32[np.ndarray, "wanted count"]:
    """Weights of the two nearest of ``count`` samples at ``wanted`` evenly spread places."""
    places = np.clip((np.arange(wanted) + 0.5) * count / wanted - 0.5, 0.0, count - 1.0)
    return np.clip(1.0 - np.abs(places[:, None] - np.arange(count)), 0.0, None).astype(np.float32)
