"""What a scanner adds to a face: pose, correlated noise, holes, light baked into the picture, landmark error."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, ConfigDict, Field
from scipy.ndimage import zoom
from scipy.spatial.transform import Rotation

from affect4d.arrays import Faces, Texture
from affect4d.faces.face_model import Albedo, NormalMap, Relief, Surface
from affect4d.scans.landmarks import LANDMARK_COUNT
from affect4d.scans.scan import FaceScan

MEAN_LENGTH = 1.596
"""Mean length of a vector of three independent N(0, 1) numbers."""
WAVES = 20


class SensorOptions(BaseModel):
    """How imperfect the scanner, the landmark tracker and the room are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    noise_mm: float = Field(default=0.25, ge=0.0, le=5.0, description="root mean square of the surface noise")
    noise_length_mm: float = Field(default=7.0, ge=1.0, le=100.0, description="distance over which noise is correlated")
    landmark_error_mm: float = Field(
        default=1.5, ge=0.0, le=10.0, description="mean distance of a landmark from its place"
    )
    landmark_bias: float = Field(
        default=0.35, ge=0.0, le=1.0, description="share of that error which stays over a sequence"
    )
    pose_jitter_deg: float = Field(
        default=5.0, ge=0.0, le=45.0, description="spread of the head's turn between sequences"
    )
    pose_jitter_mm: float = Field(
        default=8.0, ge=0.0, le=200.0, description="spread of the head's place between sequences"
    )
    pose_drift_deg: float = Field(default=2.0, ge=0.0, le=20.0, description="spread of the turn within a sequence")
    pose_drift_mm: float = Field(default=1.5, ge=0.0, le=50.0, description="spread of the place within a sequence")
    light_strength: float = Field(default=0.6, ge=0.0, le=1.0, description="share of directed light in the picture")
    light_drift: float = Field(default=0.08, ge=0.0, le=1.0, description="change of the light within a sequence")
    holes: float = Field(default=0.8, ge=0.0, le=20.0, description="mean number of holes in a scan")


@dataclass(frozen=True)
class Recording:
    """What stays over one sequence, and how it drifts from frame to frame.

    Attributes:
        turns: Rotation vectors, degrees.
        places: Translations, mm.
        lights: Direction of the light times its share of all light.
        tint: Colour and brightness of the light, a factor on RGB.
        landmark_bias: Error of the tracker that stays, mm.
    """

    turns: Float64[np.ndarray, "frames 3"]
    places: Float64[np.ndarray, "frames 3"]
    lights: Float64[np.ndarray, "frames 3"]
    tint: Float64[np.ndarray, "3"]
    landmark_bias: Float64[np.ndarray, "landmarks 3"]


def draw_recording(frames: int, rng: np.random.Generator, options: SensorOptions) -> Recording:
    """Draw pose, light and tracker bias of one sequence."""
    turns = rng.normal(0.0, options.pose_jitter_deg, 3) + options.pose_drift_deg * _wander(frames, rng)
    places = rng.normal(0.0, options.pose_jitter_mm, 3) + options.pose_drift_mm * _wander(frames, rng)
    lights = _direction(rng) + options.light_drift * _wander(frames, rng)
    lights *= options.light_strength * rng.uniform(0.5, 1.0) / np.linalg.norm(lights, axis=1, keepdims=True)
    bias = options.landmark_bias**0.5 * options.landmark_error_mm / MEAN_LENGTH
    return Recording(
        turns=turns,
        places=places,
        lights=lights,
        tint=rng.uniform(0.8, 1.2) * (1.0 + rng.normal(0.0, 0.05, 3) * (options.light_strength > 0)),
        landmark_bias=rng.normal(0.0, 1.0, (LANDMARK_COUNT, 3)) * bias,
    )


def scan_surface(
    surface: Surface,
    texture: Texture,
    recording: Recording,
    frame: int,
    rng: np.random.Generator,
    options: SensorOptions,
) -> FaceScan:
    """One frame as the scanner delivers it, mm in the scanner's frame; landmarks carry the tracker's error."""
    kept, faces = _drop_unused(len(surface.vertices), _cut_holes(surface, rng, options.holes))
    vertices = surface.vertices[kept].astype(np.float64)
    vertices += _correlated_noise(vertices, rng, options)
    own = (1.0 - options.landmark_bias) ** 0.5 * options.landmark_error_mm / MEAN_LENGTH
    landmarks = surface.landmarks + recording.landmark_bias + rng.normal(0.0, 1.0, (LANDMARK_COUNT, 3)) * own
    return FaceScan(
        vertices=_posed(vertices, recording, frame).astype(np.float32),
        faces=faces,
        texture_coordinates=surface.texture_coordinates[kept],
        texture=texture,
        landmarks=_posed(landmarks, recording, frame).astype(np.float32),
    )


def light_texture(albedo: Albedo, normals: NormalMap, wrinkles: Relief, recording: Recording, frame: int) -> Texture:
    """Bake the light of a frame into the picture."""
    light = recording.lights[frame].astype(np.float32)
    ambient = 1.0 - 0.6 * float(np.linalg.norm(light))
    coarse = ambient + np.clip(normals @ light, 0.0, None)
    height, width = albedo.shape[:2]
    shade = zoom(coarse, (height / coarse.shape[0], width / coarse.shape[1]), order=1, mode="nearest", grid_mode=True)
    shade *= 1.0 - 0.4 * wrinkles
    picture = albedo * shade[..., None] * (255.0 * recording.tint.astype(np.float32))
    return np.asarray(np.clip(picture, 0.0, 255.0).astype(np.uint8))


def _wander(frames: int, rng: np.random.Generator) -> Float64[np.ndarray, "frames 3"]:
    """Three smooth random paths with a spread of about one."""
    knots = rng.normal(0.0, 1.0, (4, 3))
    times, places = np.linspace(0.0, 3.0, frames), np.arange(4)
    return np.stack([np.interp(times, places, knots[:, axis]) for axis in range(3)], axis=1)


def _direction(rng: np.random.Generator) -> Float64[np.ndarray, "3"]:
    """A direction to a light in front of the face."""
    azimuth, height = np.radians(rng.uniform(-75.0, 75.0)), np.radians(rng.uniform(-15.0, 60.0))
    return np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])


def _posed(
    points: Float64[np.ndarray, "points 3"], recording: Recording, frame: int
) -> Float64[np.ndarray, "points 3"]:
    """Points turned about the head's middle and moved."""
    pivot = np.array([0.0, 0.0, -80.0])
    turn = Rotation.from_rotvec(recording.turns[frame], degrees=True)
    return np.asarray(turn.apply(points - pivot) + pivot + recording.places[frame])


def _correlated_noise(
    vertices: Float64[np.ndarray, "vertices 3"], rng: np.random.Generator, options: SensorOptions
) -> Float64[np.ndarray, "vertices 3"]:
    """A smooth random field (random Fourier features of a Gaussian covariance) with a little white noise."""
    waves = rng.normal(0.0, 1.0 / options.noise_length_mm, (3, WAVES))
    phases = rng.uniform(0.0, 2.0 * np.pi, WAVES)
    smooth = np.cos(vertices @ waves + phases) @ rng.normal(0.0, np.sqrt(2.0 / WAVES), (WAVES, 3))
    white = rng.normal(0.0, 1.0, vertices.shape)
    return np.asarray(options.noise_mm * (0.9 * smooth + 0.44 * white) / np.sqrt(3.0))


def _cut_holes(surface: Surface, rng: np.random.Generator, mean: float) -> Faces:
    """Faces without those around a few random places."""
    keep = np.ones(len(surface.faces), dtype=bool)
    for _ in range(rng.poisson(mean)):
        centre = surface.vertices[rng.integers(len(surface.vertices))]
        near = np.linalg.norm(surface.vertices - centre, axis=1) < rng.uniform(2.5, 6.0)
        keep &= ~near[surface.faces].all(axis=1)
    return surface.faces[keep]


def _drop_unused(count: int, faces: Faces) -> tuple[np.ndarray, Faces]:
    """Indices of the vertices that faces use, and the faces renumbered."""
    used = np.zeros(count, dtype=bool)
    used[faces.ravel()] = True
    renumbered = (np.cumsum(used) - 1).astype(np.int32)
    return np.flatnonzero(used), renumbered[faces]
