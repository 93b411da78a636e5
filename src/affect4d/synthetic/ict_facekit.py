"""ICT-FaceKit as a face model: a user's clone of the public repository, read where it lies and never copied.

Only vertices, faces and texture coordinates are read (:mod:`affect4d.synthetic.ict_geometry`); the skin is painted by
:mod:`affect4d.synthetic.skin`, whose material plane is laid over the model's texture plane by its landmarks.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int, Int64
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from affect4d.arrays import Faces, TextureCoordinates
from affect4d.synthetic.actions import ACTIONS, Weights
from affect4d.synthetic.canvas import (
    HEIGHT,
    P_HALF,
    Q_HIGH,
    Q_LOW,
    STRIP,
    eye_coordinates,
    mouth_coordinates,
    skin_coordinates,
)
from affect4d.synthetic.face_model import DENSITIES, Albedo, Appearance, NormalMap, Relief, Shape, Surface
from affect4d.synthetic.folds import relief_of
from affect4d.synthetic.ict_geometry import IBUG, ict_fingerprint, load_geometry, model_folder
from affect4d.synthetic.ict_landmarks import landmark_vertices
from affect4d.synthetic.ict_mesh import join_vertices, thin
from affect4d.synthetic.linear_patch import LinearPatch, linear_patch
from affect4d.synthetic.openings import front_of_eyeball, lower_teeth, mouth_grid, turn_gaze
from affect4d.synthetic.procedural import landmark_points
from affect4d.synthetic.skin import paint_skin

__all__ = ["IctFace", "ict_fingerprint"]

SAMPLINGS = 9
SPACINGS = (0.95, 1.1, 1.25)
"""Factors on the distance of neighbours, one a density."""
NORMAL_ROWS, NORMAL_COLUMNS = 48, 48
RIM = 3.0
"""So far above its lower edge, mm, the skin's picture ends: beyond it lie eyes and teeth."""


@dataclass(frozen=True)
class IctSampling:
    """One mesh of the scanned part: skin, inside of the mouth, left and right eyeball, in this order."""

    skin: LinearPatch
    mouth: LinearPatch
    faces: Faces
    skin_faces: Faces
    texture_coordinates: TextureCoordinates
    material: Float64[np.ndarray, "points 2"]


class IctFace:
    """The face of ICT-FaceKit, thinned and re-meshed as a scanner would see it.

    Args:
        folder: The clone; it holds ``FaceXModel/generic_neutral_mesh.obj``.

    Raises:
        FileNotFoundError: If there is no such clone; the message says what to set and where to get it.
    """

    def __init__(self, folder: str | None) -> None:
        self._folder = model_folder(folder)
        self.shape_count = len(load_geometry(self._folder).identity)

    def surface(self, shape: Shape, weights: Weights, sampling: int) -> Surface:
        """The face of this identity under these weights; ``sampling`` picks one of ``SAMPLINGS`` meshes."""
        mesh, geometry = _sampling(self._folder, sampling % SAMPLINGS), load_geometry(self._folder)
        directions, _ = front_of_eyeball()
        centres = geometry.eye_centres + np.tensordot(shape, geometry.eye_identity, axes=1)
        eyes = [centre + geometry.eye_radius * turn_gaze(directions, weights) for centre in centres]
        return Surface(
            np.concatenate([mesh.skin.place(shape, weights), mesh.mouth.place(shape, weights), *eyes]).astype(
                np.float32
            ),
            mesh.faces,
            mesh.texture_coordinates,
            _landmark_patch(self._folder).place(shape, weights).astype(np.float32),
        )

    def normal_map(self, shape: Shape, weights: Weights) -> NormalMap:
        """Normals over the texture, taken from the nearest vertices; straight ahead for the eyes."""
        mesh = _sampling(self._folder, 0)
        normals = _vertex_normals(mesh.skin.place(shape, weights), mesh.skin_faces)
        grid = normals[_nearest_to_pixels(self._folder)].reshape(NORMAL_ROWS, NORMAL_COLUMNS, 3)
        strip = np.zeros((NORMAL_ROWS * STRIP // (HEIGHT - STRIP), NORMAL_COLUMNS, 3))
        strip[..., 2] = 1.0
        return np.concatenate([grid, strip]).astype(np.float32)

    def paint(self, appearance: Appearance) -> Albedo:
        """Our own skin: no albedo comes with the model."""
        return paint_skin(appearance)

    def wrinkles(self, weights: Weights) -> Relief:
        """Folds of forehead, brow, nose, cheeks and eye corners."""
        return relief_of(weights)


@functools.cache
def _landmark_patch(folder: Path) -> LinearPatch:
    return _skin_patch(folder, landmark_vertices(folder))


def _skin_patch(folder: Path, vertices: Int[np.ndarray, " points"]) -> LinearPatch:
    geometry = load_geometry(folder)
    return linear_patch(geometry.rest[vertices], geometry.identity[:, vertices], geometry.actions[:, vertices])


@functools.cache
def _material_points(folder: Path) -> Float64[np.ndarray, "points 2"]:
    """Where each vertex lies on our material plane: a thin-plate warp that brings the landmarks together."""
    texture, landmarks = load_geometry(folder).texture, landmark_vertices(folder)
    warp = RBFInterpolator(texture[landmarks], landmark_points(), kernel="thin_plate_spline", smoothing=1e-5)
    points = warp(texture)
    return np.asarray(np.clip(points, [-P_HALF, Q_LOW + RIM], [P_HALF, Q_HIGH]))


@functools.cache
def _sampling(folder: Path, index: int) -> IctSampling:
    spacing = SPACINGS[index % DENSITIES]
    kept = thin(folder, np.random.default_rng([68, index]), spacing)
    skin_faces = join_vertices(folder, kept, spacing)
    (grid, mouth_faces), (directions, eye_faces) = mouth_grid(), front_of_eyeball()
    starts = np.cumsum([len(kept), len(grid), len(directions)])
    faces = [skin_faces, mouth_faces + starts[0], eye_faces + starts[1], eye_faces + starts[2]]
    material = _material_points(folder)[kept]
    eyes = [eye_coordinates(directions, side) for side in (1.0, -1.0)]
    coordinates = [skin_coordinates(material), mouth_coordinates(*grid.T), *eyes]
    return IctSampling(
        _skin_patch(folder, kept),
        _mouth_patch(folder),
        np.concatenate(faces).astype(np.int32),
        skin_faces,
        np.concatenate(coordinates).astype(np.float32),
        material,
    )


@functools.cache
def _mouth_patch(folder: Path) -> LinearPatch:
    """Teeth and tongue behind the lips: the upper half keeps to the skull, the lower follows the chin."""
    geometry, (grid, _) = load_geometry(folder), mouth_grid()
    corner, lips = abs(geometry.rest[IBUG[54], 0]), [IBUG[62], IBUG[66]]
    place = np.stack([corner * grid[:, 0], 11.0 * grid[:, 1], -9.0 - 9.0 * grid[:, 0] ** 2], axis=1)
    place += geometry.rest[lips].mean(axis=0)
    identity = np.repeat(geometry.identity[:, lips].mean(axis=1)[:, None], len(grid), axis=1)
    actions = np.zeros((len(ACTIONS), len(grid), 3))
    for jaw in (ACTIONS.index("AU26"), ACTIONS.index("jaw_left")):
        actions[jaw] = lower_teeth(grid)[:, None] * geometry.actions[jaw, IBUG[8]]
    return linear_patch(place, identity, actions)


@functools.cache
def _nearest_to_pixels(folder: Path) -> Int64[np.ndarray, " pixels"]:
    """The vertex of the first sampling that is nearest to each pixel of the normal map."""
    across, along = np.meshgrid(np.linspace(-P_HALF, P_HALF, NORMAL_COLUMNS), np.linspace(Q_HIGH, Q_LOW, NORMAL_ROWS))
    grid = np.stack([across.ravel(), along.ravel()], axis=1)
    _, nearest = cKDTree(_sampling(folder, 0).material).query(grid)
    return np.asarray(nearest, dtype=np.int64)


def _vertex_normals(vertices: Float64[np.ndarray, "points 3"], faces: Faces) -> Float64[np.ndarray, "points 3"]:
    """Unit normals, weighted by area."""
    first, second, third = (vertices[faces[:, corner]] for corner in range(3))
    across = np.cross(second - first, third - first)
    normals = np.stack(
        [np.bincount(faces.ravel(), np.repeat(across[:, axis], 3), len(vertices)) for axis in range(3)], axis=1
    )
    return np.asarray(normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9))
