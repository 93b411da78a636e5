"""Our own parametric face: a linear model over a material plane.

The lids glide over eyeballs, and the mouth opens onto teeth and tongue.
"""

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from affect4d.arrays import Faces, TextureCoordinates
from affect4d.synthetic.actions import ACTIONS, Weights
from affect4d.synthetic.anatomy import EYE_RADIUS, SHAPE_COUNT, eye_centre, identity_basis, rest
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
from affect4d.synthetic.fields import (
    EYE_HALF,
    EYE_P,
    EYE_Q,
    LOWER_LID,
    MOUTH_HALF,
    MOUTH_LINE,
    SLIT_HALF,
    UPPER_LID,
    MaterialPoints,
    mirrored,
)
from affect4d.synthetic.folds import relief_of
from affect4d.synthetic.linear_patch import LinearPatch, linear_patch
from affect4d.synthetic.musculature import JAW_DROP, JAW_SLIDE, action_basis
from affect4d.synthetic.openings import front_of_eyeball, lower_teeth, mouth_grid, turn_gaze
from affect4d.synthetic.sampling import mesh_skin, opening_ring
from affect4d.synthetic.skin import brow_height, paint_skin

SAMPLINGS = 18
"""Different meshes of the same skin that are kept in memory, a third of each density."""
SPACINGS = (0.95, 1.08, 1.22)
"""Factors on the distance of neighbours, one a density."""
LID_THICKNESS = 0.6
NORMAL_ROWS, NORMAL_COLUMNS = 48, 48


@dataclass(frozen=True)
class Sampling:
    """One mesh of the whole face: skin, inside of the mouth, left and right eyeball, in this order."""

    skin: LinearPatch
    mouth: LinearPatch
    eyes: Float64[np.ndarray, "points 3"]
    faces: Faces
    texture_coordinates: TextureCoordinates


class ProceduralFace:
    """The face that ships with the package: no licence, no download."""

    shape_count = SHAPE_COUNT

    def surface(self, shape: Shape, weights: Weights, sampling: int) -> Surface:
        """The face of this identity under these weights; ``sampling`` picks one of ``SAMPLINGS`` meshes."""
        mesh = _sampling(sampling % SAMPLINGS)
        centres = _eye_centres(shape)
        skin = _over_eyes(mesh.skin.place(shape, weights), centres)
        eyes = [centre + EYE_RADIUS * turn_gaze(mesh.eyes, weights) for centre in centres]
        vertices = np.concatenate([skin, mesh.mouth.place(shape, weights), *eyes])
        return Surface(
            vertices.astype(np.float32),
            mesh.faces,
            mesh.texture_coordinates,
            _over_eyes(_landmark_patch().place(shape, weights), centres).astype(np.float32),
        )

    def normal_map(self, shape: Shape, weights: Weights) -> NormalMap:
        """Normals over the texture, from a coarse grid of material points; straight ahead for eyes and mouth."""
        place = _normal_patch().place(shape, weights).reshape(NORMAL_ROWS, NORMAL_COLUMNS, 3)
        normals = np.cross(np.gradient(place, axis=1), -np.gradient(place, axis=0))
        normals /= np.linalg.norm(normals, axis=2, keepdims=True) + 1e-9
        strip = np.zeros((NORMAL_ROWS * STRIP // (HEIGHT - STRIP), NORMAL_COLUMNS, 3))
        strip[..., 2] = 1.0
        return np.concatenate([normals, strip]).astype(np.float32)

    def paint(self, appearance: Appearance) -> Albedo:
        """Skin, brows, lips, eyes and mouth without light."""
        return paint_skin(appearance)

    def wrinkles(self, weights: Weights) -> Relief:
        """Folds of forehead, brow, nose, cheeks and eye corners."""
        return relief_of(weights)


def landmark_points() -> MaterialPoints:
    """Material points of the 83 landmarks, in the order of :mod:`affect4d.scans.landmarks`."""
    left_eye = _ring((EYE_P, EYE_Q), EYE_HALF, UPPER_LID, LOWER_LID, 8)
    left_brow = _brow_outline()
    left_nose = np.array([[-7, 33], [-10, 14], [-13, 2], [-16, -5], [-8, -11]], dtype=float)
    nose = np.concatenate([left_nose, [[0.0, -13.0]], mirrored(left_nose)[::-1], [[0.0, 0.0]]])
    outer = _mouth_ring(MOUTH_HALF + 1.5, 6.5, 7.5, 12)
    inner = _mouth_ring(MOUTH_HALF, SLIT_HALF, SLIT_HALF, 8)
    angles = np.linspace(0.06 * np.pi, -1.06 * np.pi, 15)
    contour = np.stack([-92.0 * np.cos(angles), 6.0 + 82.0 * np.sin(angles)], axis=1)
    return np.concatenate([mirrored(left_eye), left_eye, mirrored(left_brow), left_brow, nose, outer, inner, contour])


def _ring(centre: tuple[float, float], half: float, upper: float, lower: float, count: int) -> MaterialPoints:
    """An opening's outline from the subject's left corner over the top."""
    angles = 2.0 * np.pi * np.arange(count) / count
    return opening_ring(angles, centre, half, upper, lower, 0.0)


def _mouth_ring(half: float, upper: float, lower: float, count: int) -> MaterialPoints:
    """A lip's outline from the subject's right corner over the top."""
    return mirrored(_ring((0.0, MOUTH_LINE), half, upper, lower, count))


def _brow_outline() -> MaterialPoints:
    """The left brow: upper edge outer → inner, lower edge inner → outer."""
    p = np.linspace(49.0, 12.0, 5)
    upper, lower = brow_height(p) + 2.5, brow_height(p) - 2.5
    return np.concatenate([np.stack([p, upper], axis=1), np.stack([p, lower], axis=1)[::-1]])


@functools.cache
def _sampling(index: int) -> Sampling:
    skin = mesh_skin(np.random.default_rng([4, index]), SPACINGS[index % DENSITIES])
    mouth, (grid, mouth_faces) = _mouth_patch(), mouth_grid()
    eyes, eye_faces = front_of_eyeball()
    counts = np.cumsum([0, len(skin.points), len(mouth.rest), len(eyes)])
    faces = [skin.faces, mouth_faces + counts[1], eye_faces + counts[2], eye_faces + counts[3]]
    coordinates = [
        skin_coordinates(skin.points),
        mouth_coordinates(*grid.T),
        eye_coordinates(eyes, 1.0),
        eye_coordinates(eyes, -1.0),
    ]
    return Sampling(
        _patch(skin.points), mouth, eyes, np.concatenate(faces).astype(np.int32), np.concatenate(coordinates)
    )


def _patch(points: MaterialPoints) -> LinearPatch:
    return linear_patch(rest(points), identity_basis(points), action_basis(points))


@functools.cache
def _landmark_patch() -> LinearPatch:
    return _patch(landmark_points())


@functools.cache
def _normal_patch() -> LinearPatch:
    p = np.linspace(-P_HALF, P_HALF, NORMAL_COLUMNS)
    q = np.linspace(Q_HIGH, Q_LOW, NORMAL_ROWS)
    across, along = np.meshgrid(p, q)
    return _patch(np.stack([across.ravel(), along.ravel()], axis=1))


def _mouth_patch() -> LinearPatch:
    """Teeth and tongue behind the lips: the upper half keeps to the skull, the lower follows the jaw."""
    grid, _ = mouth_grid()
    at_lips = np.stack([MOUTH_HALF * grid[:, 0], np.full(len(grid), MOUTH_LINE + SLIT_HALF)], axis=1)
    place = rest(at_lips)
    place[:, 0] *= 0.9
    place[:, 1] = MOUTH_LINE + 8.5 * grid[:, 1]
    place[:, 2] -= 7.5 + 3.5 * grid[:, 0] ** 2
    actions = action_basis(at_lips) * np.array([0.6, 0.0, 1.0])
    actions[:, :, 2] = np.minimum(actions[:, :, 2], 0.0)
    actions[ACTIONS.index("mouth_left")] = 0.0
    for action, motion in (("AU26", JAW_DROP), ("jaw_left", JAW_SLIDE)):
        actions[ACTIONS.index(action)] = lower_teeth(grid)[:, None] * np.asarray(motion)
    return linear_patch(place, identity_basis(at_lips), actions)


@functools.cache
def _socket_patch() -> LinearPatch:
    return _patch(np.array([[EYE_P, EYE_Q], [-EYE_P, EYE_Q]]))


def _eye_centres(shape: Shape) -> Float64[np.ndarray, "2 3"]:
    """Left and right; eyeballs move with identity, never with actions."""
    socket = _socket_patch()
    moved = socket.place(shape, np.zeros(len(ACTIONS))) - socket.rest
    return np.asarray(np.stack([eye_centre(1.0), eye_centre(-1.0)]) + moved)


def _over_eyes(
    points: Float64[np.ndarray, "points 3"], centres: Float64[np.ndarray, "2 3"]
) -> Float64[np.ndarray, "points 3"]:
    """Lids glide over the eyeballs: whatever would lie inside one is lifted onto it."""
    for centre in centres:
        offset = points - centre
        distance = np.linalg.norm(offset, axis=1)
        inside = (distance < EYE_RADIUS + LID_THICKNESS) & (offset[:, 2] > 0)
        points[inside] = centre + offset[inside] * ((EYE_RADIUS + LID_THICKNESS) / distance[inside])[:, None]
    return points
