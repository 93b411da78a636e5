"""Parametric face models: their interface, the material plane of the skin, and blendshapes, eyeballs and mouth.

A material point (p, q) is a place on the skin, in mm: p along the surface from the midline to the subject's left, q up,
(0, 0) the tip of the nose. Every pixel of the texture's upper four fifths is a material point, so that skin and paint
move together; the strip below holds the left eye, the right eye and the inside of the mouth.
"""

import functools
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from jaxtyping import Float32, Float64
from scipy.spatial import Delaunay

from affect4d.array_types import Faces, Landmarks, TextureCoordinates, Vertices
from affect4d.synthetic.action_units import ACTION_UNITS, ActionWeights
from affect4d.synthetic.subject_appearance_and_expressive_style import IdentityShape

MaterialPoints = Float64[np.ndarray, "points 2"]
PointScalars = Float64[np.ndarray, " points"]
WIDTH, HEIGHT, STRIP = 160, 200, 40  # pixels of the texture; the strip's height is part of the texture's
P_HALF, Q_LOW, Q_HIGH = 105.0, -97.0, 101.0  # extent of the material plane in the texture, mm
NormalMap = Float32[np.ndarray, "rows columns 3"]  # unit normals over the texture, row 0 at the top
SpacePoints = Float64[np.ndarray, "points 3"]  # points or displacements, mm
ModeBasis = Float64[np.ndarray, "modes points 3"]
DENSITIES = 3  # resolutions of a scanner, 0 the finest
NORMAL_ROWS, NORMAL_COLUMNS = 48, 48  # size of a normal map without the strip of eyes and mouth
GAZE = np.radians([25.0, 18.0])  # turn of the eyes at weight 1 of ``gaze_left`` and ``gaze_up``


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


EYE = Opening(p=32.0, q=38.0, half=14.5, upper=6.0, lower=4.2)  # the left eye
MOUTH = Opening(p=0.0, q=-32.0, half=25.0, upper=1.6, lower=1.6)  # the mouth's slit; in space it is closed


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


@dataclass(frozen=True)
class FaceSurface:
    """The face in one frame, noise-free: mm, in the model's own frame (nose tip near the origin)."""

    vertices: Vertices
    faces: Faces
    texture_coordinates: TextureCoordinates
    landmarks: Landmarks

    def scaled(self, size: float) -> "FaceSurface":
        """The same face, larger or smaller by a factor."""
        if size == 1.0:
            return self
        return replace(self, vertices=self.vertices * size, landmarks=self.landmarks * size)


class FaceModel(Protocol):
    """A face driven by action-unit weights."""

    shape_count: int  # how many identity parameters, each drawn from N(0, 1)

    def surface(self, shape: IdentityShape, weights: ActionWeights, sampling: int) -> FaceSurface:
        """The face under these weights; ``sampling`` picks a mesh, its remainder by ``DENSITIES`` the density."""

    def normal_map(self, shape: IdentityShape, weights: ActionWeights) -> NormalMap:
        """Normals over the texture, for light baked into it; straight ahead for eyes and mouth."""


@dataclass(frozen=True)
class Blendshapes:
    """Points that are a linear function of identity and action-unit weights, mm."""

    neutral: Float32[np.ndarray, "points 3"]
    identity: Float32[np.ndarray, "shape flat"]
    actions: Float32[np.ndarray, "units flat"]

    def place(self, shape: IdentityShape, weights: ActionWeights) -> SpacePoints:
        """The points of an identity under these weights."""
        moved = shape.astype(np.float32) @ self.identity + weights.astype(np.float32) @ self.actions
        return np.asarray((self.neutral + moved.reshape(self.neutral.shape)).astype(np.float64))


@dataclass(frozen=True)
class FaceMesh:
    """One mesh of a face: skin, inside of the mouth, left and right eyeball, in this order."""

    skin: Blendshapes
    mouth: Blendshapes
    faces: Faces
    texture_coordinates: TextureCoordinates

    def surface(
        self,
        skin: SpacePoints,
        mouth: SpacePoints,
        centres: Float64[np.ndarray, "2 3"],
        radius: float,
        weights: ActionWeights,
        landmarks: SpacePoints,
    ) -> FaceSurface:
        """The surface of placed skin and mouth, with eyeballs of these centres turned by the gaze."""
        turned = turn_gaze(front_of_eyeball()[0], weights)
        vertices = np.concatenate([skin, mouth, *(centre + radius * turned for centre in centres)])
        return FaceSurface(
            vertices.astype(np.float32), self.faces, self.texture_coordinates, landmarks.astype(np.float32)
        )


def blendshapes(neutral: SpacePoints, identity: ModeBasis, actions: ModeBasis) -> Blendshapes:
    """Blendshapes from the neutral points and the displacements of each parameter, mm."""
    return Blendshapes(
        neutral.astype(np.float32),
        identity.reshape(len(identity), -1).astype(np.float32),
        actions.reshape(len(actions), -1).astype(np.float32),
    )


def join_face(skin: Blendshapes, mouth: Blendshapes, skin_faces: Faces, material: MaterialPoints) -> FaceMesh:
    """A mesh of the face, from its skin and its inside of the mouth."""
    (grid, mouth_faces), (directions, eye_faces) = mouth_grid(), front_of_eyeball()
    starts = np.cumsum([len(material), len(grid), len(directions)])
    faces = [skin_faces, mouth_faces + starts[0], eye_faces + starts[1], eye_faces + starts[2]]
    eyes = [eye_coordinates(directions, side) for side in (1.0, -1.0)]
    coordinates = np.concatenate([skin_coordinates(material), mouth_coordinates(*grid.T), *eyes])
    return FaceMesh(skin, mouth, np.concatenate(faces).astype(np.int32), coordinates)


@functools.cache
def front_of_eyeball() -> tuple[SpacePoints, Faces]:
    """Points and triangles of the front of a unit sphere, around +z."""
    tilts = np.radians([0.0, 14.0, 28.0, 42.0, 56.0, 70.0])
    rings = []
    for tilt, count in zip(tilts, (1, 6, 9, 12, 14, 16), strict=True):
        turn = 2.0 * np.pi * (np.arange(count) + 0.3) / count
        ring = np.stack([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.full(count, np.cos(tilt))], 1)
        rings.append(ring)
    directions = np.concatenate(rings)
    return directions, triangulate(directions[:, :2])


def turn_gaze(directions: SpacePoints, weights: ActionWeights) -> SpacePoints:
    """Directions from an eyeball's centre, turned by the weights of ``gaze_left`` and ``gaze_up``."""
    turn, lift = GAZE * weights[[ACTION_UNITS.index("gaze_left"), ACTION_UNITS.index("gaze_up")]]
    x, y, z = directions.T
    x, z = x * np.cos(turn) + z * np.sin(turn), z * np.cos(turn) - x * np.sin(turn)
    y, z = y * np.cos(lift) + z * np.sin(lift), z * np.cos(lift) - y * np.sin(lift)
    return np.stack([x, y, z], axis=1)


@functools.cache
def mouth_grid() -> tuple[Float64[np.ndarray, "points 2"], Faces]:
    """Points (across, height) of the inside of the mouth, both −1…1, and their triangles."""
    across, height = np.meshgrid(np.linspace(-1.0, 1.0, 11), np.array([1.0, 0.3, 0.05, -0.3, -1.0]))
    grid = np.stack([across.ravel(), height.ravel()], axis=1)
    return grid, triangulate(grid)


def lower_teeth(grid: Float64[np.ndarray, "points 2"]) -> Float64[np.ndarray, " points"]:
    """Share of the jaw's movement that the inside of the mouth follows: none for the upper teeth, all for the lower."""
    return np.clip(0.5 - grid[:, 1] / 0.6, 0.0, 1.0)


def normal_grid() -> MaterialPoints:
    """Material points of a normal map, row by row from the top."""
    p, q = np.linspace(-P_HALF, P_HALF, NORMAL_COLUMNS), np.linspace(Q_HIGH, Q_LOW, NORMAL_ROWS)
    across, along = np.meshgrid(p, q)
    return np.stack([across.ravel(), along.ravel()], axis=1)


def with_strip(normals: Float64[np.ndarray, "rows columns 3"]) -> NormalMap:
    """Normals of the skin, with normals straight ahead for the strip of eyes and mouth below."""
    strip = np.zeros((NORMAL_ROWS * STRIP // (HEIGHT - STRIP), NORMAL_COLUMNS, 3))
    strip[..., 2] = 1.0
    return np.concatenate([normals, strip]).astype(np.float32)


def triangulate(points: Float64[np.ndarray, "points 2"]) -> Faces:
    """Delaunay triangles, counter-clockwise."""
    faces = Delaunay(points).simplices.astype(np.int32)
    first, second, third = points[faces[:, 0]], points[faces[:, 1]], points[faces[:, 2]]
    one, two = second - first, third - first
    clockwise = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0] < 0
    faces[clockwise] = faces[clockwise][:, ::-1]
    return np.asarray(faces)
