"""ICT-FaceKit as a face model: its landmarks, and its mesh thinned and joined anew as a scanner would see it.

The files are a user's clone, read in place (:mod:`affect4d.synthetic.ict_facekit_files`). No albedo comes with them:
the texture is painted by :mod:`affect4d.synthetic.face_texture`, whose material plane is laid over the model's texture
plane by the landmarks.
"""

import functools
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64
from PIL import Image, ImageDraw
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from affect4d.array_types import Faces
from affect4d.synthetic.action_units import ACTION_UNITS, ActionWeights
from affect4d.synthetic.face_model import (
    DENSITIES,
    NORMAL_COLUMNS,
    NORMAL_ROWS,
    P_HALF,
    Q_HIGH,
    Q_LOW,
    Blendshapes,
    FaceMesh,
    FaceSurface,
    MaterialPoints,
    NormalMap,
    SpacePoints,
    blendshapes,
    eyeballs,
    join_face,
    lower_teeth,
    mouth_grid,
    normal_grid,
    triangulate,
    with_strip,
)
from affect4d.synthetic.ict_facekit_files import FACE_VERTICES, IBUG, IctGeometry, load_geometry, model_folder
from affect4d.synthetic.procedural_face import landmark_points
from affect4d.synthetic.subjects import IdentityShape

SAMPLINGS = 9
SPACINGS = (0.95, 1.1, 1.25)  # factors on the distance of neighbours, one for each density
RIM = 3.0  # height over the lower edge, mm, at which the skin's texture ends: below it lie eyes and teeth
REACH_MM = 118.0  # vertices farther from the tip of the nose are not scanned
LONGEST_EDGE = 18.0
COVER_PIXELS = 2048

VertexIndices = Int64[np.ndarray, " vertices"]


class IctFace:
    """The face of ICT-FaceKit in a user's clone, thinned and re-meshed as a scanner would see it.

    Raises:
        FileNotFoundError: If there is no such clone; the message names the setting and the source.
    """

    def __init__(self, folder: str | None) -> None:
        self._folder = model_folder(folder)
        self.shape_count = len(load_geometry(self._folder).identity)

    def surface(self, shape: IdentityShape, weights: ActionWeights, sampling: int) -> FaceSurface:
        """The face of this identity under these weights; ``sampling`` picks one of ``SAMPLINGS`` meshes."""
        (mesh, _, _), geometry = _sampling(self._folder, sampling % SAMPLINGS), load_geometry(self._folder)
        centres = geometry.eye_centres + np.tensordot(shape, geometry.eye_identity, axes=1)
        skin, mouth = mesh.skin.place(shape, weights), mesh.mouth.place(shape, weights)
        vertices = np.concatenate([skin, mouth, *eyeballs(centres, geometry.eye_radius, weights)])
        landmarks = _landmark_shapes(self._folder).place(shape, weights)
        return FaceSurface(
            vertices.astype(np.float32), mesh.faces, mesh.texture_coordinates, landmarks.astype(np.float32)
        )

    def normal_map(self, shape: IdentityShape, weights: ActionWeights) -> NormalMap:
        """Normals over the texture, taken from the nearest vertices."""
        mesh, skin_faces, _ = _sampling(self._folder, 0)
        normals = _vertex_normals(mesh.skin.place(shape, weights), skin_faces)
        return with_strip(normals[_nearest_to_pixels(self._folder)].reshape(NORMAL_ROWS, NORMAL_COLUMNS, 3))


@functools.cache
def _sampling(folder: Path, index: int) -> tuple[FaceMesh, Faces, MaterialPoints]:
    """One mesh of the scanned part, the faces of its skin and the material points of its skin."""
    spacing = SPACINGS[index % DENSITIES]
    kept = _thin(folder, np.random.default_rng([68, index]), spacing)
    faces, material = _join_vertices(folder, kept, spacing), _material_points(folder)[kept]
    return join_face(_skin_shapes(folder, kept), _mouth_shapes(folder), faces, material), faces, material


@functools.cache
def _landmark_shapes(folder: Path) -> Blendshapes:
    return _skin_shapes(folder, _landmark_vertices(folder))


def _skin_shapes(folder: Path, vertices: Int[np.ndarray, " points"]) -> Blendshapes:
    geometry = load_geometry(folder)
    return blendshapes(geometry.neutral[vertices], geometry.identity[:, vertices], geometry.actions[:, vertices])


@functools.cache
def _mouth_shapes(folder: Path) -> Blendshapes:
    """Teeth and tongue behind the lips: the upper half keeps to the skull, the lower follows the chin."""
    geometry, (grid, _) = load_geometry(folder), mouth_grid()
    corner, lips = abs(geometry.neutral[IBUG[54], 0]), [IBUG[62], IBUG[66]]
    place = np.stack([corner * grid[:, 0], 11.0 * grid[:, 1], -9.0 - 9.0 * grid[:, 0] ** 2], axis=1)
    place += geometry.neutral[lips].mean(axis=0)
    identity = np.repeat(geometry.identity[:, lips].mean(axis=1)[:, None], len(grid), axis=1)
    actions = np.zeros((len(ACTION_UNITS), len(grid), 3))
    for jaw in (ACTION_UNITS.index("AU26"), ACTION_UNITS.index("jaw_left")):
        actions[jaw] = lower_teeth(grid)[:, None] * geometry.actions[jaw, IBUG[8]]
    return blendshapes(place, identity, actions)


@functools.cache
def _material_points(folder: Path) -> MaterialPoints:
    """Material point of each vertex: a thin-plate warp of the texture plane that brings the landmarks together."""
    texture, landmarks = load_geometry(folder).texture, _landmark_vertices(folder)
    warp = RBFInterpolator(texture[landmarks], landmark_points(), kernel="thin_plate_spline", smoothing=1e-5)
    points = warp(texture)
    return np.asarray(np.clip(points, [-P_HALF, Q_LOW + RIM], [P_HALF, Q_HIGH]))


@functools.cache
def _nearest_to_pixels(folder: Path) -> Int64[np.ndarray, " pixels"]:
    """The vertex of the first sampling that is nearest to each pixel of the normal map."""
    _, nearest = cKDTree(_sampling(folder, 0)[2]).query(normal_grid())
    return np.asarray(nearest, dtype=np.int64)


def _vertex_normals(vertices: SpacePoints, faces: Faces) -> SpacePoints:
    """Unit normals, weighted by area."""
    first, second, third = (vertices[faces[:, corner]] for corner in range(3))
    across = np.cross(second - first, third - first)
    normals = np.stack(
        [np.bincount(faces.ravel(), np.repeat(across[:, axis], 3), len(vertices)) for axis in range(3)], axis=1
    )
    return np.asarray(normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9))


def _thin(folder: Path, rng: np.random.Generator, spacing: float) -> VertexIndices:
    """Vertices no nearer to each other than the scanner resolves; rims of eyes and mouth are all kept."""
    geometry = load_geometry(folder)
    neutral = geometry.neutral
    distances = spacing * _distances(geometry)
    rims = _rims(geometry.faces)
    order = np.argsort(rng.random(len(neutral)) - 2.0 * rims)
    neighbours = cKDTree(neutral).query_ball_point(neutral, np.where(rims, 0.0, distances))
    free = np.linalg.norm(neutral, axis=1) < REACH_MM
    kept = []
    for vertex in order:
        if free[vertex]:
            kept.append(vertex)
            free[neighbours[vertex]] = False
            free[vertex] = False
    return np.sort(np.array(kept, dtype=np.int64))


def _distances(geometry: IctGeometry) -> Float64[np.ndarray, " points"]:
    """Distance of neighbouring samples at each vertex, mm: finer around eyes, nose and mouth."""
    neutral = geometry.neutral
    mouth = neutral[[IBUG[62], IBUG[66]]].mean(axis=0)
    centres = np.stack([*(geometry.eye_centres + np.array([0.0, 0.0, geometry.eye_radius])), mouth])
    distance = np.linalg.norm(neutral[:, None] - centres, axis=2).min(axis=1)
    return np.asarray(np.interp(distance, [14.0, 26.0, 60.0, 90.0], [1.7, 2.9, 4.2, 7.0]))


def _rims(faces: Int64[np.ndarray, "faces 4"]) -> Bool[np.ndarray, " points"]:
    """Vertices on an edge that belongs to one face only."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 3]], faces[:, [3, 0]]])
    edges = np.sort(edges[edges[:, 0] != edges[:, 1]], axis=1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    rim = np.zeros(FACE_VERTICES, dtype=bool)
    rim[unique[counts == 1].ravel()] = True
    return rim


def _join_vertices(folder: Path, kept: VertexIndices, spacing: float) -> Faces:
    """Triangles between the kept vertices, in the texture plane where the model's own faces cover it."""
    texture = load_geometry(folder).texture[kept]
    faces = triangulate(texture)
    pixels = np.clip((texture[faces].mean(axis=1) * COVER_PIXELS).astype(int), 0, COVER_PIXELS - 1)
    covered = _cover(folder)[pixels[:, 1], pixels[:, 0]]
    neutral = load_geometry(folder).neutral[kept]
    edges = np.linalg.norm(neutral[faces] - neutral[np.roll(faces, 1, axis=1)], axis=2).max(axis=1)
    return np.asarray(faces[covered & (edges < LONGEST_EDGE * spacing)])


@functools.cache
def _cover(folder: Path) -> Bool[np.ndarray, "pixels pixels"]:
    """Mask of the texture plane that the model's own faces cover; row 0 is v = 0."""
    geometry = load_geometry(folder)
    image = Image.new("1", (COVER_PIXELS, COVER_PIXELS))
    draw = ImageDraw.Draw(image)
    for polygon in geometry.texture[geometry.faces] * COVER_PIXELS:
        draw.polygon([(float(u), float(v)) for u, v in polygon], fill=1)
    return np.array(image)


@functools.cache
def _landmark_vertices(folder: Path) -> VertexIndices:
    """Vertices of the 83 landmarks: the model's 68, resampled in the texture plane, where the lips lie apart."""
    texture = load_geometry(folder).texture
    _, nearest = cKDTree(texture).query(_landmark_places(texture[list(IBUG)]))
    return np.asarray(nearest, dtype=np.int64)


def _landmark_places(ibug: Float64[np.ndarray, "68 2"]) -> Float64[np.ndarray, "83 2"]:
    """Places of the 83 landmarks in the texture plane; u rises to the subject's left."""
    right_eye = np.concatenate([_resample(ibug[[36, 37, 38, 39]], 5)[:-1], _resample(ibug[[39, 40, 41, 36]], 5)[:-1]])
    left_eye = np.concatenate([_resample(ibug[[45, 44, 43, 42]], 5)[:-1], _resample(ibug[[42, 47, 46, 45]], 5)[:-1]])
    up = np.array([0.0, 0.008])
    right_brow = np.concatenate([ibug[17:22] + up, ibug[17:22][::-1] - up])
    left_brow = np.concatenate([ibug[22:27][::-1] + up, ibug[22:27] - up])
    contour = _resample(ibug[0:17], 15)
    return np.concatenate(
        [right_eye, left_eye, right_brow, left_brow, _nose_places(ibug), ibug[48:60], ibug[60:68], contour]
    )


def _nose_places(ibug: Float64[np.ndarray, "68 2"]) -> Float64[np.ndarray, "12 2"]:
    """Right root, side, upper wing, wing, nostril; base; the left ones back up; tip."""
    right = [
        0.65 * ibug[27] + 0.35 * ibug[39],
        0.45 * ibug[31] + 0.55 * ibug[28],
        [ibug[31, 0], ibug[30, 1]],
        ibug[31] + [-0.012, 0.012],
        ibug[32],
    ]
    left = [
        0.65 * ibug[27] + 0.35 * ibug[42],
        0.45 * ibug[35] + 0.55 * ibug[28],
        [ibug[35, 0], ibug[30, 1]],
        ibug[35] + [0.012, 0.012],
        ibug[34],
    ]
    return np.array([*right, ibug[33], *left[::-1], ibug[30]])


def _resample(curve: Float64[np.ndarray, "points 2"], count: int) -> Float64[np.ndarray, "count 2"]:
    """Points evenly along a polyline, its ends included."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    places = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(places, along, curve[:, axis]) for axis in range(2)], axis=1)
