"""The scanner: light, head pose, surface noise, holes, spikes, hair over the forehead, landmark error."""

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.spatial.transform import Rotation

from affect4d.array_types import Faces, Texture, TextureCoordinates
from affect4d.scans.scan import FaceScan
from affect4d.synthetic.face_model_and_skin_coordinates import (
    DENSITIES,
    HEIGHT,
    STRIP,
    WIDTH,
    FaceSurface,
    NormalMap,
    SpacePoints,
    skin_pixels,
)
from affect4d.synthetic.face_texture import Albedo, WrinkleMap
from affect4d.synthetic.performance import FrameTimes
from affect4d.synthetic.recipe import ScannerOptions

KNOT_SECONDS = 4.0 / 3.0  # time between two independent values of a drifting quantity
FOLD_DARKNESS = 0.45  # how much darker the deepest fold of the skin is
HEAD_CENTRE = np.array([0.0, 0.0, -80.0])  # centre of head rotation, mm from the tip of the nose
FOURIER_WAVES = 20
WHITE, SMOOTH = 0.44, 0.9  # amplitudes of white and of correlated surface noise; squared, they add up to one
MEAN_LENGTH = 1.596  # mean length of a vector of three independent N(0, 1) numbers
HAIR_ROOT, LOWEST_TIP, HIGHEST_TIP = 86.0, 40.0, 66.0  # height of the hair's roots and tips over the nose tip, mm
HAIR_RELIEF = 2.5  # how far hair stands off the skin, mm


@dataclass(frozen=True)
class SceneLights:
    """The light of one take."""

    directions: Float64[np.ndarray, "frames lamps 3"]  # towards each lamp, times its share of all light
    colours: Float64[np.ndarray, "lamps 3"]  # of the lamps, a factor on RGB near 1
    ambient: Float64[np.ndarray, "3"]  # colour of the ambient light, times its share
    exposure: Float64[np.ndarray, " frames"]  # brightness of each frame


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
    azimuth, height = np.radians(rng.uniform(-75.0, 75.0)), np.radians(rng.uniform(-15.0, 60.0))
    return np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])


def _enlarged(
    coarse: Float32[np.ndarray, "rows columns 3"], height: int, width: int
) -> Float32[np.ndarray, "height width 3"]:
    tall = np.tensordot(_between(coarse.shape[0], height), coarse, axes=1)
    return np.asarray(np.einsum("xc,hcd->hxd", _between(coarse.shape[1], width), tall, optimize=True))


@functools.cache
def _between(count: int, wanted: int) -> Float32[np.ndarray, "wanted count"]:
    """Weights of the two nearest of ``count`` samples at ``wanted`` evenly spread places."""
    places = np.clip((np.arange(wanted) + 0.5) * count / wanted - 0.5, 0.0, count - 1.0)
    return np.clip(1.0 - np.abs(places[:, None] - np.arange(count)), 0.0, None).astype(np.float32)


@dataclass(frozen=True)
class LandmarkTracker:
    """Landmark error of one take: constant (also rigid, of the whole face), drifting, and independent in each frame."""

    seed: int
    options: ScannerOptions
    turn: Float64[np.ndarray, "3"]  # of the whole face about the tip of the nose; rotation vector, degrees
    shift: Float64[np.ndarray, "3"]  # of the whole face, mm

    def error(self, landmarks: SpacePoints, second: float, rng: np.random.Generator) -> SpacePoints:
        """Error of every true landmark in the frame at that second of the take, mm."""
        lasting, own = self.options.landmark_bias, self.options.landmark_own
        total = (
            lasting**0.5 * self._field(landmarks, 0)
            + max(1.0 - lasting - own, 0.0) ** 0.5 * self._drift(landmarks, second)
            + own**0.5 * rng.normal(0.0, 1.0, landmarks.shape)
        )
        misplaced = Rotation.from_rotvec(self.turn, degrees=True).apply(landmarks) - landmarks + self.shift
        return np.asarray(total * (self.options.landmark_error_mm / MEAN_LENGTH) + misplaced)

    def _drift(self, landmarks: SpacePoints, second: float) -> SpacePoints:
        """Between two consecutive fields, with a spread of one all the way."""
        knot, share = divmod(second / KNOT_SECONDS, 1.0)
        before, after = (self._field(landmarks, int(knot) + step) for step in (1, 2))
        return np.asarray(((1.0 - share) * before + share * after) / np.hypot(1.0 - share, share))

    def _field(self, landmarks: SpacePoints, number: int) -> SpacePoints:
        return smooth_field(landmarks, self.options.landmark_length_mm, np.random.default_rng([self.seed, number]))


@dataclass(frozen=True)
class HairStrands:
    """Strands of hair over the forehead in one take."""

    cover: Float32[np.ndarray, "height width"]  # coverage of each pixel of the texture, 0…1
    colour: Float64[np.ndarray, "3"]  # RGB, 0…255


@dataclass(frozen=True)
class ScanConditions:
    """Conditions of one take, and their drift from frame to frame."""

    turns: Float64[np.ndarray, "frames 3"]  # rotation vectors of the head, degrees
    shifts: Float64[np.ndarray, "frames 3"]  # translations of the head, mm
    lights: SceneLights
    noise_mm: float  # root mean square of the surface noise
    density: int  # which of the scanner's resolutions, 0 (finest) … ``DENSITIES`` − 1
    strands: int
    hair: HairStrands | None
    tracker: LandmarkTracker
    times: FrameTimes

    def sampling(self, rng: np.random.Generator) -> int:
        """Number of a frame's mesh: another each time, of this take's density."""
        return self.density + DENSITIES * int(rng.integers(2**24))


def draw_conditions(times: FrameTimes, rng: np.random.Generator, options: ScannerOptions) -> ScanConditions:
    """Draw pose, light, noise, hair and tracker of one take; the longer it is, the more drifts within it."""
    turns = rng.normal(0.0, options.pose_jitter_deg, 3) + options.pose_drift_deg * wander(times, rng)
    shifts = rng.normal(0.0, options.pose_jitter_mm, 3) + options.pose_drift_mm * wander(times, rng)
    lights = draw_lights(times, rng, options)
    strands = int(rng.integers(2, 8)) if rng.random() < options.fringe else 0
    return ScanConditions(
        turns=turns,
        shifts=shifts,
        lights=lights,
        noise_mm=options.noise_mm * float(np.exp(rng.normal(0.0, options.noise_spread))),
        density=int(rng.integers(DENSITIES)),
        strands=strands,
        hair=draw_hair(rng, strands) if strands else None,
        tracker=LandmarkTracker(
            int(rng.integers(2**31)),
            options,
            turn=rng.normal(0.0, options.residue_deg, 3),
            shift=rng.normal(0.0, options.residue_mm, 3),
        ),
        times=times,
    )


def scan_surface(
    surface: FaceSurface,
    texture: Texture,
    conditions: ScanConditions,
    frame: int,
    rng: np.random.Generator,
    options: ScannerOptions,
) -> FaceScan:
    """One frame as the scanner delivers it, mm in the scanner's frame; landmarks carry the tracker's error."""
    kept, faces = _drop_unused(len(surface.vertices), _cut_holes(surface, options.holes, rng))
    vertices, coordinates = surface.vertices[kept].astype(np.float64), surface.texture_coordinates[kept]
    vertices += surface_noise(vertices, conditions.noise_mm, options.noise_length_mm, rng)
    vertices += spikes(vertices, options.spikes, rng)
    if conditions.hair is not None:
        vertices += hair_relief(coordinates, conditions.hair)
        texture = cover_texture(texture, conditions.hair)
    landmarks = surface.landmarks.astype(np.float64)
    landmarks += conditions.tracker.error(landmarks, float(conditions.times[frame]), rng)
    return FaceScan(
        vertices=_posed(vertices, conditions, frame).astype(np.float32),
        faces=faces,
        texture_coordinates=coordinates,
        texture=texture,
        landmarks=_posed(landmarks, conditions, frame).astype(np.float32),
    )


def smooth_field(points: SpacePoints, length: float, rng: np.random.Generator) -> SpacePoints:
    """A smooth random vector field, spread one per axis, correlated over ``length`` mm (random Fourier features)."""
    waves = rng.normal(0.0, 1.0 / length, (3, FOURIER_WAVES))
    phases = rng.uniform(0.0, 2.0 * np.pi, FOURIER_WAVES)
    amplitudes = rng.normal(0.0, np.sqrt(2.0 / FOURIER_WAVES), (FOURIER_WAVES, 3))
    return np.asarray(np.cos(points @ waves + phases) @ amplitudes)


def surface_noise(points: SpacePoints, spread: float, length: float, rng: np.random.Generator) -> SpacePoints:
    """Noise whose length has a root mean square of ``spread`` mm, most of it correlated over ``length`` mm."""
    smooth, white = smooth_field(points, length, rng), rng.normal(0.0, 1.0, points.shape)
    return np.asarray(spread * (SMOOTH * smooth + WHITE * white) / np.sqrt(3.0))


def spikes(points: SpacePoints, mean: float, rng: np.random.Generator) -> SpacePoints:
    """Displacements of a few single points, 3 to 12 mm towards or away from the scanner; 0 elsewhere."""
    thrown = np.zeros_like(points)
    chosen = rng.integers(len(points), size=rng.poisson(mean))
    thrown[chosen, 2] = rng.uniform(3.0, 12.0, len(chosen)) * rng.choice((-1.0, 1.0), len(chosen))
    return thrown


def draw_hair(rng: np.random.Generator, strands: int) -> HairStrands:
    """Draw that many strands, from the hairline downwards."""
    points = skin_pixels().reshape(HEIGHT - STRIP, WIDTH, 2)
    p, q = points[0, :, 0], points[:, 0, 1]
    cover = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    for _ in range(strands):
        root, tip, drift = rng.uniform(-55.0, 55.0), rng.uniform(LOWEST_TIP, HIGHEST_TIP), rng.normal(0.0, 12.0)
        middle = root + drift * ((HAIR_ROOT - q) / (HAIR_ROOT - tip)) ** 2
        thick = rng.uniform(0.9, 2.0) * np.clip((q - tip) / 12.0, 0.0, 1.0)
        strand = np.exp(-(((p - middle[:, None]) / (thick[:, None] + 1e-3)) ** 2)) * (q > tip)[:, None]
        cover[: len(q)] = np.maximum(cover[: len(q)], strand)
    return HairStrands(cover, rng.uniform(20.0, 110.0) * np.array([1.0, 0.75, 0.55]))


def cover_texture(texture: Texture, hair: HairStrands) -> Texture:
    """The texture with the strands over it."""
    cover = hair.cover[..., None]
    return np.asarray((texture * (1.0 - cover) + hair.colour.astype(np.float32) * cover).astype(np.uint8))


def hair_relief(coordinates: TextureCoordinates, hair: HairStrands) -> SpacePoints:
    """Displacement of each vertex towards the scanner where strands lie over it, mm."""
    columns = np.clip((coordinates[:, 0] * WIDTH).astype(int), 0, WIDTH - 1)
    rows = np.clip(((1.0 - coordinates[:, 1]) * HEIGHT).astype(int), 0, HEIGHT - 1)
    lifted = np.zeros((len(coordinates), 3))
    lifted[:, 2] = HAIR_RELIEF * hair.cover[rows, columns]
    return lifted


def _cut_holes(surface: FaceSurface, mean: float, rng: np.random.Generator) -> Faces:
    """Faces without those around a few random places, 2.5 to 6 mm in radius."""
    keep = np.ones(len(surface.faces), dtype=bool)
    for _ in range(rng.poisson(mean)):
        centre = surface.vertices[rng.integers(len(surface.vertices))]
        near = np.linalg.norm(surface.vertices - centre, axis=1) < rng.uniform(2.5, 6.0)
        keep &= ~near[surface.faces].all(axis=1)
    return surface.faces[keep]


def _drop_unused(count: int, faces: Faces) -> tuple[Int64[np.ndarray, " kept"], Faces]:
    used = np.zeros(count, dtype=bool)
    used[faces.ravel()] = True
    renumbered = (np.cumsum(used) - 1).astype(np.int32)
    return np.flatnonzero(used), renumbered[faces]


def _posed(points: SpacePoints, conditions: ScanConditions, frame: int) -> SpacePoints:
    turn = Rotation.from_rotvec(conditions.turns[frame], degrees=True)
    return np.asarray(turn.apply(points - HEAD_CENTRE) + HEAD_CENTRE + conditions.shifts[frame])
